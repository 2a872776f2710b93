"""The HTTPS side: one address for all hosts, told apart by name."""

import http.client
import os
import socket
import struct
import time

import ghapi.server
from ghapi.credential import HANDLE
from ghapi.message import Request
from ghapi.routing import split_target

PIECE = 65536
SO_TIMESTAMPNS = 35
MAX_LINE = 1024
GITHUB = ("api.github.com", "localhost", "127.0.0.1")


class BadFraming(Exception):
    """A body that two readers could read in two ways."""


class Exchange:
    """One request whose bytes its handler reads and writes itself; the record says when the last came and went."""

    timed = False  # whether the times of arrival are wanted

    def __init__(self, connection, endpoint):
        self.connection = connection
        self.headers = connection.headers
        self.method, self.target = connection.command, connection.path
        _, self.path, self.query = split_target(self.target)
        request = Request(self.method, self.target, "", self.path, self.query, self.headers, b"")
        journal = connection.state.journal
        self._journal = journal
        self.record = journal.arrived(connection.record, endpoint, request)
        self.record.update(received=0, sent=0, last_received=None, last_sent=None, key=None)
        self._tail = b""
        self._below = None

    def flag(self, name, default=0):
        """A number out of the query."""
        return int(self.query.get(name, default))

    def finish(self, phase, status=None):
        self._journal.advance(self.record, phase, status)

    # -- out

    def send(self, data):
        self.connection.connection.sendall(data)
        self.record["sent"] += len(data)
        self.record["last_sent"] = time.monotonic()

    def head(self, status, headers=()):
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Odd')}"]
        lines += [f"{name}: {value}" for name, value in (headers.items() if isinstance(headers, dict) else headers)]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        self.record["status"] = status

    def reply(self, status, body=b"", headers=None):
        self.head(status, {"Content-Type": "text/plain", "Content-Length": len(body), **(headers or {})})
        if self.method != "HEAD":
            self.send(body)

    def chunk(self, data):
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def close(self):
        self.connection.close_connection = True

    # -- in

    def note(self, data):
        self.record["received"] += len(data)
        if HANDLE.search(self._tail + data):
            self.record["handle"] = True
        self._tail = data[-16:]
        return data

    def _arrival(self):
        """When the kernel got what will be read next, in wall time; it may be a while since. None: it was read already."""
        plain = self.connection.connection
        if self._below is None:
            plain.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._below = socket.socket(fileno=os.dup(plain.fileno()))
        if plain.pending():
            return None
        _, extra, _, _ = self._below.recvmsg(PIECE, 64, socket.MSG_PEEK)
        if not extra:
            return None
        seconds, nanoseconds = struct.unpack("qq", extra[0][2][:16])
        return seconds + nanoseconds / 1e9

    def _time(self):
        arrived = self._arrival() if self.timed else None
        if arrived is not None:
            self.record["last_received"] = arrived

    def receive(self):
        """What is there, past the request's own body."""
        self._time()
        data = self.connection.connection.recv(PIECE)
        if not data:
            raise ConnectionResetError("the client left")
        return self.note(data)

    def _some(self, size):
        self._time()
        data = self.connection.rfile.read1(min(size, PIECE))
        if not data:
            raise ConnectionResetError("the client left in the middle of its body")
        return self.note(data)

    def _chunks(self):
        reader = self.connection.rfile
        while True:
            line = reader.readline(MAX_LINE)
            try:
                size = int(line.rstrip().partition(b";")[0], 16)
            except ValueError:
                raise ConnectionResetError("no size of a chunk") if not line else BadFraming("no size of a chunk")
            while size > 0:
                data = self._some(size)
                size -= len(data)
                yield data
                if size == 0:
                    reader.readline(MAX_LINE)
                    size = -1
            if size == 0:
                while reader.readline(MAX_LINE).strip():
                    pass
                return

    def body(self):
        """Pieces of the request's body as they come."""
        lengths = self.headers.get_all("Content-Length") or []
        codings = self.headers.get_all("Transfer-Encoding") or []
        if len(lengths) + len(codings) > 1 or (codings and codings[0].lower() != "chunked"):
            raise BadFraming("ambiguous length")
        if codings:
            yield from self._chunks()
            return
        left = int(lengths[0]) if lengths else 0
        while left > 0:
            data = self._some(left)
            left -= len(data)
            yield data


class Connection(ghapi.server.Connection):
    def setup(self):
        super().setup()
        self.record["sni"] = getattr(self.request, "sni", None)

    def handle_expect_100(self):
        """The handlers of single requests are asked for the body at once; the others decide themselves."""
        vendor = self._vendor()
        if vendor is not None and hasattr(vendor, "serve"):
            return True
        return super().handle_expect_100()

    def _host(self):
        host = (self.headers.get("Host") or "").lower()
        return host.removesuffix(":443") if host.count(":") == 1 else host

    def _vendor(self):
        return self.state.vendors.get(self._host())

    def router(self):
        return self._vendor() or self.state.router

    def own_headers(self):
        return {"Server": "stand-in"} if self._vendor() else super().own_headers()

    def _is_misdirected(self):
        """RFC 9110, 15.5.20: this server is not the one of that name. TLS said one name, HTTP another."""
        host = self._host()
        if self._vendor() is None and host.partition(":")[0] not in GITHUB:
            return True
        sni = self.record["sni"]
        return sni is not None and sni != host.partition(":")[0]

    def serve(self):
        if self._is_misdirected():
            self.close_connection = True
            self.connection.sendall(b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        vendor = self._vendor()
        if not hasattr(vendor, "serve"):
            super().serve()
            return
        exchange = Exchange(self, vendor.endpoint_of(self.command, self.path))
        try:
            vendor.serve(exchange)
            exchange.finish("answered")
        except BadFraming as error:
            self.close_connection = True
            exchange.reply(400, str(error).encode(), {"Connection": "close"})
            exchange.finish("answered")
        except (OSError, ValueError):
            self.close_connection = True
            exchange.finish("abandoned")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve


def _note_sni(connection, name, _context):
    connection.sni = name


class Server(ghapi.server.Server):
    connection_class = Connection
    request_queue_size = 1024

    def __init__(self, address, state, certificate, key):
        super().__init__(address, state, certificate, key)
        self.tls.sni_callback = _note_sni
