#!/usr/bin/env bash
# check.sh package|source SOURCE BUILD COMPILER SCRATCH: uses Pawl as its users do.
#
# package: installs BUILD and moves what was installed; builds README's project with it, builds the same program
# with pkg-config, and a copy of the examples; and checks what is refused.
# source: builds a project that fetches SOURCE, with shared libraries and hidden symbols; configures one that has
# it as a subdirectory.
set -euo pipefail
how=$1 source=$2 build=$3 compiler=$4 scratch=$5

rm -rf "$scratch"
mkdir -p "$scratch/greetings"
# Only whether it builds and works is of interest: in the least time.
options=(--no-warn-unused-cli -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG= -DCMAKE_UNITY_BUILD=ON)

# The program of README.md, with the store that it proposes.
sed -e 's/pawl::open_memory()/pawl::open_sqlite("greetings.db")/' -e '0,/^#include/s//#include <pawl\/sqlite.hpp>\n&/' \
    "$source/examples/getting_started/main.cpp" >"$scratch/greetings/main.cpp"

run_program()
{
    rm -f "$scratch"/greetings.db*
    (cd "$scratch" && "$1") | grep -qx 'Hello, Ada! in 5 commits'
}

# refused TEXT ARGUMENTS…: the configuration of the test project fails and says TEXT.
refused()
{
    local text=$1
    shift
    rm -rf "$scratch/refused"
    if cmake "${options[@]}" -S "$source/tests/consumer" -B "$scratch/refused" "$@" >"$scratch/log" 2>&1; then
        echo "accepted: $*"
        exit 1
    fi
    tr -s ' \n' ' ' <"$scratch/log" | grep -qF "$text" || { cat "$scratch/log"; echo "does not say: $text"; exit 1; }
}

case $how in
package)
    cmake --install "$build" --prefix "$scratch/installed" >/dev/null
    mv "$scratch/installed" "$scratch/prefix"
    options+=(-DCMAKE_PREFIX_PATH="$scratch/prefix")

    echo "README's project, without what its component does not need"
    awk '/^```cmake$/ { inside = 1; next } /^```$/ && inside { exit } inside' "$source/README.md" >"$scratch/greetings/CMakeLists.txt"
    cmake "${options[@]}" -S "$scratch/greetings" -B "$scratch/build" -DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON \
        -DCMAKE_DISABLE_FIND_PACKAGE_PostgreSQL=ON -DCMAKE_DISABLE_FIND_PACKAGE_prometheus-cpp=ON >/dev/null
    cmake --build "$scratch/build" >/dev/null
    run_program "$scratch/build/greetings"

    echo "pkg-config"
    export PKG_CONFIG_PATH
    PKG_CONFIG_PATH=$(dirname "$(find "$scratch/prefix" -name pawl.pc)")
    # shellcheck disable=SC2046
    "$compiler" -std=c++20 "$scratch/greetings/main.cpp" -o "$scratch/linked" $(pkg-config --cflags --libs pawl-sqlite)
    run_program "$scratch/linked"
    for module in "$PKG_CONFIG_PATH"/*.pc; do
        pkg-config --exists --print-errors "$(basename "$module" .pc)"
    done

    echo "a copy of the examples"
    cp -r "$source/examples" "$scratch/examples"
    cmake "${options[@]}" -S "$scratch/examples" -B "$scratch/examples-build" >/dev/null
    cmake --build "$scratch/examples-build" --target example_callback order_base >/dev/null
    ctest --test-dir "$scratch/examples-build" -R example_callback >/dev/null

    echo "what is refused"
    refused 'this installation has no component "redis"; it has: sqlite' -DCOMPONENTS=redis
    refused "pawl::http needs OpenSSL, which was not found" -DCOMPONENTS=http -DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON
    refused "Pawl cannot be compiled with GNU 12.2.0" -DUNSUITED_COMPILER=ON
    cmake "${options[@]}" -S "$source/tests/consumer" -B "$scratch/optional" -DOPTIONAL="redis;http;testing" \
        -DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON >/dev/null
    ;;
source)
    echo "subdirectory"
    cmake "${options[@]}" -S "$source/tests/consumer" -B "$scratch/subdirectory" -DSUBDIRECTORY="$source" >/dev/null
    echo "FetchContent, shared libraries"
    cmake "${options[@]}" -S "$source/tests/consumer" -B "$scratch/build" -DFETCH="$source" -DBUILD_SHARED_LIBS=ON \
        -DPROGRAM="$scratch/greetings/main.cpp" >/dev/null
    cmake --build "$scratch/build" --target greetings >/dev/null
    run_program "$scratch/build/greetings"
    ;;
esac
