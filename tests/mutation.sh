#!/usr/bin/env bash
# What the tests do not notice: writes small defects into a copy of the sources, all in one build, and runs
# the tests once with each of them switched on. About an hour on two processors.
#
# usage: tests/mutation.sh [COUNT], 220 by default. build/mutation/results.tsv has what came of each; remove it
# to begin again. tests/mutation/README.md says how to read it.
set -euo pipefail
cd "$(dirname "$0")/.."

count=${1:-220}
case $count in
    '' | *[!0-9]* | 0*) echo "usage: tests/mutation.sh [COUNT], a whole number from 1" >&2; exit 2 ;;
esac

./.ci/setup
folder=$PWD/build/mutation
mkdir -p "$folder"
if [ ! -e "$folder/results.tsv" ]; then
    rm -rf "$folder/tree"
    mkdir "$folder/tree"
    git ls-files -z | xargs -0 cp --parents -t "$folder/tree"
    python3 tests/mutation/mutate.py "$folder/tree" "$folder/mutants.tsv" "$count"
fi

cmake --preset dev -S "$folder/tree" -B "$folder/build" -DPAWL_PLANTED_BUGS=OFF -DPAWL_BUILD_BENCH=OFF >/dev/null
targets=(simulate)
for name in core codec api engine engine_clocks connectors testing crash observability conformance sqlite postgres; do
    targets+=("test_$name")
done
cmake --build "$folder/build" --target "${targets[@]}"
python3 tests/mutation/run.py "$folder/build" "$folder/mutants.tsv" "$folder/results.tsv"
