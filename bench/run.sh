#!/usr/bin/env bash
# Measures everything beside its limits, in under ten minutes on two processors; the long scenarios
# in their quick sizes. Flags go to pawl_bench, e.g. --only memory. Writes bench/last.json,
# bench/last.md and bench/chart.svg; bench/publish.sh puts the last two into bench/README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
build=$root/build/release

"$root/.ci/setup"
[ -f "$build/build.ninja" ] || cmake --preset release -S "$root" >&2
cmake --build "$build" --target pawl_bench pawl_microbench >&2

commit=$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)
if [ $# -gt 0 ]; then
    exec "$build/bench/pawl_bench" --label "$commit" "$@"
fi
"$build/bench/pawl_bench" --quick --label "$commit" \
    --json "$here/last.json" --table "$here/last.md" --chart "$here/chart.svg"
echo
"$build/bench/pawl_microbench" --benchmark_min_time=0.2
echo
"$here/instructions.sh"
