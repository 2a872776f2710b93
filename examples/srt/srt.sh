#!/bin/sh
# srt.sh PROFILE COMMAND [ARGUMENT...]: the command in srt (npm: @anthropic-ai/sandbox-runtime), whose proxy goes
# through the session's proxy socket. srt lets through what is named in settings.json, and the profile's rules
# decide on it. Variables with handles and certificates come from the session; srt sets those for its proxy.
set -eu
profile=$1
shift
exec mcpcred exec "$profile" --label "srt ${1##*/}" -- sh -c '
        settings=$(mktemp)
        trap "rm -f \"$settings\"" EXIT
        sed "s|@PROXY@|${MCPCRED_SOCK%/*}/proxy.sock|" "$0" >"$settings"
        srt --settings "$settings" "$@"' "$(dirname "$0")/settings.json" "$@"
