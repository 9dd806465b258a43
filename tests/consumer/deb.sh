#!/usr/bin/env bash
# deb.sh BUILD [SUITE [MIRROR]]: the Debian packages of a build folder install in a new Debian and build the quick start
# of README.md there. Default: bookworm, from the mirror that apt uses. Needs root, debootstrap and the mirror, and minutes: it is
# not part of .ci/run. Exit code 77: it cannot run here.
#
# The build folder has been built by Ninja with all libraries; packages of it are written to BUILD/packages.
set -euo pipefail
build=$(cd "${1:?the build folder}" && pwd) suite=${2:-bookworm}
mirror=${3:-$(apt-get indextargets --format '$(REPO_URI)' "Codename: $(. /etc/os-release && echo "$VERSION_CODENAME")" | head -1)}
source=$(cd "$(dirname "$0")/../.." && pwd)

cannot() { echo "deb.sh: left out: $1"; exit 77; }
[ "$(id -u)" -eq 0 ] || cannot "it needs root"
command -v debootstrap >/dev/null || cannot "debootstrap is not installed"

section() { printf '\n=== %s (%s s)\n' "$1" "$SECONDS"; }

section "Packages"
rm -rf "$build/packages"
(cd "$build" && cpack -G DEB >/dev/null)
ls "$build/packages"
for package in "$build"/packages/*.deb; do
    dpkg-deb --field "$package" Package Depends | paste -sd ' '
done
# No file is in two packages.
twice=$(for package in "$build"/packages/*.deb; do dpkg-deb --contents "$package" | awk '$1 !~ /^d/ { print $6 }'; done | sort | uniq -d)
[ -z "$twice" ] || { echo "in two packages: $twice"; exit 1; }

section "A new $suite"
root=$(mktemp -d)
chmod 755 "$root" # for the user of apt
trap 'umount -q "$root/proc" 2>/dev/null || true; rm -rf "$root"' EXIT
debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$build/packages/debootstrap.log" 2>&1 ||
    { tail -3 "$build/packages/debootstrap.log"; cannot "debootstrap failed"; }
chroot "$root" true || cannot "chroot is not allowed"
mount -t proc proc "$root/proc" 2>/dev/null || true

section "Installation"
mkdir "$root/packages"
cp "$build"/packages/*.deb "$root/packages/"
# The package of the SQLite store brings what the quick start needs; apt finds the dependencies.
chroot "$root" env DEBIAN_FRONTEND=noninteractive sh -c '
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends cmake make clang-19 >/dev/null
    apt-get install -y -qq --no-install-recommends /packages/libpawl-dev_*.deb /packages/libpawl-sqlite-dev_*.deb \
        $(ls /packages/libpawl0* /packages/libpawl-sqlite0* 2>/dev/null) >/dev/null
    apt-get check
    [ -z "$(ls /packages/pawl_*.deb 2>/dev/null)" ] || apt-get install -y -qq --no-install-recommends $(ls /packages/pawl_*.deb \
        /packages/libpawl*0.1_* 2>/dev/null) >/dev/null'

section "Quick start"
mkdir "$root/quick"
# The first C++ and CMake blocks of README.md, with the store that it proposes.
block() { awk -v kind="$1" '$0 == "```" kind { inside = 1; next } /^```$/ && inside { exit } inside' "$source/README.md"; }
block cpp | sed -e 's/pawl::open_memory()/pawl::open_sqlite("greetings.db")/' \
    -e '0,/^#include/s//#include <pawl\/sqlite.hpp>\n&/' >"$root/quick/main.cpp"
block cmake >"$root/quick/CMakeLists.txt"
chroot "$root" sh -c 'cd /quick && cmake -B build -DCMAKE_CXX_COMPILER=clang++-19 >/dev/null && cmake --build build >/dev/null && ./build/greetings' |
    tee "$build/packages/output"
grep -qx 'Hello, Ada! in 5 commits' "$build/packages/output"
[ ! -e "$root/usr/bin/pawl" ] || chroot "$root" pawl --help | head -1

section "Removal"
chroot "$root" sh -c 'dpkg-query -W -f "\${Package}\n" | grep pawl | xargs apt-get purge -y -qq >/dev/null 2>&1
    find /usr -name "*pawl*"' | tee "$build/packages/left"
[ ! -s "$build/packages/left" ] || { echo "the packages leave files behind"; exit 1; }
section "Done"
