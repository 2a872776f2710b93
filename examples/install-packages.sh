#!/bin/sh
# Installs the Debian packages that building needs, if any are missing; with "sandbox" also what `exec --sandbox`
# needs, with "tests" also what testing does.
# Works as root, or as a user who can use sudo; with everything there, it asks nobody for anything.
set -eu

build="gcc meson ninja-build pkg-config libsodium-dev libsecret-1-dev libcurl4-openssl-dev libssl-dev libmbedtls-dev
libjansson-dev libinih-dev zlib1g-dev node-llhttp libsqlite3-dev libseccomp-dev check"
run="python3 python3-cryptography openssl ca-certificates curl"
tests="bubblewrap gnome-keyring dbus dbus-daemon libsecret-tools nodejs npm clang libclang-rt-dev valgrind cppcheck clang-tidy
git strace util-linux procps mandoc gdb gh python3-venv socat ripgrep jq systemd"

wanted="$build $run"
case ${1-} in
sandbox) wanted="$wanted bubblewrap" ;;
tests) wanted="$wanted $tests" ;;
esac

missing=
for package in $wanted; do
        case $package in
        # Any Node.js with npm will do, packaged or not.
        nodejs) command -v node >/dev/null 2>&1 && continue ;;
        npm) command -v npm >/dev/null 2>&1 && continue ;;
        esac
        dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
        as_root=
elif command -v sudo >/dev/null 2>&1; then
        as_root=sudo
else
        echo "These packages are missing, and installing them needs root or sudo:" >&2
        echo "  apt-get install$missing" >&2
        exit 1
fi
echo "Installing:$missing" >&2
$as_root apt-get update -qq
# shellcheck disable=SC2086  # one word a package
DEBIAN_FRONTEND=noninteractive $as_root ${as_root:+env DEBIAN_FRONTEND=noninteractive} \
        apt-get install -y -qq --no-install-recommends $missing >&2
