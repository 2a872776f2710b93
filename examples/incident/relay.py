#!/usr/bin/python3
"""Hands webhooks of secret scanners to the broker.

    relay.py SECRET [PORT]

Listens on 127.0.0.1 for GitHub's and GitGuardian's webhooks; bring them there by what you use for that (a tunnel, a
reverse proxy with TLS), since the broker itself listens to no network. SECRET is the stored key of the webhooks
(`mcpcred add hook --provider webhook`), by which the broker checks each signature: nothing is done about a body that
is not signed. What it says goes back as a status, so that the sender tries again where the broker was away.
"""
import http.server
import os
import subprocess
import sys
import tempfile

BODY_MAX = 25 << 20  # GitHub sends no more
SIGNED = ("x-hub-signature-256", "x-github-event", "gitguardian-signature", "timestamp", "content-type")
# What `mcpcred leak report` ends with, and what the sender is told.
ANSWERS = {0: 204, 8: 204, 2: 400, 5: 401}


class Relay(http.server.BaseHTTPRequestHandler):
    timeout = 30

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > BODY_MAX:
            self.answer(413 if length.isascii() and length.isdigit() else 411)
            return
        body = self.rfile.read(int(length))
        with tempfile.NamedTemporaryFile("w", prefix="mcpcred-relay-") as headers:
            for name, value in self.headers.items():
                if name.lower() in SIGNED:
                    headers.write(f"{name}: {value}\n")
            headers.flush()
            done = subprocess.run([os.environ.get("MCPCRED", "mcpcred"), "leak", "report", "--headers", headers.name,
                                   "--webhook-secret", self.server.secret, "-"], input=body, check=False)
        self.answer(ANSWERS.get(done.returncode, 503))

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) == 3 else 8719), Relay)
    server.secret = sys.argv[1]
    print(f"listening on 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
