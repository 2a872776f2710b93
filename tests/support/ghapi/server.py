"""The HTTPS side: connections in, requests to the router, replies out."""

import http.client
import http.server
import re
import secrets
import socket
import socketserver
import ssl
import struct

from .clock import http_date
from .faults import Drop
from .message import ApiError, number, Request
from .routing import Mounted, split_target

MAX_BODY = 16 << 20
MAX_CHUNK_LINE = 1024


class Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        self.state = self.server.state
        self.record = self.state.journal.accepted()
        self.reset = False
        with self.state.lock:
            fault = self.state.faults.take("connect")
        if fault:
            fault.strike(self.state, self.request, None)
        # In this thread, so that a slow handshake holds up nobody else.
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.state.journal.secured(self.record)
        super().setup()

    def version_string(self):
        return "github.com"

    def log_message(self, *_args):
        """The journal is the log."""

    def _read_chunked(self):
        body = b""
        while True:
            line = self.rfile.readline(MAX_CHUNK_LINE)
            if not re.match(rb"[0-9A-Fa-f]{1,8}(;|\r\n)", line):
                raise ValueError("chunk has no size")
            size = int(line.rstrip().partition(b";")[0], 16)
            if len(body) + size > MAX_BODY:
                raise ValueError("body is too large")
            body += self.rfile.read(size)
            if self.rfile.readline(MAX_CHUNK_LINE) != b"\r\n":
                raise ValueError("chunk has no end")
            if size == 0:
                return body

    def _read_body(self):
        """ValueError for framing that two readers could read in two ways."""
        lengths = self.headers.get_all("Content-Length") or []
        codings = self.headers.get_all("Transfer-Encoding") or []
        if codings:
            if lengths or [coding.lower() for coding in codings] != ["chunked"]:
                raise ValueError("ambiguous length")
            return self._read_chunked()
        if not lengths:
            return b""
        length = number(lengths[0])
        if len(lengths) > 1 or length is None:
            raise ValueError("ambiguous length")
        if length > MAX_BODY:
            raise ValueError("body is too large")
        return self.rfile.read(length)

    def _read_request(self):
        body = self._read_body()
        if len(self.headers.get_all("Host") or []) != 1:
            raise ValueError("one Host is needed")
        prefix, path, query = split_target(self.path)
        return Request(self.command, self.path, prefix, path, query, self.headers, body)

    def serve(self):
        """One request, from its first phase to its last."""
        try:
            request = self._read_request()
        except ValueError as error:
            self.close_connection = True
            self._write(ApiError(400, str(error)).reply())
            return
        state, journal = self.state, self.state.journal
        endpoint = self.router().endpoint(request)
        with state.lock:
            record = journal.arrived(self.record, endpoint, request)
            fault = state.faults.take(endpoint)
            record["fault"] = fault and fault.kind
        try:
            reply = self._answer(request, record, fault)
            self._write(reply)
        except (Drop, OSError) as error:
            self.close_connection = True
            self.reset = isinstance(error, Drop) and error.reset
            journal.advance(record, "abandoned")
            return
        with state.lock:
            if reply.on_delivered:
                reply.on_delivered()
            journal.advance(record, "answered", reply.status)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve

    def router(self):
        """Who answers the request at hand."""
        prefix = "/" + self.path.split("/")[1] if self.path.count("/") > 1 else ""
        issuer = self.state.issuers.get(prefix[1:])
        return Mounted(issuer, prefix) if issuer else self.state.router

    def own_headers(self):
        return {
            "Server": self.version_string(),
            "X-GitHub-Request-Id": secrets.token_hex(10).upper(),
            "X-GitHub-Media-Type": "github.v3; format=json",
        }

    def _answer(self, request, record, fault):
        state = self.state
        if fault and fault.when == "before":
            reply = fault.strike(state, self.connection, None)
            if reply is not None:
                return reply
        with state.lock:
            reply = self.router().dispatch(state, request)
            state.journal.advance(record, "worked", reply.status)
        if fault and fault.when == "after":
            reply = fault.strike(state, self.connection, reply)
        return reply

    def _head(self, reply):
        length = len(reply.body) * reply.repeat
        headers = {
            **self.own_headers(),
            "Date": http_date(self.state.clock.now()),
            **reply.headers,
        }
        if reply.pieces is not None:
            headers["Transfer-Encoding"] = "chunked"
        elif reply.status != 204:
            headers["Content-Length"] = str(reply.declared_length or length)
        if self.close_connection:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {reply.status} {http.client.responses.get(reply.status, '')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _write(self, reply):
        self.close_connection = self.close_connection or reply.close
        data = reply.body if reply.raw else self._head(reply)
        if not reply.raw and self.command != "HEAD":
            data += reply.body
        self.connection.sendall(data)
        if self.command == "HEAD":
            return
        for _ in range(1, reply.repeat):
            self.connection.sendall(reply.body)
        if reply.pieces is not None:
            for piece in reply.pieces:
                self.connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.connection.sendall(b"0\r\n\r\n")


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    connection_class = Connection

    def __init__(self, address, state, certificate, key):
        self.state = state
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate, key)
        self.tls.set_alpn_protocols(["http/1.1"])
        super().__init__(address, self.connection_class)

    def finish_request(self, request, client_address):
        """Runs one connection; its end is recorded whatever way it comes."""
        connection = self.connection_class.__new__(self.connection_class)
        try:
            connection.__init__(request, client_address, self)
        except (Drop, OSError) as error:
            connection.reset = isinstance(error, Drop) and error.reset
        finally:
            self._close(connection)

    def _close(self, connection):
        if connection.reset:
            # No lingering: the client gets RST instead of FIN.
            linger = struct.pack("ii", 1, 0)
            connection.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.request.close()
        self.state.journal.closed(connection.record)
