#!/bin/sh
# Installs the npm packages that the tests use into a directory outside the sources.
# The versions are exact, so that a test says the same thing tomorrow.
#
#   install.sh DIR
set -eu

# The Model Context Protocol: the client's SDK, and servers that have a static key.
packages="@modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server-github@2025.4.8
@modelcontextprotocol/server-brave-search@0.6.2 @notionhq/notion-mcp-server@2.5.2"
# Clients of the proxy, and another sandbox.
packages="$packages openai@7.57.0 @anthropic-ai/sdk@1.14.0 node-fetch@3.3.2 @anthropic-ai/sandbox-runtime@0.0.83"

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
[ "$(cat packages 2>/dev/null)" != "$packages" ] || exit 0
[ -f package.json ] || echo '{ "private": true }' >package.json
# shellcheck disable=SC2086  # one word a package
npm install --no-save --no-package-lock --ignore-scripts \
	--no-audit --no-fund --loglevel=error $packages
echo "$packages" >packages
