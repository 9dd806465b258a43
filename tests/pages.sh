#!/usr/bin/env bash
# Checks the READMEs:
# - Each C++ block of the two main pages names a source file, in the comment above it or in a comment
#   "// Title (path)." inside it, and its lines are in that file in the same order: so the blocks are compiled.
# - The first block of README.md is the whole file that it names.
# - Each link and each path in backticks leads to a file of the repository, and each link with an anchor to a heading.
# - Names of Pawl in backticks occur in include/ or src/, and members occur in the header of their type.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
for page in README.md include/pawl/README.md; do
    awk -v page="$page" '
        function complain(text) { print page ":" NR ": " text; bad = 1 }
        function trimmed(text) { gsub(/^[ \t]+|[ \t]+$/, "", text); return text }
        /^```/ && inside { inside = 0; source = ""; next }
        /^<!-- .* -->$/ { source = $2; next }
        function read_source() {
            at = lines = 0
            while ((getline line < source) > 0) text[++lines] = trimmed(line)
            close(source)
            if (lines == 0) complain("cannot read " source)
        }
        /^```cpp$/ {
            inside = 1
            if (source != "") read_source()
            next
        }
        inside && match($0, /^\/\/ .*\([^() ]*\.[ch]pp\)/) {
            source = substr($0, RSTART, RLENGTH - 1)
            sub(/.*\(/, "", source)
            read_source()
            next
        }
        inside && source == "" && trimmed($0) != "" { complain("no comment names the source of: " $0) }
        inside && source != "" && trimmed($0) != "" {
            wanted = trimmed($0)
            # A line of a chain may end the statement that goes on in the source.
            while (++at <= lines && text[at] != wanted && text[at] ";" != wanted && index(text[at], wanted " //") != 1) {}
            if (at > lines) { complain("not in " source ": " wanted); source = ""; inside = 0 }
        }
        END { exit bad }
    ' "$page" || failed=1
done

source=$(sed -n 's/^<!-- \(.*\) -->$/\1/p' README.md | head -1)
awk '/^```cpp$/ { inside = 1; next } /^```$/ && inside { exit } inside' README.md | diff "$source" - ||
    { echo "README.md: the first block is not $source"; failed=1; }

while IFS= read -r page; do
    folder=$(dirname "$page")
    while IFS= read -r link; do
        [ -e "$folder/$link" ] || { echo "$page: a link leads nowhere: $link"; failed=1; }
    done < <(grep -o '](\([^)#:]*\)[)#]' "$page" | sed -E 's/^\]\(//; s/[)#]$//' | grep . | sort -u)
    while IFS='#' read -r link anchor; do
        sed -n 's/^##* //p' "${link:+$folder/}${link:-$page}" | tr '[:upper:]' '[:lower:]' | sed -E 's/[^a-z0-9 _-]//g; s/ /-/g' |
            grep -cx "$anchor" >/dev/null || { echo "$page: a link leads to no heading: $link#$anchor"; failed=1; }
    done < <(grep -oE '\]\([^):]*#[^)]*\)' "$page" | sed -E 's/^\]\(//; s/\)$//' | sort -u)
done < <(find . -name README.md -not -path './build/*' -not -path '*/node_modules/*' -not -path './.git/*')

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# words FOLDER…: the identifiers in the sources of these folders, without comments.
words()
{
    find "$@" -type f ! -name '*.md' ! -path '*/corpus/*' ! -path '*/node_modules/*' -print0 | xargs -0 sed -E 's@(^|[^:])//.*@\1@' |
        grep -aoE '[A-Za-z_][A-Za-z0-9_]+' | sort -u
}
words include src >"$scratch/library"
{ echo autovacuum_naptime; words include src tests examples bench; find src tests examples bench -name '*.*' | sed -E 's@.*/@@; s@\..*@@'; } |
    sort -u >"$scratch/tree"

while IFS= read -r page; do
    case $page in
        ./README.md | ./include/* | ./src/*) known=$scratch/library ;;
        *) known=$scratch/tree ;;
    esac
    grep -oE '`[^`]+`' "$page" >"$scratch/spans" || continue
    # Paths of sources, from the folder of the page, the root, include, src or tests.
    while IFS= read -r file; do
        [ -e "$(dirname "$page")/$file" ] || [ -e "$file" ] || [ -e "include/$file" ] || [ -e "src/$file" ] || [ -e "tests/$file" ] ||
            { echo "$page: there is no file $file"; failed=1; }
    done < <(grep -oE '[A-Za-z0-9_./-]+\.(cpp|hpp|sql|sh|service)\b' "$scratch/spans" | grep -vE '^(/|.*//)' | grep / | sort -u)
    # Names of several words; the page of a server's operation is full of the server's own.
    [ "$page" = ./src/stores/postgres/README.md ] || while IFS= read -r name; do
        echo "$page: no source has the name $name"; failed=1
    done < <(grep -oE '[A-Za-z0-9_:./<-]+' "$scratch/spans" | grep -vE '[./-][a-z]*$|/' | grep -oE '\b[a-z][a-z0-9]*(_[a-z0-9]+)+' |
                 sort -u | comm -23 - "$known")
    # Members: the last name occurs in a header that declares the type before it.
    while IFS= read -r pair; do
        type=${pair%%::*} member=${pair##*::}
        grep -rlE "^(struct|class|enum class|namespace) ([a-z]+::)*$type\\b" include/pawl --include='*.hpp' >"$scratch/headers" ||
            { [ "$known" = "$scratch/tree" ] || { echo "$page: no header declares $type, of $pair"; failed=1; }; continue; }
        xargs sed -E 's@//.*@@' <"$scratch/headers" | grep -cw "$member" >/dev/null ||
            { echo "$page: $type has no member $member"; failed=1; }
    done < <(grep -oE '([a-z_]+::)?[a-z_]+::[a-z_]+' "$scratch/spans" | sed -E 's/^pawl:://; s/^testing:://' | grep :: | grep -v '^std:' | sort -u)
done < <(find . -name README.md -not -path './build/*' -not -path '*/node_modules/*' -not -path './.git/*')

[ "$failed" -eq 0 ] && echo "C++ blocks, links and names are right"
exit "$failed"
