#!/usr/bin/env bash
# Loads the packages of the console and of its tests, checks the types, and compares the bundle with what its sources make.
set -euo pipefail
cd "$(dirname "$0")"

leave_out() {
    echo "check.sh: $1, so the bundle is not compared and the browser tests do not run" >&2
    exit 0
}

load_packages() {
    [ node_modules/.package-lock.json -nt package-lock.json ] ||
        timeout 120 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=1 --fetch-timeout=30000
}

../../.ci/setup console || leave_out "Node.js or Chromium cannot be installed"
for folder in . ../../src/admin/console; do
    (cd "$folder" && load_packages) || leave_out "the packages cannot be loaded"
done
npm --prefix ../../src/admin/console run --silent check
