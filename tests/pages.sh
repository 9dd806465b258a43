#!/usr/bin/env bash
# Checks the READMEs. Each C++ block of the two main pages names a source file in the comment above
# it, and its lines are in that file in the same order: so the blocks are compiled. Each link to a
# file of the repository leads to one, and the tests that tests/README.md names exist.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
for page in README.md include/pawl/README.md; do
    awk -v page="$page" '
        function complain(text) { print page ":" NR ": " text; bad = 1 }
        function trimmed(text) { gsub(/^[ \t]+|[ \t]+$/, "", text); return text }
        /^```/ && inside { inside = 0; source = ""; next }
        /^<!-- .* -->$/ { source = $2; next }
        /^```cpp$/ {
            inside = 1
            at = lines = 0
            if (source == "") { complain("no comment names the source of this block"); next }
            while ((getline line < source) > 0) text[++lines] = trimmed(line)
            close(source)
            if (lines == 0) complain("cannot read " source)
            next
        }
        inside && source != "" && trimmed($0) != "" {
            wanted = trimmed($0)
            # A line of a chain may end the statement that goes on in the source.
            while (++at <= lines && text[at] != wanted && text[at] ";" != wanted && index(text[at], wanted " //") != 1) {}
            if (at > lines) { complain("not in " source ": " wanted); source = "" }
        }
        END { exit bad }
    ' "$page" || failed=1
done

while IFS= read -r page; do
    folder=$(dirname "$page")
    while IFS= read -r link; do
        [ -e "$folder/$link" ] || { echo "$page: a link leads nowhere: $link"; failed=1; }
    done < <(grep -o '](\([^)#:]*\)[)#]' "$page" | sed -E 's/^\]\(//; s/[)#]$//' | grep . | sort -u)
done < <(find . -name README.md -not -path './build/*' -not -path './.git/*')

while IFS= read -r file; do
    [ -f "tests/$file" ] || { echo "tests/README.md: there is no tests/$file"; failed=1; }
done < <(grep -o '`[a-z_]*/[a-z_]*\.cpp`' tests/README.md | tr -d '`' | sort -u)

[ "$failed" -eq 0 ] && echo "C++ blocks, links and names of tests are right"
exit "$failed"
