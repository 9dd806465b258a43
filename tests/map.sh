#!/usr/bin/env bash
# Fails when README.md names a test that does not exist.
set -euo pipefail
cd "$(dirname "$0")"

missing=0
while IFS=: read -r file name; do
    paths=()
    for path in "$file" "../src/testing/$file"; do # there: the suites of pawl::testing
        [ ! -f "$path" ] || paths+=("$path")
    done
    if [ ${#paths[@]} -eq 0 ]; then
        echo "no such file: $file" >&2
        missing=1
    elif [ -n "$name" ] && ! grep -qw "$name" "${paths[@]}"; then
        echo "no test $name in $file" >&2
        missing=1
    fi
done < <(grep -o '`[a-z_/]*\.cpp\(:[a-z_0-9]*\)\?`' README.md | tr -d '`' | sort -u)
[ "$missing" -eq 0 ] && echo "each test that the map names is there"
exit "$missing"
