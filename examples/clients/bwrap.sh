#!/bin/sh
# bwrap.sh PROFILE COMMAND [ARGUMENT...]: the command in a bubblewrap sandbox, with a session of its own.
# The sandbox sees neither the bus nor the control socket; MCPCRED_FD, an inherited socket, still works.
set -eu
profile=$1
shift
exec mcpcred exec "$profile" --label "bwrap ${1##*/}" -- \
        bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /run --tmpfs /tmp --unshare-all --share-net \
        --die-with-parent "$@"
