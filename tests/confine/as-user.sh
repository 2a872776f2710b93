#!/bin/sh
# Runs a test program as the user that its first argument names: "root", or "user" for an ordinary
# one. Root stands for the second by a number that no account has; who is not root is an ordinary
# user already. The program is copied, since the build folder may be closed to others.
set -eu
who=$1
program=$2

uid=$(id -u)
if [ "$who" = root ]; then
        if [ "$uid" -ne 0 ]; then
                echo "1..0 # SKIP needs root"
                exit 0
        fi
        exec "$program"
fi
if [ "$uid" -ne 0 ]; then
        exec "$program"
fi
if ! command -v setpriv >/dev/null; then
        echo "1..0 # SKIP needs setpriv to become an ordinary user"
        exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cp "$program" "$folder/"
chmod 755 "$folder/${program##*/}"
cd /
setpriv --reuid 61184 --regid 61184 --clear-groups --inh-caps=-all -- "$folder/${program##*/}"
