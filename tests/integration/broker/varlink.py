"""A varlink client in a few lines, independent of the code under test."""

import array
import json
import os
import socket

BROKER = "io.mcpcred.Broker"
SESSION = "io.mcpcred.Session"
SERVICE = "org.varlink.service"
MESSAGE_MAX = 1 << 28  # a broker that never ends its message fails the test, not the machine


class CallError(Exception):
    """An error reply. `name` is without the interface."""

    def __init__(self, reply):
        self.full_name = reply["error"]
        self.name = reply["error"].rsplit(".", 1)[1]
        self.parameters = reply.get("parameters") or {}
        self.message = self.parameters.get("message", "")
        super().__init__(f"{self.name}: {self.message}")


class Closed(Exception):
    """The other side ended the connection."""


def sealed_value(data):
    """A secret as it travels: a filled socket, shut down for writing. The caller closes it."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        ours.sendall(data)
    return theirs


class Client:
    """One connection; usable as a context manager."""

    def __init__(self, path=None, fd=None, interface=BROKER, timeout=30):
        self.interface = interface
        self.fds = []
        self._buffer = bytearray()
        if fd is None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            try:
                self.socket.connect(path)
            except OSError:
                self.socket.close()
                raise
        else:
            self.socket = socket.socket(fileno=fd)
            self.socket.settimeout(timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        self.socket.close()

    def take_fd(self):
        return self.fds.pop(0)

    def send(self, method, parameters=None, fds=(), **flags):
        if "." not in method:
            method = self.interface + "." + method
        message = {"method": method, "parameters": parameters or {}, **flags}
        self.send_bytes(json.dumps(message).encode() + b"\0", fds)

    def send_bytes(self, data, fds=()):
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            sent = self.socket.sendmsg([data], extra)
            if sent < len(data):
                self.socket.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            pass  # whoever is turned away at the door was told why already: see receive()

    def receive_message(self):
        while True:
            end = self._buffer.find(b"\0")
            if end >= 0:
                message = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                return json.loads(message)
            try:
                data, extra, _, _ = self.socket.recvmsg(65536, 1024)
            except ConnectionResetError:
                raise Closed() from None
            for _, kind, value in extra:
                if kind == socket.SCM_RIGHTS:
                    got = array.array("i")
                    got.frombytes(value)
                    self.fds += got
            if not data:
                raise Closed()
            self._buffer += data
            if len(self._buffer) > MESSAGE_MAX:
                raise OverflowError("the message does not end")

    def receive(self):
        """The parameters of the next reply."""
        reply = self.receive_message()
        if "error" in reply:
            raise CallError(reply)
        return reply.get("parameters", {})

    def call(self, method, parameters=None, fds=(), **flags):
        self.send(method, parameters, fds, **flags)
        return self.receive()

    def stream(self, method, parameters=None, fds=()):
        """All replies to a call with "more"."""
        self.send(method, parameters, fds, more=True)
        replies = []
        while True:
            reply = self.receive_message()
            if "error" in reply:
                raise CallError(reply)
            replies.append(reply.get("parameters", {}))
            if not reply.get("continues"):
                return replies
