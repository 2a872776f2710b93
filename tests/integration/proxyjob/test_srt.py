#!/usr/bin/python3
"""Another sandbox, srt, with its `network.mitmProxy` pointed at a session's proxy socket."""

import json
import os
import socket
import threading
import unittest

from proxyjob import BASE, CLIENTS, DIRECT, ECHO, MODULES, PYTHON, Case, bearer, main
from job import HOME


def tunnel(client):
    """What a proxy on a socket is at its least: any CONNECT leads to the stand-ins."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    server = socket.create_connection(("127.0.0.1", 443))
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    def pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)


def serve_tunnels(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def accept():
        while True:
            client, _ = listener.accept()
            threading.Thread(target=tunnel, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


class Srt(Case):
    def command(self, command, profile, options=()):
        """No sandbox of ours: srt is it."""
        proxy = "session"
        if DIRECT:
            proxy = str(HOME / "tunnel.sock")
            if not os.path.exists(proxy):
                serve_tunnels(proxy)
        inner = ["/usr/bin/python3", CLIENTS + "/srt.py", MODULES, proxy, ECHO + ",api.openai.com", *command]
        if DIRECT:
            return super().command(inner, profile, options)
        return self.exec_command(*inner, profile=profile, options=options)

    def test_works(self):
        ask = [
            {"url": BASE + "/whoami", "headers": bearer()},
            {"url": BASE + "/bytes?size=300000", "headers": bearer()},
            {"url": BASE + "/upload", "method": "POST", "size": 300000, "headers": bearer()},
        ]
        me, down, up = self.batch("requests", "echo", ask)
        self.assertEqual((me["status"], json.loads(me["body"])["key"]), (200, "test"), me)
        self.assertEqual(down["size"], 300000)
        self.assertEqual(json.loads(up["body"])["size"], 300000)
        self.assert_clean()

    @unittest.skipIf(DIRECT, "this is about the proxy")
    def test_is_held(self):
        key = "@{ECHO_KEY}"
        ask = [
            {"url": BASE + "/denied/whoami", "headers": bearer()},
            {"url": "https://api.notion.com/v1/users/me", "headers": bearer()},
            {"url": BASE + "/open/upload", "method": "POST", "body": f"say {key}", "headers": bearer()},
            {"url": BASE + "/open/whoami", "headers": {"X-Other": key}},
            {"url": "https://api.openai.com/v1/models", "headers": bearer()},
        ]
        for answer in self.batch("requests", "echo,openai", ask):
            self.assertTrue("error" in answer or answer["status"] == 403, answer)
        self.assert_clean()

    def test_openai(self):
        said = json.loads(self.run_client([PYTHON, CLIENTS + "/sdk_openai.py"], "openai").out)
        self.assertEqual(said["streamed"], "You said: one two three")
        self.assert_clean()


if __name__ == "__main__":
    main(__file__)
