#!/usr/bin/python3
"""Stands in for mcpcred-provider: answers a mint with the token in the file named by its own path + ".token"."""

import array
import os
import socket
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "provider"))

import roleframe  # noqa: E402


def answer(method):
    if method == roleframe.PROVIDER_METHODS["Verify"][0]:
        return roleframe.VERIFY_REPLY.encode({"identity": "somebody", "checked": True, "rights_known": False, "rights": []})
    if method == roleframe.PROVIDER_METHODS["Revoke"][0]:
        return roleframe.REVOKE_REPLY.encode({"probed": True})
    with open(os.path.abspath(__file__) + ".token", "rb") as file:
        token = file.read()
    granted = {"repositories": ["octo/hello"], "permissions": {"contents": "read"}}
    expires = int((time.time() + 3600) * 1000000)
    return roleframe.MINT_REPLY.encode({"token": token, "expires": expires, "granted": granted})


def main():
    with socket.socket(fileno=3) as supervisor:
        data, extra, _, _ = supervisor.recvmsg(1 << 17, 1024)
        method, _, serial, _ = roleframe.parse_frame(data)
        supervisor.send(roleframe.frame(method, roleframe.REPLY, serial, b""))
        with socket.socket(fileno=array.array("i", extra[0][2][:4])[0]) as vault:
            method, _, serial, _ = roleframe.parse_frame(vault.recv(1 << 17))
            vault.send(roleframe.frame(method, roleframe.REPLY, serial, answer(method)))
            vault.recv(1)


main()
