#!/usr/bin/env bash
# check.sh PROGRAM: starts the service, gives it a job, asks for its result, and stops it.
set -euo pipefail

output=$(mktemp)
"$1" >"$output" &
service=$!
trap 'kill "$service" 2>/dev/null || true; rm -f "$output"' EXIT

port=
until port=$(sed -n 's/^listening on //p' "$output") && [ -n "$port" ]; do
    kill -0 "$service" # it ended without having listened
done

curl -sS --fail -X POST --data 'drawer' "http://127.0.0.1:$port/jobs/first"
[ "$(curl -sS --fail "http://127.0.0.1:$port/jobs/first")" = reward ]
[ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/jobs/second")" = 404 ]
[ "$(curl -s -o /dev/null -w '%{http_code}' -X POST --data 'drawer' "http://127.0.0.1:$port/jobs/")" = 400 ]
exec 3<>"/dev/tcp/127.0.0.1/$port" # a silent connection does not keep the service from stopping
kill -TERM "$service"
wait "$service"
grep -qx stopped "$output"
echo "the service answered and stopped"
