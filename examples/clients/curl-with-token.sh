#!/bin/sh
# Inside a session: curl-with-token.sh URL. The token goes to curl through a pipe, since arguments are
# for all to see.
#   mcpcred exec github-triage -- examples/clients/curl-with-token.sh https://api.github.com/repos/octo/hello
set -eu
printf 'header = "Authorization: Bearer %s"\n' "$(mcpcred token)" | curl --fail --silent --show-error --config - "$1"
