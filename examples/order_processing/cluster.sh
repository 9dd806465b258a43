#!/usr/bin/env bash
# Three order servers share one PostgreSQL database: orders go to each of them, one server is killed, and the others
# continue its orders. Starts everything on free ports in a temporary folder, and exits with 0 if every order was
# fulfilled.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/release
orders=${1:-60}
lease=3s

"$root/.ci/setup"
[ -f "$build/build.ninja" ] || cmake --preset release -S "$root" >&2
cmake --build "$build" --target order_server mock_services >&2
programs=$build/examples/order_processing

folder=$(mktemp -d)
started=()
clean_up() {
    for process in "${started[@]}"; do kill -9 "$process" 2>/dev/null || true; done
    [ ! -f "$folder/data/postmaster.pid" ] || as_postgres "$server/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null || true
    rm -rf "$folder"
}
trap clean_up EXIT

# PostgreSQL refuses to run as root.
as_postgres() { if [ "$(id -u)" -eq 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi; }
server=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
[ "$(id -u)" -ne 0 ] || chown postgres "$folder"
cd "$folder"
as_postgres "$server/initdb" -D "$folder/data" -A trust -U postgres >/dev/null
as_postgres "$server/pg_ctl" -D "$folder/data" -w -l "$folder/data/log" \
    -o "-c listen_addresses='' -c unix_socket_directories='$folder'" start >/dev/null
database="postgresql:///postgres?host=$folder&user=postgres"
echo "PostgreSQL is up"

# Starts a program; its lines "WHO listening on URL" are in $folder/NAME once it is ready.
start() {
    local name=$1 lines=$2
    shift 2
    "$@" >"$folder/$name" 2>"$folder/$name.log" &
    started+=($!)
    disown # its end is told below, not by the shell
    for _ in $(seq 300); do
        [ "$(wc -l <"$folder/$name")" -lt "$lines" ] || return 0
        kill -0 $! 2>/dev/null || break
        sleep 0.1
    done
    echo "$name does not start:" >&2
    cat "$folder/$name.log" >&2
    return 1
}
url_of() { sed -n "s/^$2 listening on //p" "$folder/$1"; }

start services 3 "$programs/mock_services" --db "$folder/services.db"
payment=$(url_of services "payment service")
inventory=$(url_of services "inventory service")
shipping=$(url_of services "shipping service")
for name in north south east; do
    PAWL_NAME=$name start "$name" 5 "$programs/order_server" --serve --db "$database" --lease $lease --log-level warn \
        --payment-url "$payment" --inventory-url "$inventory" --shipping-url "$shipping"
    echo "$name serves at $(url_of $name "order server")"
done
servers=("$(url_of north "order server")" "$(url_of south "order server")" "$(url_of east "order server")")

show_cluster() {
    curl -sf "$1/admin/api/v1/engines" | grep -o '{"name":"[^"]*","workflows":[^}]*}' |
        sed 's/{"name":"\([^"]*\)".*"shards":"\([0-9]*\)".*/    \1 drives \2 shards/'
}
count() { curl -sf "${servers[0]}/orders?status=$1&limit=1000" | { grep -o '"order_id"' || true; } | wc -l; }

echo "The shards are distributed:"
for _ in $(seq 100); do
    [ "$(curl -sf "${servers[0]}/admin/api/v1/engines" | grep -o '"shards":"2[0-9]"' | wc -l)" -lt 3 ] || break
    sleep 0.2
done
show_cluster "${servers[0]}"

# Slow services, so that many orders are unfinished when the server is killed.
curl -sf -X PUT "$payment/faults" -H 'Content-Type: application/json' -d '{"latency_ms":400}' >/dev/null
curl -sf -X PUT "$shipping/faults" -H 'Content-Type: application/json' -d '{"latency_ms":400}' >/dev/null
echo "$orders orders go to all three servers"
for i in $(seq "$orders"); do
    cat >"$folder/order-$i.json" <<ORDER
{"id":"order-$i","customer_id":"customer-$i","items":[{"product_id":"laptop","quantity":1,"price":99.99}],"total":99.99,
"payment_method":"credit_card","shipping_address":{"street":"123 Main St","city":"San Francisco","state":"CA","zip_code":"94105","country":"USA"}}
ORDER
    curl -sf -o /dev/null -X POST "${servers[$((i % 3))]}/orders" -H 'Content-Type: application/json' -d @"$folder/order-$i.json"
done
echo "    fulfilled so far: $(count Fulfilled)"

east=${started[3]}
kill -9 "$east"
killed=$(date +%s%N)
echo "east is killed with SIGKILL"
for _ in $(seq 300); do
    fulfilled=$(count Fulfilled)
    [ "$fulfilled" -lt "$orders" ] || break
    sleep 0.2
done
echo "    fulfilled: $fulfilled of $orders, $(($(($(date +%s%N) - killed)) / 1000000)) ms after (its lease was $lease)"
echo "The others own its shards:"
show_cluster "${servers[0]}"
[ "$fulfilled" -eq "$orders" ]
shipped=$(curl -sf "$shipping/ledger?limit=1000" | grep -o '"kind":"shipment"' | wc -l)
echo "Shipments in the ledger: $shipped, one per order"
[ "$shipped" -eq "$orders" ]
