#!/usr/bin/python3
"""Runs a command in srt, whose proxy goes through a session's socket for the hosts that are given.

usage: srt.py MODULES PROXY-SOCKET HOST[,HOST...] COMMAND [ARGUMENT...]

PROXY-SOCKET may be "session": the proxy.sock beside the session's own socket.
"""

import json
import os
import sys
import tempfile

modules, proxy, hosts, *command = sys.argv[1:]
if proxy == "session":
    proxy = os.path.join(os.path.dirname(os.environ["MCPCRED_SOCK"]), "proxy.sock")
hosts = hosts.split(",")
settings = {
    "network": {
        "allowedDomains": hosts,
        "deniedDomains": [],
        "mitmProxy": {"socketPath": proxy, "domains": hosts},
    },
    "filesystem": {"denyRead": [], "allowWrite": ["/tmp"], "denyWrite": []},
}
with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
    json.dump(settings, file)
entry = os.path.join(modules, "node_modules/@anthropic-ai/sandbox-runtime/dist/cli.js")
os.execvp("node", ["node", entry, "--settings", file.name, *command])
