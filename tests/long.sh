#!/bin/sh
# The long form of the tests: valgrind, the static checkers, the other TLS library, and fuzzing.
#
#   tests/long.sh BUILD                 all of it, with the build in BUILD
#   tests/long.sh BUILD PART...         of valgrind, clang-tidy, cppcheck, openssl, fuzz, faults, analyzer
#
# The analyzer of gcc is not among "all": of C with cleanup attributes it reports mostly itself.
# $FUZZ_SECONDS (60) is the time of each target. Further builds go beside BUILD.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
build=$1
shift
[ $# -gt 0 ] || set -- valgrind clang-tidy cppcheck openssl fuzz faults
jobs=$(nproc)
mkdir -p "$build/long"

sources() { # all of ours that the daemon, the providers and the client are built from
        find broker providers client-lib -name '*.c' | sort
}

setup() { # DIR ARGS...
        dir=$1
        shift
        if [ -f "$dir/build.ninja" ]; then set -- --reconfigure "$@"; fi
        mkdir -p "$dir"
        meson setup "$dir" "$@" >"$dir/setup.log" 2>&1 || { cat "$dir/setup.log" >&2; return 1; }
}

# memfd_secret() is unknown to valgrind, so this also runs the fallback of the arena. Each Check test is
# a process of its own, and its exit status is what tells. Left out is what needs pidfd_open(), which
# valgrind does not know either, the check of the tree, and (by tag) who runs out of descriptors on purpose,
# since valgrind keeps some of them for itself.
valgrind_tests() {
        wrapper="valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite"
        wrapper="$wrapper --trace-children=yes --trace-children-skip=/usr/*,/bin/*"
        names=$(meson test -C "$build" --no-rebuild --list --suite unit 2>/dev/null | sed -n 's#^mcpcred:unit / ##p' |
                grep -vE '^(supervisor-(attest|lifeline|child|notify)|tree)$')
        wrapper="$wrapper --suppressions=$PWD/tests/valgrind.supp"
        # shellcheck disable=SC2086  # one word a test
        CK_EXCLUDE_TAGS=descriptors CK_TIMEOUT_MULTIPLIER=30 meson test -C "$build" --suite unit --print-errorlogs \
                --timeout-multiplier 20 --num-processes "$jobs" --logbase valgrind --wrapper "$wrapper" $names \
                >"$build/long/valgrind.log" 2>&1 || {
                tail -n 200 "$build/long/valgrind.log" >&2
                return 1
        }
}

# Reads the flags of clang's own build, since gcc's has options that clang does not know.
clang_tidy() {
        CC=clang setup "$build-clang" -Dwerror=true || return 1
        ninja -C "$build-clang" >"$build-clang/ninja.log" 2>&1 || { cat "$build-clang/ninja.log" >&2; return 1; }
        sources | xargs -P "$jobs" -n 8 clang-tidy -p "$build-clang" --quiet >"$build/long/clang-tidy.log" \
                2>/dev/null || {
                grep -E '(warning|error):' "$build/long/clang-tidy.log" | sort -u >&2
                return 1
        }
}

# What is silenced stands at its place in the code, with the reason; here is only what is so everywhere:
#   missingInclude...   system headers are not read
#   unmatchedSuppression  versions differ in what they find
#   json_..._foreach  are jansson's, whose header is not read
#   memleak  knows no cleanup attributes; AddressSanitizer and valgrind look for the same
cpp_check() {
        mkdir -p "$build/long/cppcheck"
        sources | cppcheck --file-list=- --quiet -j "$jobs" --std=c11 --language=c --enable=warning,portability,performance \
                --inline-suppr --error-exitcode=1 --suppress=missingInclude --suppress=missingIncludeSystem \
                --suppress=unmatchedSuppression --suppress=memleak --cppcheck-build-dir="$build/long/cppcheck" \
                '-Djson_array_foreach(array,i,value)=for (i = 0; (value = json_array_get(array, i)); i++)' \
                '-Djson_object_foreach(object,key,value)=for (key = json_first(object); (value = json_object_get(object, key));)' \
                -Ibroker -I. -Iclient-lib -D_GNU_SOURCE -D__linux__ -D__x86_64__ '-DMCPCRED_VERSION="0"' \
                >"$build/long/cppcheck.log" 2>&1 || {
                cat "$build/long/cppcheck.log" >&2
                return 1
        }
}

# TLS towards the sandbox by the other library: what knows of it is the session's process. With gcc and clang, since
# the headers are others.
openssl_tests() {
        for compiler in clang gcc; do
                dir="$build-openssl-$compiler"
                CC=$compiler setup "$dir" -Dwerror=true -Dtls=openssl || return 1
                ninja -C "$dir" broker/session/mcpcred-session >"$dir/ninja.log" 2>&1 || { cat "$dir/ninja.log" >&2; return 1; }
        done
        # The whole of the latter, for the tests.
        ninja -C "$dir" >"$dir/ninja.log" 2>&1 || { cat "$dir/ninja.log" >&2; return 1; }
        names=$(meson test -C "$dir" --no-rebuild --list 2>/dev/null |
                sed -n 's#^mcpcred:[a-z]* / \(session-.*\|proxy-\(front\|handles\|hostile\|serve\|tls\)\)$#\1#p' | sort -u)
        # shellcheck disable=SC2086  # one word a test
        meson test -C "$dir" --no-rebuild --print-errorlogs --num-processes "$jobs" $names >"$build/long/openssl.log" 2>&1 || {
                tail -n 200 "$build/long/openssl.log" >&2
                return 1
        }
}

fuzz() {
        CC=clang setup "$build-fuzz" -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
                -Dc_args=-fsanitize=fuzzer-no-link || return 1
        ninja -C "$build-fuzz" >"$build-fuzz/ninja.log" 2>&1 || { cat "$build-fuzz/ninja.log" >&2; return 1; }
        bad=0
        for target in "$build-fuzz"/tests/fuzz/fuzz-*; do
                [ -f "$target" ] && [ -x "$target" ] || continue
                name=${target##*/fuzz-}
                found="$build/long/corpus-$name"
                mkdir -p "$found"
                # The second folder is only read: what is new stays outside the sources.
                if "$target" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
                        -artifact_prefix="$build/long/$name-" "$found" "tests/fuzz/corpus/$name" \
                        >"$build/long/fuzz-$name.log" 2>&1; then
                        echo "   $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/long/fuzz-$name.log") runs"
                else
                        tail -n 60 "$build/long/fuzz-$name.log" >&2
                        bad=1
                fi
        done
        return $bad
}

# Every step of every operation in every way; an hour or so.
faults() {
        MCPCRED_BUILD="$build" /usr/bin/python3 tests/integration/faults/faults.py --long --jobs "$jobs" \
                --table "$build/long/faults.table" >"$build/long/faults.log" 2>&1 || {
                cat "$build/long/faults.table" >&2
                return 1
        }
}

analyzer() {
        CC=gcc setup "$build-analyzer" -Dc_args=-fanalyzer -Dtests=false || return 1
        ninja -C "$build-analyzer" >"$build/long/analyzer.log" 2>&1 || return 1
        ! grep 'warning:' "$build/long/analyzer.log" | sort -u >&2
}

failed=0
for part in "$@"; do
        echo "== long: $part"
        case $part in
        valgrind) valgrind_tests ;;
        clang-tidy) clang_tidy ;;
        cppcheck) cpp_check ;;
        openssl) openssl_tests ;;
        fuzz) fuzz ;;
        faults) faults ;;
        analyzer) analyzer ;;
        *) echo "unknown part: $part" >&2; exit 2 ;;
        esac || { failed=1; echo "== long: $part FAILED"; }
done
exit $failed
