#!/bin/sh
# Installs what the tests need, builds, and runs all suites. As root or as an ordinary user.
#
#   tests/run.sh               everything that fits into a quarter of an hour
#   tests/run.sh --long        also valgrind, the static checkers and long fuzzing
#   tests/run.sh --suite NAME  one suite: unit, confine, fuzz, integration, faults (which takes long)
#
# Builds go to build-tests/ and build-asan/ in the tree, or to $MCPCRED_TEST_BUILD.
set -eu
cd "$(dirname "$0")/.."

long= suite=
while [ $# -gt 0 ]; do
        case $1 in
        --long) long=1 ;;
        --suite) suite=$2; shift ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
        esac
        shift
done

examples/install-packages.sh tests

build=${MCPCRED_TEST_BUILD:-build-tests}
asan=${MCPCRED_TEST_BUILD:+$MCPCRED_TEST_BUILD-asan}
asan=${asan:-build-asan}
npm_modules=${MCPCRED_NODE_MODULES:-$(realpath -m -- "$build")/node}

setup() { # DIR ARGS...: configures once, and again when the options changed
        dir=$1
        shift
        if [ -f "$dir/build.ninja" ]; then
                meson setup --reconfigure "$dir" "$@" >"$dir/setup.log" 2>&1 || { cat "$dir/setup.log" >&2; exit 1; }
        else
                mkdir -p "$dir"
                meson setup "$dir" "$@" >"$dir/setup.log" 2>&1 || { cat "$dir/setup.log" >&2; exit 1; }
        fi
}

echo "== building"
setup "$build" -Dwerror=true
ninja -C "$build" >"$build/ninja.log" 2>&1 || { cat "$build/ninja.log" >&2; exit 1; }

# The Model Context Protocol's own client, real servers, and clients of the proxy, outside the sources.
if [ -z "$suite" ] || [ "$suite" = integration ]; then
        tests/integration/mcp/install.sh "$npm_modules" >"$build/npm.log" 2>&1 || { cat "$build/npm.log" >&2; exit 1; }
        tests/integration/proxyjob/install-python.sh "$build/python" >"$build/pip.log" 2>&1 || { cat "$build/pip.log" >&2; exit 1; }
        export MCPCRED_NODE_MODULES="$npm_modules"
fi

failed=0
run() { # NAME, then a command
        name=$1
        shift
        echo "== $name"
        "$@" || { failed=1; echo "== $name FAILED"; }
}

meson_suites() { # DIR SUITE...
        dir=$1
        shift
        args=
        for one in "$@"; do
                args="$args --suite $one"
        done
        # shellcheck disable=SC2086  # one word an option
        meson test -C "$dir" --print-errorlogs --no-rebuild $args
}

if [ -n "$suite" ]; then
        run "$suite" meson_suites "$build" "$suite"
        [ "$suite" != faults ] || cat "$build"/tests/integration/faults/*.table
        exit $failed
fi

run "unit, fuzz corpora, confinement" meson_suites "$build" unit fuzz confine
run "integration" meson_suites "$build" integration

echo "== building with address and undefined-behaviour sanitizers"
setup "$asan" -Dwerror=true -Db_sanitize=address,undefined -Db_lundef=false
ninja -C "$asan" >"$asan/ninja.log" 2>&1 || { cat "$asan/ninja.log" >&2; exit 1; }
run "unit and fuzz corpora under sanitizers" meson_suites "$asan" unit fuzz

[ -z "$long" ] || run "long form" tests/long.sh "$build"

if [ "$failed" = 0 ]; then
        echo "== all suites passed"
fi
exit $failed
