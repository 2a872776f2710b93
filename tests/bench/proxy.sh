#!/bin/sh
# Builds for speed, apart from other builds, and prints the figures of the proxy beside others.
#
#   tests/bench/proxy.sh [ROUNDS] [VARIANT...]     in build-bench/, or in $MCPCRED_BUILD as it is
set -eu
cd "$(dirname "$0")/../.."

if [ -z "${MCPCRED_BUILD-}" ]; then
        MCPCRED_BUILD=$PWD/build-bench
        [ -f "$MCPCRED_BUILD/build.ninja" ] || meson setup "$MCPCRED_BUILD" --buildtype=release >/dev/null
        ninja -C "$MCPCRED_BUILD" >/dev/null
fi
export MCPCRED_BUILD
for program in nginx hey mitmdump bwrap socat rg; do
        PATH=$PATH:/usr/sbin command -v $program >/dev/null || { echo "proxy.sh: no $program; the packages are nginx hey mitmproxy bubblewrap socat ripgrep" >&2; exit 1; }
done
exec /usr/bin/python3 tests/bench/proxy_bench.py "$@"
