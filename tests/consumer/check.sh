#!/usr/bin/env bash
# check.sh package|subdirectory SOURCE BUILD COMPILER SCRATCH: builds and runs the consumer project.
set -euo pipefail
how=$1 source=$2 build=$3 compiler=$4 scratch=$5

rm -rf "$scratch"
# Only whether it builds and works is of interest: in the least time.
arguments=(-G Ninja -S "$source/tests/consumer" -B "$scratch/build" -DCMAKE_CXX_COMPILER="$compiler"
           -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG= -DCMAKE_UNITY_BUILD=ON
           -DGETTING_STARTED="$source/examples/getting_started/main.cpp")
if [ "$how" = package ]; then
    cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
    arguments+=(-DCMAKE_PREFIX_PATH="$scratch/prefix")
else
    arguments+=(-DPAWL_SOURCE="$source")
fi
cmake "${arguments[@]}" >/dev/null
cmake --build "$scratch/build" --target consumer
"$scratch/build/consumer" | grep -qx 'Hello, Ada! in 5 commits'
