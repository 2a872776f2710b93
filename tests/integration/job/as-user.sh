#!/bin/sh
# Runs a test as an ordinary user who is made for it and removed again. Needs root, and sources and
# build where that user can read them; else it says with status 77 that the test was skipped.
#
#   as-user.sh COMMAND [ARGUMENT...]
set -eu

[ $# -gt 0 ] || { echo "usage: as-user.sh COMMAND [ARGUMENT...]" >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" -eq 0 ] || { echo "not root: the test itself runs as an ordinary user" >&2; exit 77; }

user=mcpcred-test-$$
useradd --no-create-home --home-dir "/home/$user" --shell /bin/sh "$user"
trap 'userdel "$user" 2>/dev/null || :' EXIT
trap 'exit 130' INT TERM
uid=$(id -u "$user")
gid=$(id -g "$user")
as_user="setpriv --reuid $uid --regid $gid --clear-groups --"

for path in "$@" ${MCPCRED_BUILD:+"$MCPCRED_BUILD/libexec/mcpcred-vault"} ${MCPCRED_NODE_MODULES:+"$MCPCRED_NODE_MODULES"}; do
        case $path in
        /*) $as_user test -r "$path" || { echo "an ordinary user cannot read $path" >&2; exit 77; } ;;
        esac
done
status=0
$as_user env HOME="/home/$user" "$@" || status=$?
exit "$status"
