#!/bin/sh
# Links every role executable of a build into its libexec folder.
set -eu
cd "$1"
mkdir -p libexec
for role in gate session vault keyring egress; do
        ln -sfn "../broker/$role/mcpcred-$role" "libexec/mcpcred-$role"
done
ln -sfn ../providers/mcpcred-provider libexec/mcpcred-provider
