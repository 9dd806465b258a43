#!/usr/bin/env bash
# recipes.sh SOURCE: the port of vcpkg and the recipe of Conan can be read, have the version of CMakeLists.txt, and have
# an option for each part that CMake has one for. Neither tool is needed, and nothing is built.
set -euo pipefail
cd "$1/src/package"

version=$(sed -n 's/^project(pawl VERSION \([0-9.]*\) .*/\1/p' ../../CMakeLists.txt)
# Each part that is installed, and the program pawl. Each has an option of CMake.
parts=$({ sed -n 's/^ *pawl_install(\([a-z]*\) .*/\1/p' CMakeLists.txt | grep -vx pawl; echo cli; } | sort)
for part in $parts; do
    grep -q "^option(PAWL_${part^^} " ../../CMakeLists.txt || { echo "CMakeLists.txt has no option for the part $part"; exit 1; }
done

python3 - "$version" $parts <<'PYTHON'
import ast, json, re, sys

version, parts = sys.argv[1], set(sys.argv[2:])
failed = []


def expect(what, found, wanted):
    if found != wanted:
        failed.append(f"{what}: found {found}, expected {wanted}")


port = json.load(open("vcpkg/pawl/vcpkg.json"))
expect("vcpkg.json, version", port["version"], version)
expect("vcpkg.json, features", set(port["features"]), parts)
script = open("vcpkg/pawl/portfile.cmake").read()
expect("portfile.cmake, features", dict(re.findall(r"^ +([a-z]+) (PAWL_[A-Z]+)\)?$", script, re.M)),
       {part: "PAWL_" + part.upper() for part in parts})

recipe = ast.parse(open("conan/conanfile.py").read())
values = {}
for node in ast.walk(recipe):
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        try:
            values[node.targets[0].id] = ast.literal_eval(node.value)
        except ValueError:
            pass
expect("conanfile.py, version", values["version"], version)
expect("conanfile.py, PARTS", set(values["PARTS"]), parts)
expect("conanfile.py, default_options", set(values["default_options"]), parts | {"shared"})
if failed:
    sys.exit("\n".join(failed))
PYTHON
grep -q "^## $version " CHANGELOG.md || { echo "CHANGELOG.md has no section of $version"; exit 1; }
