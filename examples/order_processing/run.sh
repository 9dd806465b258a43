#!/usr/bin/env bash
# Installs what is missing, builds the order server, and runs it; its flags are passed on. Without
# any it shows three orders on their way, and ends with 0 if each ended as it must.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release

"$root/.ci/setup"
[ -f "$build/build.ninja" ] || cmake --preset release -S "$root" >&2
cmake --build "$build" --target order_server >&2
exec "$build/examples/order_processing/order_server" "$@"
