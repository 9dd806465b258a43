#!/usr/bin/env bash
# Everything that tries to break Pawl at random, for as long as wanted: ./tests/soak.sh [minutes], 10 by default.
# Each part gets its share of the time, and begins with seeds of its own, which it prints; stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-10}
case $minutes in
    '' | *[!0-9]* | 0*) echo "usage: tests/soak.sh [minutes], a whole number from 1" >&2; exit 2 ;;
esac

section() { printf '\n=== %s (%s s)\n' "$1" "$SECONDS"; }

# Prepares a preset and builds the targets of it that are there.
build() {
    local preset=$1 target targets=()
    shift
    cmake --preset "$preset" >/dev/null
    for target in "$@"; do
        if ninja -C "build/$preset" -t query "$target" >/dev/null 2>&1; then targets+=("$target"); fi
    done
    cmake --build --preset "$preset" --target "${targets[@]}"
}

fuzzers=(codec cron escapes http_request http_response order_routes stored_details texts)

section "Build"
./.ci/setup
build dev chaos_crashes chaos_cluster simulate test_sqlite test_nats
build asan "${fuzzers[@]/#/fuzz_}"

# Half of the time for crashes and simulation beside each other, half for the fuzzers, as many at a time as there
# are processors.
half=$(((minutes + 1) / 2))

section "Crashes and simulation, $half minutes"
build/dev/tests/chaos/chaos_crashes --minutes "$half" &
jobs=($!)
if [ -x build/dev/tests/simulation/simulate ]; then
    build/dev/tests/simulation/simulate --minutes "$half" &
    jobs+=($!)
fi
for job in "${jobs[@]}"; do wait "$job"; done

section "Fuzzers, $half minutes"
each=$((half * 60 * $(nproc) / ${#fuzzers[@]}))
printf '%s\n' "${fuzzers[@]}" | xargs -P "$(nproc)" -I{} bash -c '
    found=build/asan/tests/fuzz/found/{}
    mkdir -p "$found"
    build/asan/tests/fuzz/fuzz_{} -max_total_time='"$each"' -max_len=65536 -timeout=20 -print_final_stats=1 \
        -artifact_prefix="$found/crash-" "$found" tests/fuzz/corpus/{} >"$found.log" 2>&1 ||
        { echo "fuzz_{}: see $found.log"; tail -40 "$found.log"; exit 255; }
    echo "fuzz_{}: $(sed -n "s/^stat::number_of_executed_units: *//p" "$found.log") inputs"'

if [ -x build/dev/tests/chaos/chaos_cluster ]; then
    section "Several servers on one PostgreSQL"
    build/dev/tests/chaos/chaos_cluster --orders $((half * 1000))
fi

if [ -x build/dev/tests/nats/test_nats ]; then
    section "NATS and engines are killed"
    seed=$RANDOM
    echo "PAWL_NATS_SEED=$seed"
    PAWL_NATS_EVENTS=10000 PAWL_NATS_SEED=$seed build/dev/tests/nats/test_nats --run_test='nats_chaos/each_*'
fi

section "Kills of the SQLite store alone"
for _ in $(seq "$half"); do
    build/dev/tests/sqlite/test_sqlite --run_test=sqlite_crash
done

section "Each I/O call of the SQLite store fails"
PAWL_FAULT_STEP=1 build/dev/tests/sqlite/test_sqlite --run_test=sqlite_disk_faults

section "Nothing broke"
