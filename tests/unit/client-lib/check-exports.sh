#!/bin/sh
# check-exports.sh HEADER LIBRARY: the library exports, under its version, what the header declares, and
# nothing else.
set -eu

declared=$(sed -n 's/^MCPCRED_API .*[ *]\(mcpcred_[a-z0-9_]*\)(.*/\1/p' "$1" | sort)
exported=$(nm -D --defined-only "$2" | sed -n 's/.* T \([^@]*\)@@MCPCRED_0\.1$/\1/p' | sort)
others=$(nm -D --defined-only "$2" | sed -n 's/.* [TDBRVW] \(.*\)/\1/p' | grep -v '@@MCPCRED_0\.1$' || true)

[ -n "$declared" ] || { echo "the header declares nothing"; exit 1; }
[ "$declared" = "$exported" ] || { echo "declared and exported differ:"; printf '%s\n---\n%s\n' "$declared" "$exported"; exit 1; }
[ -z "$others" ] || { echo "exported beside them: $others"; exit 1; }
