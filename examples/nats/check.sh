#!/usr/bin/env bash
# check.sh PROGRAM [NATS_SERVER]: runs the example with a NATS server of its own, and compares what it prints with the
# last block of its README.
set -euo pipefail
program=$1 server=${2:-nats-server}
readme=$(dirname "$0")/README.md
folder=$(mktemp -d)
processes=()
cleanup() { for each in "${processes[@]}"; do kill "$each" 2>/dev/null || true; done; wait; rm -rf "$folder"; }
trap cleanup EXIT

# wait_for FILE TEXT [COUNT]: until COUNT lines of the file have the text, by default one.
wait_for() { [ -n "$(grep -m "${3:-1}" -- "$2" < <(tail -n +1 -f --pid=$$ "$1"))" ]; }

# A port of 0 is not possible; -1 takes a free one, which the server writes to a file.
touch "$folder/log" "$folder/out" "$folder/replies"
"$server" -a 127.0.0.1 -p -1 -js -sd "$folder/streams" --ports_file_dir "$folder" 2>"$folder/log" &
processes+=($!)
wait_for "$folder/log" "Server is ready"
port=$(grep -ohE '127\.0\.0\.1:[0-9]+' "$folder"/*.ports | head -1 | cut -d: -f2)

# NATS has a text protocol: the program nats does the same.
exec 3<>"/dev/tcp/127.0.0.1/$port"
cat <&3 >"$folder/replies" &
processes+=($!)
publish() { printf 'PUB %s replies %d\r\n%s\r\n' "$1" ${#2} "$2" >&3; } # SUBJECT PAYLOAD
printf 'CONNECT {"verbose":false,"headers":true}\r\nSUB replies 1\r\nSUB sales 2\r\n' >&3
publish '$JS.API.STREAM.CREATE.ORDERS' '{"name":"ORDERS","subjects":["orders.>"]}'
publish '$JS.API.STREAM.CREATE.SALES' '{"name":"SALES","subjects":["sales"]}'
publish orders.1 '{"number":"order-1","cents":500}'
publish orders.1 '{"number":"order-1","cents":500'
publish orders.2 '{"number":"order-2","cents":700}'

"$program" "nats://127.0.0.1:$port" "$folder/orders.db" >"$folder/out" 2>"$folder/errors" &
program_id=$!
processes+=("$program_id")
wait_for "$folder/replies" "^HMSG sales " 2
kill -TERM "$program_id"
wait "$program_id"
{ sort "$folder/out"; echo "2 sales are published"; } >"$folder/actual"
awk '/^```/ { if (inside) { last = block }; inside = !inside; block = ""; next } inside { block = block $0 "\n" } END { printf "%s", last }' \
    "$readme" >"$folder/expected"
diff "$folder/expected" "$folder/actual"
