"""Starts mcpcred-egress by hand: the edges of the supervisor, the vault and of sessions, and lanes."""

import contextlib
import fcntl
import os
import select
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "provider"))

import roleframe  # noqa: E402
from roleframe import Record  # noqa: E402

WAIT = 30  # seconds: bounds a test that hangs, never measured
ROLE_SESSION, ROLE_VAULT = 2, 3
FAULTS = roleframe.fault_names()
MARKER = "\x01"
SLOTS = ("none", "bearer", "basic", "authorization", "header", "key", "query", "path", "form", "sigv4")
SCRUB = ("mask", "strict", "off")
BODIES = ("none", "length", "stream")
REPORTS = ("denied", "refused", "misuse", "scrubbed", "leaked", "unauthorized")

POLICY = Record(
    ("slot", "enum"), ("slot_name", "text"), ("slot_prefix", "text"), ("allow", "texts"), ("deny", "texts"),
    ("addresses", "texts"), ("rate", "u64"), ("rate_seconds", "u64"), ("max_uses", "u64"), ("max_body", "u64"),
    ("concurrent", "u64"), ("scrub", "enum"), ("websocket", "bool"), ("cookies", "bool"),
)
GRANT = Record(
    ("session", "text"), ("hosts", "texts"), ("policy", "record", POLICY), ("credential", "secret"), ("expires", "u64")
)
CUT = Record(("sessions", "texts"))
REPORT = Record(
    ("session", "text"), ("kind", "enum"), ("method", "text"), ("host", "text"), ("path", "text"), ("reason", "text"),
    ("count", "u64"),
)
HEADER = Record(("name", "text"), ("value", "text"))
REQUEST = Record(
    ("method", "text"), ("host", "text"), ("port", "u64"), ("path", "text"), ("query", "text"),
    ("headers", "records", HEADER), ("body", "enum"), ("length", "u64"), ("expect", "bool"), ("upgrade", "bool"),
)
RESPONSE = Record(
    ("status", "u64"), ("headers", "records", HEADER), ("body", "enum"), ("length", "u64"), ("upgraded", "bool")
)
FAILURE = Record(("status", "u64"), ("reason", "text"), ("message", "text"), ("retry_after", "u64"))
ATTACH = Record(("peer", "enum"), ("session", "text"), ("profile", "text"))


class Fault(Exception):
    def __init__(self, body):
        super().__init__(f"{FAULTS[body['fault']]}: {body['message']}")
        self.name = FAULTS[body["fault"]]


class Edge:
    """One end of a channel: calls, and notices that came meanwhile."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(WAIT)
        self.serial = 0
        self.notices = []

    def send(self, method, body, fds=()):
        self.serial += 1
        data = roleframe.frame(method, roleframe.REQUEST, self.serial, body)
        socket.send_fds(self.sock, [data], list(fds))
        return self.serial

    def read(self):
        data = self.sock.recv(256 * 1024)
        if not data:
            raise EOFError("the edge was closed")
        return roleframe.parse_frame(data)

    def reply(self, serial, record=roleframe.EMPTY):
        while True:
            method, kind, got, reader = self.read()
            if kind == roleframe.REQUEST:
                self.notices.append((method, reader))
                continue
            assert got == serial
            body = (record if kind == roleframe.REPLY else roleframe.FAULT_BODY).decode(reader)
            reader.end()
            if kind == roleframe.FAULT:
                raise Fault(body)
            return body

    def call(self, method, body, fds=()):
        return self.reply(self.send(method, body, fds))

    def close(self):
        self.sock.close()


class Vault(Edge):
    def grant(self, session="s-1", **values):
        self.call(0, GRANT.encode({"session": session, **values}))

    def cut(self, session="s-1"):
        self.call(1, CUT.encode({"sessions": [session]}))

    def report(self):
        """The next one, waiting for it."""
        while not self.notices:
            method, kind, _, reader = self.read()
            assert kind == roleframe.REQUEST
            self.notices.append((method, reader))
        method, reader = self.notices.pop(0)
        assert method == 0
        report = REPORT.decode(reader)
        reader.end()
        return {**report, "kind": REPORTS[report["kind"]]}

    def reports_now(self):
        """Those that have come; a call in between sees to it that there are no more."""
        self.cut("s-nobody")
        return [self.report() for _ in range(len(self.notices))]


class Failure(Exception):
    def __init__(self, body):
        super().__init__(f"{body['status']} {body['reason']}: {body['message']}")
        self.status = body["status"]
        self.reason = body["reason"]
        self.retry_after = body["retry_after"]


class Response:
    def __init__(self, body):
        self.status = body["status"]
        self.headers = [(item["name"], item["value"]) for item in body["headers"] or ()]
        self.kind = BODIES[body["body"]]
        self.length = body["length"]
        self.upgraded = bool(body["upgraded"])
        self.body = b""

    def header(self, name):
        values = [value for key, value in self.headers if key == name]
        return values[0] if values else None


class Closed(Exception):
    """The lane was closed."""


class Lane:
    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(WAIT)
        self.parts = []  # of a WHOLE that was received

    def close(self):
        self.sock.close()

    def send(self, frame, data=b""):
        self.sock.send(frame.encode() + data)

    def request(self, method="GET", path="/echo", headers=(), body="none", length=None, **values):
        fields = [{"name": name, "value": value} for name, value in headers]
        self.send("Q", REQUEST.encode({
            "method": method, "path": path, "headers": fields or None, "body": BODIES.index(body), "length": length,
            **values}))

    def data(self, data):
        for at in range(0, len(data), 65535):
            self.send("D", data[at : at + 65535])

    def end(self):
        self.send("E")

    def frame(self):
        """(letter, bytes) of the next frame; a WHOLE as the frames that it stands for."""
        if self.parts:
            return self.parts.pop(0)
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed
        if data[:1] == b"W":
            end = 5 + int.from_bytes(data[1:5], "little")
            self.parts = [("D", data[end:])] * (len(data) > end) + [("E", b"")]
            return "R", data[5:end]
        return chr(data[0]), data[1:]

    def expect(self, letter):
        got, data = self.frame()
        if got == "F":
            raise Failure(FAILURE.decode(roleframe.Reader(data)))
        assert got == letter, f"{got} and not {letter}"
        return data

    def response(self):
        return Response(RESPONSE.decode(roleframe.Reader(self.expect("R"))))

    def rest(self, response):
        """Reads the body until END."""
        while True:
            letter, data = self.frame()
            if letter == "F":
                raise Failure(FAILURE.decode(roleframe.Reader(data)))
            if letter == "E":
                return response
            assert letter == "D"
            response.body += data

    def whole(self):
        return self.rest(self.response())

    def is_quiet(self):
        return not self.parts and not select.select([self.sock], [], [], 0)[0]


class Session(Edge):
    def lane(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.call(0, roleframe.EMPTY.encode({}), [theirs.fileno()])
        finally:
            theirs.close()
        return Lane(ours)


class Egress:
    """One process, with the supervisor's edge."""

    def __init__(self, *arguments, environment=None, command=()):
        command = [*command, os.environ["MCPCRED_EGRESS"], *arguments]
        if os.environ.get("MCPCRED_NO_LANDLOCK"):
            command.append("--allow-no-landlock")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors, errors = os.pipe()  # not a file: it may not write to any
        os.set_blocking(self._errors, False)
        self._said = b""
        high = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, 50)  # not 3 yet: it may be in use here

        def place():
            os.dup2(high, 3)

        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, preexec_fn=place,
            close_fds=False, env=environment or {"PATH": os.environ["PATH"]})
        os.close(high)
        os.close(errors)
        theirs.close()
        self.supervisor = Edge(ours)
        self.edges = [self.supervisor]

    def attach(self, kind, peer, **values):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        edge = kind(ours)
        self.edges.append(edge)
        try:
            self.supervisor.call(0, ATTACH.encode({"peer": peer, **values}), [theirs.fileno()])
        finally:
            theirs.close()
        return edge

    def vault(self):
        return self.attach(Vault, ROLE_VAULT)

    def session(self, session="s-1"):
        return self.attach(Session, ROLE_SESSION, session=session)

    def errors(self):
        with contextlib.suppress(BlockingIOError):
            while self._errors >= 0 and (data := os.read(self._errors, 65536)):
                self._said += data
        return self._said.decode()

    def stop(self):
        """The supervisor goes away; the exit status."""
        for edge in self.edges:
            edge.close()
        try:
            return self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.errors()
            if self._errors >= 0:
                os.close(self._errors)
            self._errors = -1
