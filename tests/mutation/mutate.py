#!/usr/bin/env python3
"""Writes small defects into a copy of the sources, each switched on by its number at run time.

usage: mutate.py SOURCE_TREE TABLE COUNT [FOLDER...]

SOURCE_TREE is a copy: its files are changed in place. TABLE receives one line a mutant: number, file,
line, operator, and the code that it changes, separated by tabs. Which places are changed depends on
their text alone: they are ordered by a hash of it, and the first COUNT of them are taken, from each
folder in proportion to its size, with each operator weighted by the square root of its places.
"""

import hashlib
import math
import re
import sys
from pathlib import Path

FOLDERS = ["codec", "definition", "core", "async", "engine",
           "stores/common", "stores/memory", "stores/sqlite", "stores/postgres"]

KEYWORDS = {
    "return", "co_return", "co_yield", "throw", "if", "for", "while", "switch", "case", "break",
    "continue", "else", "using", "static", "const", "auto", "namespace", "struct", "class", "typedef",
    "template", "do", "try", "catch", "default", "public", "private", "protected", "goto", "delete",
    "assert", "static_assert", "constexpr", "inline", "explicit", "virtual", "friend", "operator",
    "new", "sizeof", "enum", "union", "extern", "volatile", "requires", "concept", "noexcept",
}


def blank(text):
    """The text with comments, literals and preprocessor lines replaced by spaces of the same length."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-zA-Z_])\'(?:\\.|[^\'\\\n])+\''
        r'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*',
        re.S | re.M)

    def fill(match):
        found = match.group(0)
        body = "".join("\n" if c == "\n" else " " for c in found)
        if found[0] in "\"'R":  # a literal stays an operand
            body = body.replace(" ", "L")
        return body

    return pattern.sub(fill, text)


def matching(code, start):
    """The position of the bracket that closes the one at start; -1 when there is none."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    stack = []
    for i in range(start, len(code)):
        c = code[i]
        if c in pairs:
            stack.append(pairs[c])
        elif c in ")}]":
            if not stack or stack.pop() != c:
                return -1
            if not stack:
                return i
    return -1


def function_scopes(code):
    """For each position, whether the innermost brace around it opens a function's body."""
    inside = [False] * len(code)
    stack = []
    head = 0
    for i, c in enumerate(code):
        if c == "{":
            text = code[head:i]
            is_type = re.search(r"\b(class|struct|enum|namespace|union)\b[^()]*$", text)
            previous = text.rstrip()[-1:] if text.strip() else ""
            is_body = previous == ")" or re.search(
                r"(\)|\bconst|\bnoexcept|\boverride|\bfinal|\bmutable|\belse|\btry|\bdo|->\s*[\w:<>, ]+)$",
                text.rstrip()) or (text.strip() == "" and bool(stack) and stack[-1] is True)
            stack.append(False if is_type else bool(is_body) or (bool(stack) and stack[-1] and previous == ":"))
            head = i + 1
        elif c == "}":
            if stack:
                stack.pop()
            head = i + 1
        elif c == ";":
            head = i + 1
        inside[i] = bool(stack) and stack[-1] is True
    return inside


class Mutant:
    def __init__(self, file, start, end, operator, make, original):
        self.file, self.start, self.end = file, start, end
        self.operator, self.make, self.original = operator, make, original
        self.line = 0
        self.folder = 0
        self.key = ""


def is_declaration(condition):
    return re.match(r"\s*(const\s+)?(auto|[\w:]+(<.*>)?)\s*[*&]*\s*(const\s+)?\w+\s*=[^=]", condition) is not None


def split_operands(condition, operator):
    """The top-level operands of one logical operator as (start, end); empty when another is there."""
    depth, last, parts = 0, 0, []
    other = "||" if operator == "&&" else "&&"
    i = 0
    while i < len(condition):
        c = condition[i]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif depth == 0 and condition[i:i + 2] == other:
            return []
        elif depth == 0 and condition[i:i + 2] == operator:
            parts.append((last, i))
            last = i + 2
            i += 1
        i += 1
    parts.append((last, len(condition)))
    return parts if len(parts) > 1 else []


def find_mutants(name, text):
    code = blank(text)
    scope = function_scopes(code)
    found = []

    def in_constant(position):
        line = code[code.rfind("\n", 0, position) + 1:position]
        outermost = code[code.rfind("\n}", 0, position) + 1:position]
        return (re.search(r"\b(constexpr|static_assert)\b", line) is not None or
                re.search(r"^(static |inline )*(constexpr|consteval)\b[^;=]*\{", outermost, re.M) is not None)

    def add(start, end, operator, make):
        if not in_constant(start):
            found.append(Mutant(name, start, end, operator, make, " ".join(text[start:end].split())))

    for match in re.finditer(r"\bif \(", code):
        open_at = match.end() - 1
        close_at = matching(code, open_at)
        if close_at < 0 or not scope[match.start()]:
            continue
        condition = code[open_at + 1:close_at]
        if ";" in condition or is_declaration(condition):
            continue
        inner = text[open_at + 1:close_at]
        add(open_at + 1, close_at, "negate condition",
            lambda n, inner=inner: f"PAWL_MUTANT({n}) != static_cast<bool>({inner})")
        for operator in ("&&", "||"):
            for start, end in split_operands(condition, operator):
                operand = text[open_at + 1 + start:open_at + 1 + end].strip()
                lead = len(condition[start:end]) - len(condition[start:end].lstrip())
                trail = len(condition[start:end]) - len(condition[start:end].rstrip())
                forced = "true" if operator == "&&" else "false"
                form = ("(PAWL_MUTANT({n}) || static_cast<bool>({o}))" if operator == "&&" else
                        "(!PAWL_MUTANT({n}) && static_cast<bool>({o}))")
                add(open_at + 1 + start + lead, open_at + 1 + end - trail, f"operand always {forced}",
                    lambda n, o=operand, form=form: form.format(n=n, o=o))

    statement = re.compile(
        r"(?<=\n)[ ]+((?:co_await )?(?:\+\+|--|\*)?([A-Za-z_]\w*)(?:(?:::|\.|->)\w+|\(\)|\[[^\]\n]*\])*(?:\(|\s[-+|]?=\s))")
    for match in statement.finditer(code):
        start = match.start(1)
        first = match.group(2)
        if first in KEYWORDS or not scope[start] or first.startswith(("BOOST_", "PAWL_")):
            continue
        before = code[:start].rstrip()
        if before[-1:] not in (";", "{", "}", ")", ":") and not before.endswith("else"):
            continue
        if before[-1:] == ":" and before[-2:-1] in ("?", ":"):
            continue
        if before[-1:] == ")" and not re.search(r"\b(if|for|while)\b[^;{}]*\)$|\)\s*$", before[-300:]):
            continue
        end, depth = start, 0
        while end < len(code):
            if code[end] in "([{":
                depth += 1
            elif code[end] in ")]}":
                depth -= 1
                if depth < 0:
                    break
            elif code[end] == ";" and depth == 0:
                break
            end += 1
        if depth != 0 or end >= len(code) or end - start > 600:
            continue
        whole = text[start:end + 1]
        add(start, end + 1, "remove statement", lambda n, w=whole: f"{{ if (!PAWL_MUTANT({n})) {w} }}")

    for match in re.finditer(r"(?<=\w|\)) ([+-]) 1(?![\w.'])", code):
        if scope[match.start()]:
            add(match.start(), match.end(), "one less of a constant",
                lambda n, s=match.group(1): f" {s} (PAWL_MUTANT({n}) ? 0 : 1)")

    for match in re.finditer(r"\b(co_return|return) (true|false);", code):
        if scope[match.start()]:
            value = match.group(2)
            add(match.start(), match.end(), "other result",
                lambda n, r=match.group(1), v=value:
                f"{r} PAWL_MUTANT({n}) != {v};")

    operand = r"[\w.:]+(?:->[\w.:]+)*(?:\(\))?(?:[.\w]+)?"
    for match in re.finditer(rf"(\*?{operand}) (<=|>=|<|>) (\*?{operand})(?= &&| \|\||\)|;| \?)", code):
        if not re.search(r"(\(|&&\s|\|\|\s|=\s|\breturn\s)$", code[max(0, match.start() - 8):match.start()]):
            continue
        if not scope[match.start()]:
            continue
        left, symbol, right = (text[match.start(i):match.end(i)] for i in (1, 2, 3))
        other = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}[symbol]
        add(match.start(), match.end(), "boundary",
            lambda n, l=left, r=right, s=symbol, o=other: f"(PAWL_MUTANT({n}) ? {l} {o} {r} : {l} {s} {r})")
    return found


def by_weight(mutants):
    """In order of their hashes, but so that an operator with many places does not crowd out the others."""
    queues = {}
    for mutant in sorted(mutants, key=lambda m: m.key):
        queues.setdefault(mutant.operator, []).append(mutant)
    places = []
    for queue in queues.values():
        places += [((i + 0.5) / math.sqrt(len(queue)), m.key, m) for i, m in enumerate(queue)]
    return [mutant for _, _, mutant in sorted(places, key=lambda p: p[:2])]


def main():
    tree, table, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    folders = sys.argv[4:] or FOLDERS
    by_folder = {}
    texts = {}
    for folder in folders:
        for path in sorted((tree / "src" / folder).rglob("*.cpp")):
            name = str(path.relative_to(tree))
            texts[name] = path.read_text()
            seen = {}
            for mutant in find_mutants(name, texts[name]):
                label = f"{name}:{mutant.operator}:{mutant.original}"
                seen[label] = seen.get(label, 0) + 1
                mutant.key = hashlib.sha256(f"{label}:{seen[label]}".encode()).hexdigest()
                mutant.line = texts[name].count("\n", 0, mutant.start) + 1
                mutant.folder = folders.index(folder)
                by_folder.setdefault(folder, []).append(mutant)
    total = sum(map(len, by_folder.values()))
    chosen = []
    for folder, mutants in by_folder.items():
        share = max(1, round(count * len(mutants) / total))
        taken = []
        for mutant in by_weight(mutants):
            if len(taken) == share:
                break
            if all(mutant.file != t.file or mutant.end <= t.start or t.end <= mutant.start for t in taken):
                taken.append(mutant)
        chosen += taken
    chosen.sort(key=lambda m: (m.folder, m.file, m.start))
    with table.open("w") as out:
        for number, mutant in enumerate(chosen, 1):
            mutant.number = number
            out.write(f"{number}\t{mutant.file}\t{mutant.line}\t{mutant.operator}\t{mutant.original[:160]}\n")
    for name, text in texts.items():
        edits = sorted((m for m in chosen if m.file == name), key=lambda m: -m.start)
        for mutant in edits:
            text = text[:mutant.start] + mutant.make(mutant.number) + text[mutant.end:]
        if edits:
            (tree / name).write_text('#include "core/mutant.hpp"\n' + text)
    (tree / "src/core/mutant.hpp").write_text(
        "#pragma once\n#include <cstdlib>\nnamespace pawl::core {\n"
        "inline const int chosen_mutant = [] {\n"
        '    const char* text = std::getenv("PAWL_MUTANT");\n    return text ? std::atoi(text) : 0;\n}();\n'
        "}\n#define PAWL_MUTANT(number) (::pawl::core::chosen_mutant == (number))\n")
    print(f"{len(chosen)} of {total} places")


main()
