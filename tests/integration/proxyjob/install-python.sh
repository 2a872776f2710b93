#!/bin/sh
# Makes a Python environment with the packages that the tests use, outside the sources.
# The versions are exact, so that a test says the same thing tomorrow.
#
#   install-python.sh DIR
set -eu

packages="requests==2.34.2 httpx==0.28.1 openai==3.57.0 anthropic==2.14.0 boto3==1.44.8"

[ $# -eq 1 ] || { echo "usage: install-python.sh DIR" >&2; exit 2; }
dir=$(realpath -m -- "$1")
root=$(cd "$(dirname "$0")/../../.." && pwd -P)
case $dir/ in
"$root"/build*/?*) ;; # a build folder, which is no part of the sources
"$root"/*) echo "install-python.sh: $dir is among the sources" >&2; exit 2 ;;
esac

[ "$(cat "$dir/packages" 2>/dev/null)" != "$packages" ] || exit 0
[ -x "$dir/bin/python" ] || /usr/bin/python3 -m venv "$dir"
# shellcheck disable=SC2086  # one word a package
"$dir/bin/pip" install --quiet --disable-pip-version-check $packages
echo "$packages" >"$dir/packages"
