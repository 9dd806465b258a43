#!/usr/bin/env bash
# Loads the packages of the console and of its tests, checks the types, and compares the bundle with what its sources make.
set -euo pipefail
cd "$(dirname "$0")"

load_packages() {
    [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
}

for folder in . ../../src/admin/console; do
    if ! (cd "$folder" && load_packages); then
        echo "check.sh: the packages cannot be loaded, so the bundle is not compared and the browser tests do not run" >&2
        exit 0
    fi
done
npm --prefix ../../src/admin/console run --silent check
