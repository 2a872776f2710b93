"""An HTTPS upstream that misbehaves on request: what it does is chosen by the request's path.

Each behaviour gets the connection and the request and writes what it likes, byte by byte.
"""

import base64
import gzip
import hashlib
import os
import socket
import ssl
import sys
import tempfile
import threading
import urllib.parse
import zlib
from random import Random

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

import certs  # noqa: E402

WAIT = 30  # seconds: bounds a test that hangs, never measured


class Request:
    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.raw = head
        self.method, self.target, self.version = lines[0].split(" ")
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]
        self.body = b""
        self.connection = None

    def header(self, name):
        """The only header of that name, or None."""
        values = [value for key, value in self.headers if key.lower() == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def path(self):
        return self.target.split("?")[0]


class Peer:
    """One connection, with a buffer."""

    def __init__(self, number, sock):
        self.number = number
        self.sock = sock
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def take(self, size):
        while len(self.buffer) < size:
            if not self.fill():
                raise EOFError
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def until(self, end):
        while end not in self.buffer:
            if not self.fill():
                raise EOFError
        data, self.buffer = self.buffer.split(end, 1)
        return data

    def head(self):
        return Request(self.until(b"\r\n\r\n"))

    def body(self, request):
        if request.header("transfer-encoding") == "chunked":
            while True:
                size = int(self.until(b"\r\n"), 16)
                data = self.take(size)
                assert self.take(2) == b"\r\n"
                request.body += data
                if size == 0:
                    return
        request.body = self.take(int(request.header("content-length") or 0))

    def answer(self, body=b"", status="200 OK", headers=()):
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + body)

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class Upstream:
    def __init__(self, names=("localhost",), port=0):
        self.directory = tempfile.TemporaryDirectory()
        self.paths = certs.prepare(self.directory.name, names)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.paths["server"], self.paths["server_key"])
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.requests = []
        self.changed = threading.Condition()
        self.connections = 0
        self.ended = {}
        self.behaviours = {}
        self.release = threading.Event()
        self.threads = []
        self.peers = []
        self.stopping = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def ca(self):
        return self.paths["ca"]

    def stop(self):
        self.stopping = True
        self.release.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in self.peers:
            try:
                peer.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(WAIT)
        self.directory.cleanup()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections += 1
                self.changed.notify_all()
            thread = threading.Thread(target=self._serve, args=(self.connections, sock), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, number, sock):
        how = "closed"
        raw = sock.dup()
        try:
            sock.settimeout(WAIT)
            # Or an answer still waits for an acknowledgement when the connection is closed over it.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = self.context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
            peer = Peer(number, sock)
            self.peers.append(peer)
            while True:
                self.handle(peer)
        except (EOFError, OSError, ssl.SSLError) as error:
            how = f"closed: {error}"
        finally:
            # What TLS makes of it says too little. TCP_CLOSE, before we close: the peer has reset it.
            if raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 7:
                how = "reset"
            raw.close()
            sock.close()
            with self.changed:
                self.ended[number] = how
                self.changed.notify_all()

    def handle(self, peer):
        request = peer.head()
        request.connection = peer.number
        behaviour = self.behaviours.get(request.path) or getattr(self, "do_" + request.path.split("/")[1].replace("-", "_"),
                                                                 None)
        if getattr(behaviour, "early", False):
            self.note(request)
            behaviour(peer, request)
            return
        peer.body(request)
        self.note(request)
        (behaviour or self.do_echo)(peer, request)

    def note(self, request):
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    def wait(self, condition, what):
        with self.changed:
            if not self.changed.wait_for(condition, WAIT):
                raise AssertionError(f"the upstream waited for {what}")

    def wait_requests(self, n):
        self.wait(lambda: len(self.requests) >= n, f"{n} requests, got {len(self.requests)}")
        return self.requests

    def wait_end(self, number):
        self.wait(lambda: number in self.ended, f"the end of connection {number}")
        return self.ended[number]

    # ---- behaviours; `early` ones get the request before its body ----

    def do_echo(self, peer, request):
        peer.answer(request.body, headers=("Content-Type: text/plain",))

    def do_none(self, peer, _request):
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    def do_head(self, peer, _request):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")

    def do_chunked(self, peer, _request):
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b"one ", b"two ", b"three"):
            peer.chunk(part)
        peer.send(b"0\r\nX-Trailer: dropped\r\n\r\n")

    def do_until_close(self, peer, _request):
        peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end")
        raise EOFError

    def do_short(self, peer, _request):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nless")
        raise EOFError

    def do_short_chunks(self, peer, _request):
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        raise EOFError

    def do_long(self, peer, _request):
        """More than it promised: what is too much is the start of a response that nobody asked for."""
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    def do_both_lengths(self, peer, _request):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")

    def do_garbage(self, peer, _request):
        peer.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    def do_huge_head(self, peer, _request):
        peer.send(b"HTTP/1.1 200 OK\r\n")
        for number in range(2000):
            peer.send(b"X-%d: %s\r\n" % (number, b"a" * 100))

    def do_close(self, _peer, _request):
        raise EOFError

    def do_reset(self, peer, _request):
        peer.reset()
        raise EOFError

    def do_silent(self, _peer, _request):
        self.release.wait(WAIT)

    def do_half_head(self, peer, _request):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-")
        self.release.wait(WAIT)

    def do_pause(self, peer, _request):
        """A body that stops in the middle until the test lets it go on."""
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        self.release.wait(WAIT)
        peer.send(b"again")

    def do_events(self, peer, _request):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.chunk(b"data: one\n\n")
        self.release.wait(WAIT)
        peer.chunk(b"data: two\n\n")
        peer.send(b"0\r\n\r\n")

    def do_stream(self, peer, _request):
        """For ever, as fast as it is taken."""
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        block = b"x" * 16384
        while not self.stopping:
            peer.chunk(block)

    def do_big(self, peer, request):
        size = int(urllib.parse.parse_qs(request.target.split("?")[1])["size"][0])
        block = hashlib.sha256(b"block").digest() * 2048
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for at in range(0, size, len(block)):
            peer.send(block[: size - at])

    def do_early(self, peer, request):
        """Answers and closes without having read the body."""
        peer.answer(b"too much", "413 Content Too Large", ("Connection: close",))
        raise EOFError

    do_early.early = True

    def do_deaf(self, _peer, _request):
        """Reads nothing of the body."""
        self.release.wait(WAIT)
        raise EOFError

    do_deaf.early = True

    def do_continue(self, peer, request):
        if request.header("expect") == "100-continue":
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.body(request)
        peer.answer(request.body)

    do_continue.early = True

    def do_no_continue(self, peer, _request):
        peer.answer(b"no", "417 Expectation Failed", ("Connection: close",))
        raise EOFError

    do_no_continue.early = True

    def do_hints(self, peer, _request):
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        peer.answer(b"final")

    def do_many_hints(self, peer, _request):
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
        peer.answer(b"final")

    def do_redirect(self, peer, _request):
        peer.answer(b"", "302 Found", (f"Location: https://localhost:{self.port}/echo",))

    def do_unauthorized(self, peer, _request):
        peer.answer(b"", "401 Unauthorized", ('WWW-Authenticate: Bearer realm="x"',))

    def do_headers(self, peer, _request):
        peer.answer(b"ok", headers=(
            "Set-Cookie: a=b", "Alt-Svc: h3=\":443\"", "Strict-Transport-Security: max-age=1", "Accept-Ranges: bytes",
            "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic",
            "X-Latin: caf\xe9", "X-Kept: yes", "ETag: \"1\""))

    def do_reflect(self, peer, request):
        """The credential in the form that the path names, in the body and in a header."""
        text = request.header("authorization").split(" ", 1)[1]
        form = request.path.split("/")[2]
        forms = {
            "plain": text.encode(),
            "base64": base64.b64encode(b"x" + text.encode()),
            "urlsafe": base64.urlsafe_b64encode(b"xy" + text.encode()),
            "hex": text.encode().hex().encode(),
            "percent": "".join(f"%{c:02X}" for c in text.encode()).encode(),
            "json": "".join(f"\\u{c:04x}" for c in text.encode()).encode(),
            "html": "".join(f"&#{c};" for c in text.encode()).encode(),
        }
        body = b"before " + forms.get(form, forms["plain"]) + b" after"
        if form == "gzip":
            body = gzip.compress(body)
            peer.answer(body, headers=("Content-Encoding: gzip",))
        elif form == "deflate":
            peer.answer(zlib.compress(body), headers=("Content-Encoding: deflate",))
        elif form == "brotli":
            peer.answer(b"\x0b\x02\x80" + body, headers=("Content-Encoding: br",))
        elif form == "header":
            peer.answer(b"ok", headers=(f"X-Reflected: {text}", f"Location: https://localhost/?t={text}"))
        elif form == "split":
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(len(body)):
                peer.chunk(body[at : at + 1])
            peer.send(b"0\r\n\r\n")
        else:
            peer.answer(body)

    def do_gzip(self, peer, request):
        body = b"some text " * 50000
        if "gzip" in (request.header("accept-encoding") or ""):
            peer.answer(gzip.compress(body), headers=("Content-Encoding: gzip", "Vary: Accept-Encoding"))
        else:
            peer.answer(body)

    def do_gzip_big(self, peer, _request):
        """24 MiB that compress to a fifth, more or less: several MiB on the wire."""
        random = Random(1)
        words = [b"%08x " % random.getrandbits(32) for _ in range(256)]
        body = b"".join(random.choices(words, k=(24 << 20) // 9))
        peer.answer(gzip.compress(body, 1), headers=("Content-Encoding: gzip",))

    def do_bomb(self, peer, _request):
        body = gzip.compress(b"\0" * (1 << 28), 9)
        peer.answer(body, headers=("Content-Encoding: gzip",))

    def do_damaged(self, peer, _request):
        peer.answer(gzip.compress(b"text")[:-6] + b"123456", headers=("Content-Encoding: gzip",))

    def do_websocket(self, peer, request):
        """Answers the handshake and then echoes bytes, which it does not look at."""
        accept = base64.b64encode(hashlib.sha1(
            (request.header("sec-websocket-key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        peer.send(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode())
        while True:
            if not peer.buffer and not peer.fill():
                raise EOFError
            data, peer.buffer = peer.buffer, b""
            peer.send(data)

    def do_bad_upgrade(self, peer, _request):
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")

    def do_once(self, peer, _request):
        """Says that the connection stays and closes it."""
        peer.answer(b"once")
        raise EOFError
