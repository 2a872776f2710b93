#!/usr/bin/env python3
"""The open sessions, asked for on the control socket. A list comes in pages: "more" asks for all of them."""
import json, os, socket, sys

runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
connection = socket.socket(socket.AF_UNIX)
connection.connect(f"{runtime}/mcpcred/broker.sock")
connection.sendall(json.dumps({"method": "io.mcpcred.Broker.ListSessions", "parameters": {}, "more": True}).encode() + b"\0")
pending, more = b"", True
while more:
    while b"\0" not in pending:
        pending += connection.recv(65536) or sys.exit("the broker is gone")
    message, pending = pending.split(b"\0", 1)
    reply = json.loads(message)
    if "error" in reply:
        sys.exit(f"{reply['error']}: {reply['parameters'].get('message')}")
    for row in reply["parameters"]["sessions"]:
        print(row["session"], row["state"], row["expires"], ",".join(row["profiles"]), row.get("label") or "")
    more = reply.get("continues", False)
