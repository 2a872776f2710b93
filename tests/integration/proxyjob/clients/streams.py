"""Opens many connections on which something goes on without an end, and tells when the last byte came.

usage: streams.py DOWNLOADS UPLOADS SOCKETS TICKS

Standard library alone; TLS as any client does it. SOCKETS are WebSockets, of which each message comes back.
Prints "open" when TICKS events of each download and messages of each WebSocket have come and TICKS pieces of
each upload have gone, goes on until all have ended, and prints one line of JSON. A byte's time is the kernel's,
of when it arrived (SO_TIMESTAMPNS), and not of when this process came to read it.
"""

import base64
import json
import os
import re
import selectors
import socket
import ssl
import struct
import sys
import time

HOST = "echo.example.test"
DOWNLOADS, UPLOADS, SOCKETS, TICKS = map(int, sys.argv[1:5])
INTERVAL = 0.05
SO_TIMESTAMPNS = 35
PIECE = 65536
DOWNLOAD = ("GET", f"/stream?interval={int(INTERVAL * 1000)}", [])
# In lines, which are passed on as they come.
UPLOAD = ("POST", "/upload?timed=1", ["Transfer-Encoding: chunked", "Content-Type: application/x-ndjson"])
UPGRADE = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
UPGRADE.append("Sec-WebSocket-Key: " + base64.b64encode(bytes(16)).decode())
SOCKET = ("GET", "/websocket?timed=1", UPGRADE)
# What each sends at a tick: a chunk, or a message under a mask of zeros.
SENT = {UPLOAD[1]: b"5\r\ntick\n\r\n", SOCKET[1]: b"\x81\x84\0\0\0\0tick"}


class Stream:
    def __init__(self, context, kind):
        method, path, more = kind
        self.sent = SENT.get(path)
        self.upload = kind is UPLOAD
        self.ticks = 0
        self.arrived = 0.0
        self.head = b""
        self.ended = False
        self.socket = socket.create_connection((HOST, 443), 20)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=HOST)
        self.handshake()
        self.socket.settimeout(0)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Authorization: Bearer {os.environ['ECHO_KEY']}", *more]
        self.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                return
            except ssl.SSLWantReadError:
                self.flush()
                data = self.socket.recv(PIECE)
                if not data:
                    raise OSError("closed in the handshake") from None
                self.incoming.write(data)

    def flush(self):
        data = self.outgoing.read()
        if data:
            self.socket.sendall(data)

    def write(self, data):
        """Small enough for the socket's buffer; where it is not, the stream is over."""
        if self.ended:
            return
        try:
            self.tls.write(data)
            self.flush()
        except OSError:
            self.ended = True

    def tick(self):
        # A WebSocket's messages begin behind the answer to its handshake.
        if self.sent and not self.ended and (self.upload or self.head):
            self.write(self.sent)
            self.ticks += self.upload

    def read(self):
        """What is there; application data alone counts as received."""
        try:
            data, extra, _, _ = self.socket.recvmsg(PIECE, 64)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return
        self.incoming.write(data)
        try:
            while text := self.tls.read(PIECE):
                seconds, nanoseconds = struct.unpack("qq", extra[0][2][:16])
                self.arrived = seconds + nanoseconds / 1e9
                self.head = self.head or text[:500]
                self.ticks += not self.upload
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError:
            pass
        self.ended = True


def reason(head):
    """Of an answer by the proxy itself."""
    found = re.search(rb"\r\nx-mcpcred-reason: *(\S+)", head)
    return (found[1] if found else head.split(b"\r\n")[0]).decode("latin-1")


def main():
    context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))
    streams = [Stream(context, kind) for kind in [UPLOAD] * UPLOADS + [SOCKET] * SOCKETS + [DOWNLOAD] * DOWNLOADS]
    selector = selectors.DefaultSelector()
    for stream in streams:
        selector.register(stream.socket, selectors.EVENT_READ, stream)
    said, next_tick = False, time.monotonic()
    while not all(stream.ended for stream in streams):
        for key, _ in selector.select(max(0, next_tick - time.monotonic())):
            key.data.read()
            if key.data.ended:
                selector.unregister(key.fileobj)
        if time.monotonic() >= next_tick:
            next_tick += INTERVAL
            for stream in streams:
                stream.tick()
        if not said and all(stream.ticks >= TICKS for stream in streams):
            said = True
            print("open", flush=True)
    good = (b"HTTP/1.1 200 ", b"HTTP/1.1 101 ")
    reasons = {reason(stream.head) for stream in streams if stream.upload or not stream.head.startswith(good)}
    print(json.dumps({"last": max(stream.arrived for stream in streams), "answers": sorted(reasons - {""})}), flush=True)


main()
