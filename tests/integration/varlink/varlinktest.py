"""A played supervisor and vault around a real role, and a varlink client in a few lines."""
import json
import os
import queue
import socket
import subprocess
import tempfile
import threading

WAIT = 30  # seconds: bounds a test that hangs, never measured


class Driver:
    """Runs driver.c; its lines are events, ours are commands."""

    def __init__(self, kind, connected=None):
        exe = os.environ["MCPCRED_ROLE"]
        self.directory = tempfile.TemporaryDirectory()
        os.chmod(self.directory.name, 0o755)
        self.path = os.path.join(self.directory.name, "s")
        args = [os.environ["VARLINK_DRIVER"], kind, exe, self.path]
        if connected is not None:
            args.append(str(connected))
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        pass_fds=[connected] if connected is not None else [])
        self.events = []
        self.queue = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.pid = int(self.wait("pid ").split()[1])
        self.wait("listening ok")
        os.chmod(self.path, 0o777)

    def _read(self):
        for line in self.process.stdout:
            self.queue.put(line.rstrip("\n"))
        self.queue.put(None)

    def wait(self, start):
        """The next event that begins so; those before it are kept in `events`."""
        while True:
            line = self.queue.get(timeout=WAIT)
            if line is None:
                raise AssertionError(f"driver ended waiting for {start!r}: {self.events}")
            self.events.append(line)
            if line.startswith(start):
                return line

    def seen(self, start):
        self.tell("sync")
        return [line for line in self.events if line.startswith(start)]

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        self.wait("did " + command)

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait(WAIT)
        self.reader.join(WAIT)
        self.process.stdout.close()
        self.directory.cleanup()
        if status != 0:
            raise AssertionError(f"driver or role failed with {status}")


class Client:
    def __init__(self, path=None, sock=None, interface="io.mcpcred.Broker"):
        self.interface = interface
        self.sock = sock or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # With a time limit the socket does not block, and a full backlog would be an error instead of a wait.
        if path:
            self.sock.connect(path)
        self.sock.settimeout(WAIT)
        self.buffer = b""
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        self.sock.close()

    def send_raw(self, data, fds=()):
        if fds:
            socket.send_fds(self.sock, [data], list(fds))
        else:
            self.sock.sendall(data)

    def send(self, method, parameters=None, fds=(), **members):
        if "." not in method:
            method = f"{self.interface}.{method}"
        call = {"method": method, "parameters": parameters or {}, **members}
        self.send_raw(json.dumps(call).encode() + b"\0", fds)

    def receive(self):
        """The next reply, or None at the end of the connection."""
        while b"\0" not in self.buffer:
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, 65536, 4)
            except ConnectionResetError:
                return None
            self.fds += fds
            if not data:
                return None
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, parameters=None, fds=(), **members):
        self.send(method, parameters, fds, **members)
        return self.receive()

    def ended(self):
        """Whether the other side has ended the connection, waiting for it."""
        return self.receive() is None


def filled(value):
    """A stream socket that holds the value and is shut down, as secrets travel."""
    ours, theirs = socket.socketpair()
    ours.sendall(value)
    ours.close()
    return theirs
