#!/usr/bin/env bash
# Counts the instructions of each small operation under callgrind, and compares them with
# bench/instructions.txt. Fails if one takes over 5 % more than is written there.
# With --update, writes what it counts into the table instead.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${PAWL_BENCH_BUILD:-$here/../build/release}
program=$build/bench/pawl_microbench
table=$here/instructions.txt
tolerance=5 # percent

# What a program of so many repetitions executes; the difference of two has no start and no end.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" --repeat "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : //p'
}

counted=$(mktemp)
trap 'rm -f "$counted"' EXIT
failed=0
printf '%-24s %14s %14s %9s\n' operation instructions committed change
while read -r name; do
    few=$(count "$name" 200)
    many=$(count "$name" 600)
    now=$(((many - few) / 400))
    printf '%s %s\n' "$name" "$now" >>"$counted"
    before=$(awk -v name="$name" '$1 == name { print $2 }' "$table" 2>/dev/null || true)
    if [ -z "$before" ]; then
        printf '%-24s %14s %14s\n' "$name" "$now" -
        [ "${1:-}" = --update ] || failed=1
        continue
    fi
    change=$(awk -v now="$now" -v before="$before" 'BEGIN { printf "%+.1f", (now - before) * 100 / before }')
    over=$(awk -v change="$change" -v tolerance="$tolerance" 'BEGIN { print (change > tolerance) ? "  MORE" : "" }')
    printf '%-24s %14s %14s %8s%%%s\n' "$name" "$now" "$before" "$change" "$over"
    [ -z "$over" ] || failed=1
done < <("$program" --list)

if [ "${1:-}" = --update ]; then
    cp "$counted" "$table"
elif [ "$failed" -ne 0 ]; then
    echo "instructions.sh: an operation takes over $tolerance % more instructions than in $table, or is new there;" \
        "if that is meant, run it with --update" >&2
    exit 1
fi
