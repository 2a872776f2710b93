#!/usr/bin/env python3
"""The token of the session that this runs in, in ten lines of varlink. Usage: session_token.py [PROFILE]"""
import json, os, socket, sys

if "MCPCRED_FD" in os.environ:  # inherited, and already connected
    connection, parameters = socket.socket(fileno=int(os.environ["MCPCRED_FD"])), {}
else:
    connection, parameters = socket.socket(socket.AF_UNIX), {"session": os.environ["MCPCRED_SESSION"]}
    connection.connect(os.environ["MCPCRED_SOCK"])
if sys.argv[1:]:
    parameters["profile"] = sys.argv[1]
connection.sendall(json.dumps({"method": "io.mcpcred.Session.GetToken", "parameters": parameters}).encode() + b"\0")
reply = b""
while not reply.endswith(b"\0"):
    reply += connection.recv(65536) or sys.exit("the session is over")
reply = json.loads(reply[:-1])
sys.exit(f"{reply['error']}: {reply['parameters'].get('message')}") if "error" in reply else print(reply["parameters"]["token"])
