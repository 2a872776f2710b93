"""A real session process whose supervisor, vault and egresses are played, and a sandbox's network around us.

`enter()` starts the driver in the namespace that we are in, and then moves this very process into a new network
namespace, where the listening sockets are made that are handed over: what a test does from then on, it does
from inside a sandbox.
"""
import ctypes
import fcntl
import json
import os
import queue
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.environ["TEST_SUPPORT"])
import certs  # noqa: E402

from cryptography.hazmat.primitives import serialization  # noqa: E402

WAIT = int(os.environ.get("PROXY_WAIT", "30"))  # seconds: bounds a test that hangs, never measured
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SECRET = "the-session-secret"

# PROFILE|SLOT|NAME|PREFIX|HOSTS|CREDENTIAL-HOSTS|CONCURRENT|WEBSOCKET|URL-HOST
GRANTS = (
    "auth|authorization|||api.example.test,other.example.test,api.example.test:8443|api.example.test|0|no|",
    "key|header|x-api-key||key.example.test|key.example.test|2|yes|",
    "query|query|key||query.example.test|query.example.test|0|no|",
    "path|path||bot|path.example.test|path.example.test|0|no|",
    "form|form|token||form.example.test|form.example.test|0|no|",
    "wild|bearer|||*.wild.test|one.wild.test|0|no|",
    "sdk|bearer|||sdk.example.test|sdk.example.test|0|no|sdk.example.test",
    "aws|sigv4|||aws.example.test|aws.example.test|0|no|",
)
NAMES = ("api.example.test", "other.example.test", "key.example.test", "query.example.test", "path.example.test",
         "form.example.test", "*.wild.test", "sdk.example.test", "aws.example.test", "never.example.test")


def new_namespace():
    """Moves this process into a network of its own, with loopback up."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = CLONE_NEWNET if os.getuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(sock, 0x8914, request)  # SIOCSIFFLAGS
    return True


class Playground:
    def __init__(self, grants=GRANTS, enter=True):
        self.temporary = tempfile.TemporaryDirectory()
        self.directory = self.temporary.name
        self.authority = certs.make_authority()
        certificate, key = certs.make_server(self.authority, NAMES)
        self.write("ca.pem", self.authority[0].public_bytes(serialization.Encoding.PEM))
        self.write("leaf.der", certificate.public_bytes(serialization.Encoding.DER))
        self.write("key.der", key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                                serialization.NoEncryption()))
        self.write("grants", "\n".join(grants).encode())
        self.outside = [tcp() for _ in range(2)]  # of the broker's own namespace
        self.process = subprocess.Popen([os.environ["PROXY_DRIVER"], os.environ["MCPCRED_ROLE"], self.directory],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.inside = enter and new_namespace()
        self.events, self.queue, self.handles = [], queue.Queue(), {}
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.pid = int(self.wait("pid ").split()[1])
        for event in self.events:
            if event.startswith("handle "):
                _, profile, token = event.split()
                self.handles[profile] = token
        self.wait("proxy_socket ok")
        self.ports = {}

    def write(self, name, data):
        with open(os.path.join(self.directory, name), "wb") as file:
            file.write(data)

    def path(self, name):
        return os.path.join(self.directory, name)

    def _read(self):
        for line in self.process.stdout:
            self.queue.put(line.rstrip("\n"))
        self.queue.put(None)

    def next(self):
        try:
            line = self.queue.get(timeout=WAIT)
        except queue.Empty:
            raise AssertionError("nothing has happened behind: " + "\n".join(self.events[-20:])) from None
        if line is None:
            raise AssertionError("the driver has ended: " + "\n".join(self.events[-20:]))
        self.events.append(line)
        return line

    def wait(self, start):
        """The next event that begins so; those before it are kept in `events`."""
        while True:
            line = self.next()
            if line.startswith(start):
                return line

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        self.wait("did " + command)
        for line in self.events:
            if line.startswith("pid "):  # of the last process that was started
                self.pid = int(line.split()[1])

    def forget(self):
        """Only what comes from now on is of interest."""
        self.tell("sync")
        self.events.clear()

    def seen(self, start):
        self.tell("sync")
        return [line for line in self.events if line.startswith(start)]

    def reported(self, start, act):
        """Does it until a report of it comes: there are a handful a second."""
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            act()
            found = self.seen("report " + start)
            if found:
                return found
        raise AssertionError(f"no report {start!r}: {self.events[-20:]}")

    def request(self):
        """The next one that an egress gets."""
        return json.loads(self.wait("request ")[len("request "):])

    def requests(self):
        return [json.loads(line[len("request "):]) for line in self.seen("request ")]

    def body(self):
        return json.loads(self.wait("body ")[len("body "):])

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait(WAIT)
        self.reader.join(WAIT)
        self.process.stdout.close()
        for sock in self.outside:
            sock.close()
        self.temporary.cleanup()
        if status != 0:
            raise AssertionError(f"the driver or the session's process failed with {status}")

    # ---- the session's socket ----

    def serve(self, service, sock, secret=SECRET):
        parameters = {"service": service}
        if secret is not None:
            parameters["session"] = secret
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(WAIT)
            client.connect(self.path("broker.sock"))
            call = {"method": "io.mcpcred.Session.Serve", "parameters": parameters}
            socket.send_fds(client, [json.dumps(call).encode() + b"\0"], [sock.fileno()])
            data = b""
            while b"\0" not in data:
                piece = client.recv(65536)
                if not piece:
                    raise AssertionError("the session's socket was closed")
                data += piece
        return json.loads(data.split(b"\0")[0])

    def serve_all(self):
        """What a launcher hands over; the ports are in `ports`."""
        for service in "proxy", "tls":
            with tcp() as sock:
                reply = self.serve(service, sock)
                assert "error" not in reply, reply
                self.ports[service] = sock.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            reply = self.serve("dns", sock)
            assert "error" not in reply, reply
            self.ports["dns"] = sock.getsockname()[1]

    # ---- a client ----

    def context(self):
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    def raw(self, service="proxy"):
        sock = socket.create_connection(("127.0.0.1", self.ports[service]), WAIT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def path_socket(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(WAIT)
        sock.connect(self.path("proxy.sock"))
        return sock

    def direct(self, host, **arguments):
        """TLS at once, as a client does that knows of no proxy."""
        return Client(self.context().wrap_socket(self.raw("tls"), server_hostname=host, **arguments))

    def tunnel(self, host, port=443, sni=None, sock=None, headers=""):
        sock = sock or self.raw()
        client = Client(sock)
        client.send(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{headers}\r\n")
        response = client.response(connect=True)
        if response.status != 200:
            client.refused = response
            return client
        return Client(self.context().wrap_socket(sock, server_hostname=sni or host))


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.reason = headers.get("x-mcpcred-reason")

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:200]!r}"


class Client:
    """HTTP/1.1 by hand: what is sent is what the test says."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        size = self.buffer.index(mark)
        data = bytes(self.buffer[:size])
        del self.buffer[:size + len(mark)]
        return data

    def exactly(self, size):
        while len(self.buffer) < size:
            self.more()
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def head(self):
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        return Response(int(lines[0].split()[1]), headers, b"")

    def response(self, head=False, connect=False):
        response = self.head()
        if head or connect and response.status == 200 or response.status in (100, 101, 204, 304):
            return response
        if response.headers.get("transfer-encoding") == "chunked":
            while size := int(self.until(b"\r\n"), 16):
                response.body += self.exactly(size)
                assert self.exactly(2) == b"\r\n"
            assert self.exactly(2) == b"\r\n"
        elif "content-length" in response.headers:
            response.body = self.exactly(int(response.headers["content-length"]))
        else:
            response.body = self.rest()
        return response

    def ask(self, method, path, host, headers="", body=None, **arguments):
        data = body.encode() if isinstance(body, str) else body
        if data is not None:
            headers += f"Content-Length: {len(data)}\r\n"
        self.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode() + (data or b""))
        return self.response(head=method == "HEAD", **arguments)

    def rest(self):
        """All until the connection's end."""
        try:
            while True:
                self.more()
        except (EOFError, ConnectionError, ssl.SSLError):
            data = bytes(self.buffer)
            self.buffer.clear()
            return data

    def ended(self):
        return self.rest() == b""


def tcp(address="127.0.0.1", family=socket.AF_INET):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind((address, 0))
    sock.listen(4096)
    return sock


def headers_of(request):
    return {name: value for name, value in request["headers"]}
