#!/usr/bin/env bash
# Sets up, builds, and runs every test. Arguments go to ctest, e.g. -R engine.
set -euo pipefail
cd "$(dirname "$0")/.."

./.ci/setup
preset=${PAWL_PRESET:-dev}
# Joined sources take half the time to build all. To work on one file, configure without that.
[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" -DCMAKE_UNITY_BUILD=ON ${PAWL_CMAKE_ARGS:-} >/dev/null
cmake --build --preset "$preset"
ctest --preset "$preset" --parallel "$(nproc)" "$@"
