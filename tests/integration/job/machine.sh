#!/bin/sh
# Runs a command in a small machine of its own, as the user that calls it: an empty home, /run and
# /tmp, the loopback alone, and process numbers that end with the command. The rest is this system's.
#
# A real MCP client passes neither a runtime directory nor a bus address, so the whole job has to
# work at the standard places; nothing of the user's may be met there, and nothing be left behind.
# Real clients speak to https://api.github.com and others alone, so stand-ins need port 443 and their names.
# The root directory is a new one, since in a user namespace the real one belongs to nobody.
#
#   machine.sh [--keep DIR]... [--host NAME]... -- COMMAND [ARGUMENT...]
#
#   --keep DIR   is in the machine as well
#   --host NAME  is the loopback, as api.github.com is
set -eu

keep= hosts="localhost api.github.com"
while [ $# -gt 0 ]; do
        case $1 in
        --keep) keep="$keep
$(realpath -- "$2")"; shift ;;
        --host) hosts="$hosts $2"; shift ;;
        --) shift; break ;;
        *) break ;;
        esac
        shift
done
[ $# -gt 0 ] || { sed -n '10p' "$0" >&2; exit 2; }

# The part that runs in the new namespaces, with their capabilities. The new root is mounted on /sys,
# which nothing here needs and nobody keeps anything in.
setup='
set -eu
umask 022
ip link set lo up
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
mount -t tmpfs -o mode=755 machine /sys
cd /sys
bind() { mkdir -p ".$1"; mount --rbind "$1" ".$1"; }
for name in bin sbin lib lib64; do
        if [ -L "/$name" ]; then ln -s "$(readlink "/$name")" "$name"
        elif [ -d "/$name" ]; then bind "/$name"
        fi
done
for name in /usr /etc /dev; do bind "$name"; done
mkdir -m 1777 tmp
mkdir -p proc run/user old var
mkdir -m 700 "run/user/$(id -u)"
mkdir -p "./$MACHINE_HOME"
chmod 700 "./$MACHINE_HOME"
printf "127.0.0.1 %s\n" "$MACHINE_HOSTS" >hosts
mount --bind hosts etc/hosts
MACHINE_IFS=$IFS
IFS="
"
# Deeper ones last, or they would be hidden.
for name in $(printf "%s" "$MACHINE_KEEP" | sort); do
        bind "$name"
done
IFS=$MACHINE_IFS
mount -t proc proc proc
pivot_root . old
umount -l /old
rmdir /old
cd "$MACHINE_HOME"
'
MACHINE_KEEP=$keep MACHINE_HOSTS=$hosts
MACHINE_HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
export MACHINE_KEEP MACHINE_HOME MACHINE_HOSTS
PATH=$PATH:/usr/sbin:/sbin

# The shell stays as the first process, which takes in the orphans.
if [ "$(id -u)" -eq 0 ]; then
        exec unshare --mount --net --pid --fork --kill-child --propagation private -- sh -c "$setup"'
                env -u MACHINE_KEEP -u MACHINE_HOME -u MACHINE_HOSTS "$@"
                exit $?' sh "$@"
fi
exec unshare --user --map-current-user --keep-caps --mount --net --pid --fork --kill-child --propagation private -- \
        sh -c "$setup"'
                setpriv --ambient-caps=-all --inh-caps=-all env -u MACHINE_KEEP -u MACHINE_HOME -u MACHINE_HOSTS "$@"
                exit $?' sh "$@"
