#!/bin/sh
# Runs the tests with the real MCP packages.
#
#   run.sh DIR    DIR is where install.sh put the packages
set -eu

[ $# -eq 1 ] || { echo "usage: run.sh DIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd -P)
MCP_MODULES=$(cd "$1" && pwd -P)
export MCP_MODULES
/usr/bin/python3 "$here/test_call_tool.py"
exec "$here/low-ports.sh" /usr/bin/python3 "$here/test_server_github.py"
