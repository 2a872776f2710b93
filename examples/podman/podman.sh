#!/bin/sh
# podman.sh PROFILE IMAGE COMMAND [ARGUMENT...]: the command in a container without a network. The session's
# directory is a volume, at its own path, since the variables name it; socat, which the image has to have, brings
# its proxy socket to the port that they name. Rootless: the container's root is this user, whom the socket expects.
set -eu
profile=$1 image=$2
shift 2
variables=$(mktemp -u)
trap 'rm -f "$variables"' EXIT
directory=$(mcpcred open "$profile" --pid $$ --proxy 127.0.0.1:3128 --sandboxed --env-file "$variables" --json |
        sed -n 's/.*"directory": *"\([^"]*\)".*/\1/p')
podman run --rm --interactive --network none --cap-drop all --security-opt no-new-privileges \
        --volume "$directory:$directory:ro" --env-file "$variables" --env PROXY_SOCKET="$directory/proxy.sock" \
        "$image" sh -c '
                socat TCP-LISTEN:3128,bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:"$PROXY_SOCKET" &
                until socat /dev/null TCP:127.0.0.1:3128 2>/dev/null; do sleep 0.1; done
                exec "$@"' sh "$@"
