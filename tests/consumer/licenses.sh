#!/usr/bin/env bash
# licenses.sh SOURCE: src/package/licenses.md names each package that CMake or the console looks for, and no other, and
# each of the console's packages with the license of its lock file.
set -euo pipefail
cd "$1"
list=src/package/licenses.md console=src/admin/console

listed=$(sed -n 's/^| \([A-Za-z][A-Za-z0-9-]*\) | .*/\1/p' "$list" | grep -vx package | sort)
duplicates=$(uniq -d <<<"$listed")
[ -z "$duplicates" ] || { echo "$list has twice: $duplicates"; exit 1; }

# The packages of find_package calls, but Pawl itself and names in variables; and those of package.json.
used=$({
    find CMakeLists.txt src tests examples bench -name CMakeLists.txt -print0 -o -name '*.cmake' -print0 -o -name '*.cmake.in' -print0 |
        xargs -0 sed -nE 's/^[^#]*find_(package|dependency)\(([A-Za-z][A-Za-z0-9-]*)[ )].*/\2/p' | grep -vx pawl
    sed -n '/"[a-zA-Z]*[dD]ependencies": {/,/}/s/^ *"\([^"]*\)": "[0-9].*/\1/p' "$console/package.json"
} | sort -u)
diff <(echo "$listed") <(echo "$used") >/dev/null || {
    echo "$list (<) and what is used (>) differ:"
    diff <(echo "$listed") <(echo "$used") | grep '^[<>]'
    exit 1
}

# Each package of the lock file has a license that the list gives to one of the console's packages.
failed=0
while IFS= read -r license; do
    grep -E "^\| (preact|esbuild|typescript) \| $license" "$list" >/dev/null || { echo "$list has no npm package of $license"; failed=1; }
done < <(sed -n 's/^ *"license": "\(.*\)",\{0,1\}$/\1/p' "$console/package-lock.json" | sort -u)
for name in preact esbuild typescript; do
    license=$(sed -n "/\"node_modules\/$name\": {/,/}/s/^ *\"license\": \"\(.*\)\",\{0,1\}\$/\1/p" "$console/package-lock.json" | head -1)
    grep -E "^\| $name \| $license[ ;]" "$list" >/dev/null || { echo "$list does not give $name the license $license"; failed=1; }
done
exit "$failed"
