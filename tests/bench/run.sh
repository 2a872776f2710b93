#!/bin/sh
# Builds for speed, apart from other builds, and prints the benchmarks' figures.
#
#   tests/bench/run.sh [PAIRS]                     in build-bench/, or in $MCPCRED_BUILD as it is
#   tests/bench/run.sh containment [OPTION...]     revocation: containment.py
#   tests/bench/run.sh scan [PAIRS] [TREE...]      searching, beside ripgrep: scan_bench.py
set -eu
cd "$(dirname "$0")/../.."

if [ -z "${MCPCRED_BUILD-}" ]; then
        MCPCRED_BUILD=$PWD/build-bench
        [ -f "$MCPCRED_BUILD/build.ninja" ] || meson setup "$MCPCRED_BUILD" --buildtype=release >/dev/null
        ninja -C "$MCPCRED_BUILD" >/dev/null
fi
export MCPCRED_BUILD
if [ "${1-}" = containment ]; then
        shift
        exec /usr/bin/python3 tests/bench/containment.py "$@"
fi
if [ "${1-}" = scan ]; then
        shift
        exec /usr/bin/python3 tests/bench/scan_bench.py "$@"
fi
exec /usr/bin/python3 tests/bench/bench.py "$@"
