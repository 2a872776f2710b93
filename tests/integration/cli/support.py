"""A broker of straw for the tests of the mcpcred command, and a small TAP runner.

The broker speaks varlink on a Unix socket and answers from a table of functions, so that each test
says what the broker says. It records what it was asked, and reads the descriptors that came along.
"""
import array
import json
import os
import pathlib
import signal
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

MCPCRED = os.path.abspath(os.environ.get("MCPCRED", "build/client-lib/cli/mcpcred"))


class Fault(Exception):
    def __init__(self, name, **parameters):
        super().__init__(name)
        self.name = name
        self.parameters = dict({"message": f"{name} happened.", "remedy": "Mend it."}, **parameters)


class Replies(list):
    """Several replies, all but the last marked as followed by others."""


class WithFds:
    def __init__(self, parameters, fds):
        self.parameters, self.fds = parameters, fds


class Drop(Exception):
    """Close the connection without an answer."""


class Silence(Exception):
    """Never answer."""


def times(offset):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset))


class Broker:
    def __init__(self, directory, handlers=None, interface="io.mcpcred.Broker", name="broker.sock"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.interface = interface
        self.calls = []      # (method, parameters, [bytes read from each descriptor])
        self.accepted = 0
        self.lifelines = []  # sockets that came with OpenSession
        self.served = []     # sockets that came with Serve
        self.handlers = handlers or {}
        self.path = self.directory / name
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.path.unlink()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        pending, fds = b"", []
        with connection:
            while True:
                try:
                    data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(64))
                except OSError:
                    return
                for level, kind, payload in ancillary:
                    if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                        numbers = array.array("i")
                        numbers.frombytes(payload[:len(payload) - len(payload) % numbers.itemsize])
                        fds += list(numbers)
                if not data:
                    return
                pending += data
                while b"\0" in pending:
                    message, pending = pending.split(b"\0", 1)
                    try:
                        self.answer(connection, json.loads(message), fds)
                    except (Drop, BrokenPipeError):
                        return
                    except Silence:
                        pass
                    fds = []

    def read_fds(self, method, fds):
        """A secret is read to its end; a lifeline, and a socket that is handed over, is kept."""
        values = []
        for fd in fds:
            end = socket.socket(fileno=fd) if is_socket(fd) else None
            if method == "Serve":
                self.served.append(end)
                continue
            if method == "OpenSession" or end is None:
                self.lifelines.append(end or fd)
                continue
            value = b""
            while chunk := end.recv(65536):
                value += chunk
            values.append(value)
            end.close()
        return values

    def answer(self, connection, call, fds):
        interface, method = call["method"].rsplit(".", 1)
        assert interface == self.interface, call
        parameters = call.get("parameters") or {}
        self.calls.append((method, parameters, self.read_fds(method, fds)))
        try:
            result = self.handlers[method](parameters)
        except Fault as fault:
            self.send(connection, {"error": f"{interface}.{fault.name}", "parameters": fault.parameters})
            return
        replies = result if isinstance(result, Replies) else [result]
        for i, reply in enumerate(replies):
            fds = reply.fds if isinstance(reply, WithFds) else []
            parameters = reply.parameters if isinstance(reply, WithFds) else reply
            message = {"parameters": parameters}
            if i + 1 < len(replies):
                message["continues"] = True
            self.send(connection, message, fds)

    @staticmethod
    def send(connection, message, fds=()):
        data = json.dumps(message).encode() + b"\0"
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = connection.sendmsg([data], ancillary)
        connection.sendall(data[sent:])
        for fd in fds:
            os.close(fd)

    def asked(self, method):
        return [call for call in self.calls if call[0] == method]


def is_socket(fd):
    import stat
    return stat.S_ISSOCK(os.fstat(fd).st_mode)


class Home:
    """A directory of one test, with its runtime directory and a broker in it."""

    def __init__(self, handlers=None):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="mcpcred-cli-"))
        os.chmod(self.path, 0o700)
        self.runtime = self.path / "mcpcred"
        self.broker = Broker(self.runtime, handlers) if handlers is not None else None

    def environment(self, **extra):
        return dict({"PATH": os.environ["PATH"], "HOME": str(self.path), "XDG_RUNTIME_DIR": str(self.path),
                     "TERM": "dumb", "LANG": "C.UTF-8"}, **extra)

    def run(self, *arguments, stdin=b"", env=None, timeout=30, **options):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.run([MCPCRED, *map(str, arguments)], input=stdin,
                              env=self.environment(**(env or {})), timeout=timeout, **options)

    def json(self, *arguments, status=0, **options):
        done = self.run(*arguments, "--json", **options)
        equal(done.returncode, status, done)
        document = json.loads(done.stdout)
        equal(document["schema_version"], 1)
        return document

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def equal(got, wanted, about=None):
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}" + (f" ({about})" if about else ""))


def holds(condition, about=None):
    if not condition:
        raise AssertionError(f"does not hold: {about!r}")


def main(tests):
    """Runs the functions called test_*, as TAP."""
    # A run in the background, or under nohup, inherits ignored signals, which exec rightly keeps.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    chosen = [(name[5:].replace("_", "-"), test) for name, test in tests.items() if name.startswith("test_")]
    wanted = sys.argv[1:]
    chosen = [item for item in chosen if not wanted or item[0] in wanted]
    print(f"1..{len(chosen)}", flush=True)
    failed = False
    for number, (name, test) in enumerate(chosen, 1):
        try:
            skip = test()
            print(f"ok {number} - {name}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        except Exception:
            failed = True
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print(f"not ok {number} - {name}", flush=True)
    sys.exit(failed)
