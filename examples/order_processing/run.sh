#!/usr/bin/env bash
# Installs what is missing, builds the order server, and runs it; its flags are passed on. Without
# any it shows three orders on their way, and ends with 0 if each ended as it must. The services are
# mock ones (--demo) unless the URL of a service is given.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release

demo=(--demo)
[ -z "${PAWL_DEMO-}${PAWL_PAYMENT_URL-}${PAWL_INVENTORY_URL-}${PAWL_SHIPPING_URL-}" ] || demo=()
for flag in "$@"; do
    case $flag in
    --demo* | --payment-url* | --inventory-url* | --shipping-url*) demo=() ;;
    esac
done

"$root/.ci/setup"
[ -f "$build/build.ninja" ] || cmake --preset release -S "$root" >&2
cmake --build "$build" --target order_server >&2
exec "$build/examples/order_processing/order_server" ${demo[@]+"${demo[@]}"} "$@"
