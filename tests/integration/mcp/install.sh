#!/bin/sh
# Installs the MCP packages that the tests use into a directory outside the sources.
# The versions are exact, so that a test says the same thing tomorrow.
#
#   install.sh DIR
set -eu

SDK=@modelcontextprotocol/sdk@1.32.2
SERVER=@modelcontextprotocol/server-github@2025.4.8

[ $# -eq 1 ] || { echo "usage: install.sh DIR" >&2; exit 2; }
dir=$(realpath -m -- "$1")
root=$(cd "$(dirname "$0")/../../.." && pwd -P)
case $dir/ in
"$root"/build*/?*) ;; # a build folder, which is no part of the sources
"$root"/*) echo "install.sh: $dir is among the sources" >&2; exit 2 ;;
esac

# Not with --prefix: npm would look for the machine's npmrc (registry, certificates) below it.
mkdir -p "$dir"
cd "$dir"
[ -f package.json ] || echo '{ "private": true }' >package.json
exec npm install --no-save --no-package-lock --ignore-scripts \
	--no-audit --no-fund --loglevel=error "$SDK" "$SERVER"
