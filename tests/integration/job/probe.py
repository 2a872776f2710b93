#!/usr/bin/python3
"""What a process sees from inside a session; prints it as JSON, and never a token.

usage: probe.py MCPCRED CONTROL-SOCKET
"""

import hashlib
import json
import os
import socket
import subprocess
import sys

MCPCRED, CONTROL = sys.argv[1:3]
TOKEN = "GITHUB_PERSONAL_ACCESS_TOKEN"


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def connect(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError as error:
            return error.strerror
    return "connected"


def run(*arguments, **variables):
    """With the session's descriptor, as any child of a server may have it."""
    environment = {name: value for name, value in {**os.environ, **variables}.items() if value is not None}
    done = subprocess.run(
        [MCPCRED, *arguments], env=environment, pass_fds=[3], capture_output=True, text=True, check=False
    )
    return {"status": done.returncode, "out": digest(done.stdout.strip()), "err": done.stderr}


def texts_of_this_process():
    found = []
    for name in ("environ", "cmdline"):
        with open(f"/proc/self/{name}", encoding="utf-8", errors="replace") as file:
            found.append(file.read())
    return "\n".join(found)


print(
    json.dumps(
        {
            "environment": sorted(os.environ),
            "run": sorted(os.listdir("/run")) if os.path.isdir("/run") else None,
            "control": connect(CONTROL),
            "session_path": connect(os.environ["MCPCRED_SOCK"]),
            "token": digest(os.environ[TOKEN]),
            "token_length": len(os.environ[TOKEN]),
            "private_key": "PRIVATE KEY" in texts_of_this_process(),
            "by_descriptor": run("token", MCPCRED_SOCK=None, MCPCRED_SESSION=None),
            "exec": run("exec", "github", "--", "/bin/true"),
            "bound_control": run("status", "--runtime", "/run/control") if os.path.isdir("/run/control") else None,
        }
    )
)
