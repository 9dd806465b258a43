#!/usr/bin/env bash
# Installs missing packages, builds the order server, and runs it with the given flags. Without flags it runs
# the demonstration, and exits with 0 if each order ended as expected. The services are mocked (--demo) unless
# the URL of a service is given.
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
