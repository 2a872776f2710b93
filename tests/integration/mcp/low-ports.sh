#!/bin/sh
# Runs a command in a network namespace of its own, in which there is nothing but
# a loopback and everybody may bind every port.
#
# server-github talks to https://api.github.com and nothing else, so its stand-in
# has to listen on port 443, and a test must neither need root for that nor meet
# whatever listens there already. An ordinary user gets the network namespace by
# way of a user namespace that keeps the uid; root needs no user namespace.
#
#   low-ports.sh COMMAND [ARGUMENT...]
set -eu

[ $# -gt 0 ] || { echo "usage: low-ports.sh COMMAND [ARGUMENT...]" >&2; exit 2; }

PATH=$PATH:/usr/sbin:/sbin
setup='ip link set lo up && echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start'
if [ "$(id -u)" -eq 0 ]; then
	exec unshare --net -- sh -c "$setup"' && exec "$@"' sh "$@"
fi
# Only the preparation has the namespace's capabilities, not the command.
exec unshare --user --map-current-user --keep-caps --net -- sh -c "$setup"' &&
	exec setpriv --ambient-caps=-all --inh-caps=-all -- "$@"' sh "$@"
