"""Starts mcpcred-provider by hand: what the supervisor and the vault do, in a few lines."""

import os
import socket
import subprocess
import tempfile

import roleframe

FAULTS = roleframe.fault_names()


class Fault(Exception):
    def __init__(self, body):
        super().__init__(f"{FAULTS[body['fault']]}: {body['message']}")
        self.name = FAULTS[body["fault"]]
        self.message = body["message"]
        self.field = body["field"]
        self.retry_after = body["retry_after_usec"] / 1e6


class Gone(Exception):
    """The process closed the edge without an answer."""


class Provider:
    """One process, for one call."""

    def __init__(self, *arguments, environment=None):
        command = [os.environ["MCPCRED_PROVIDER"], *arguments]
        self.supervisor, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = tempfile.TemporaryFile()
        high = os.dup2(theirs.fileno(), 50)  # not 3 yet: it may be in use here

        def place():
            os.dup2(high, 3)

        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._errors,
            preexec_fn=place, close_fds=False, env=environment or {},
        )
        os.close(high)
        theirs.close()
        self.vault = None

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        self.supervisor.close()
        if self.vault is not None:
            self.vault.close()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self._errors.close()

    def errors(self):
        self._errors.seek(0)
        return self._errors.read().decode()

    def _receive(self, edge, serial, reply):
        edge.settimeout(60)
        while True:
            data = edge.recv(256 * 1024)
            if not data:
                raise Gone(self.errors())
            _, kind, got, reader = roleframe.parse_frame(data)
            if kind == roleframe.REQUEST:
                continue  # a line for the log
            assert got == serial
            record = reply if kind == roleframe.REPLY else roleframe.FAULT_BODY
            body = record.decode(reader)
            reader.end()
            if kind == roleframe.FAULT:
                raise Fault(body)
            return body

    def attach(self, peer=roleframe.ROLE_VAULT):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        data = roleframe.frame(0, roleframe.REQUEST, 1, roleframe.ATTACH.encode({"peer": peer}))
        self.vault = ours
        socket.send_fds(self.supervisor, [data], [theirs.fileno()])
        theirs.close()
        self._receive(self.supervisor, 1, roleframe.EMPTY)

    def send(self, method, **values):
        if self.vault is None:
            self.attach()
        number, request, _ = roleframe.PROVIDER_METHODS[method]
        self.vault.send(roleframe.frame(number, roleframe.REQUEST, 7, request.encode(values)))

    def receive(self, method):
        return self._receive(self.vault, 7, roleframe.PROVIDER_METHODS[method][2])

    def call(self, method, **values):
        self.send(method, **values)
        return self.receive(method)
