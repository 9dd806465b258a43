#!/usr/bin/env bash
# Puts the table of the last run of bench/run.sh into bench/README.md, in place of the one there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

[ -s "$here/last.md" ] || { echo "publish.sh: there is no bench/last.md; run bench/run.sh first" >&2; exit 1; }
awk -v table="$here/last.md" '
    /^<!-- figures -->$/ { print; while ((getline line < table) > 0) print line; inside = 1 }
    /^<!-- end of figures -->$/ { inside = 0 }
    !inside && !/^<!-- figures -->$/
' "$here/README.md" >"$here/README.md.new"
mv "$here/README.md.new" "$here/README.md"
