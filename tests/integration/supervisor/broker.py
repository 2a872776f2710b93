"""A broker of fake roles in a temporary directory, and the means to tell them what to do."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

MCPCREDD = os.environ["MCPCREDD"]
FAKE_ROLE = os.environ["FAKE_ROLE"]
ROLES = ("gate", "session", "vault", "keyring", "provider", "egress")
STANDING = ("gate", "vault", "keyring")  # those that run from the start
SESSION = "s-0123456789abcdef"


def wait_for(what, seconds=10):
    """Waits until `what()` is true and returns what it said."""
    until = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError("it did not happen in time: " + getattr(what, "__name__", "?"))
        time.sleep(0.01)


def alive(pid):
    """Whether a process runs; one that nobody has reaped yet does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Broker:
    """One mcpcredd and its directories."""

    def __init__(self, config="", modes=None):
        self.top = tempfile.mkdtemp(prefix="mcpcred-")
        self.libexec, self.runtime, self.state, self.config = (
            os.path.join(self.top, name) for name in ("x", "r", "s", "c"))
        os.mkdir(self.libexec)
        os.mkdir(self.config, 0o700)
        self.write_config(config)
        for role in ROLES:
            shutil.copy(FAKE_ROLE, self.executable(role))
        for role, mode in (modes or {}).items():
            self.set_mode(role, mode)
        self.extra = []
        self.process = None
        self.number = 0

    def executable(self, role):
        return os.path.join(self.libexec, "mcpcred-" + role)

    def write_config(self, text, name="mcpcred.conf"):
        path = os.path.join(self.config, name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path

    def set_mode(self, role, mode):
        with open(os.path.join(self.libexec, role + ".mode"), "w", encoding="ascii") as file:
            file.write(mode)

    def arguments(self):
        return [MCPCREDD, "--foreground", "--runtime", self.runtime, "--state", self.state,
                "--config", self.config, "--libexec", self.libexec] + self.extra

    def spawn(self, **options):
        with open(self.log_path(), "ab") as log:
            self.process = subprocess.Popen(self.arguments(), stderr=log, stdin=subprocess.DEVNULL, **options)
        return self

    def start(self, **options):
        self.spawn(**options)
        wait_for(lambda: "supervisor: ready" in self.log() or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError("the broker ended: " + self.log())
        # Ready means that vault and gate have answered; the keyring may not have run yet.
        wait_for(lambda: all(self.pids(role) for role in STANDING) or self.process.poll() is not None)
        return self

    def log_path(self):
        return os.path.join(self.top, "log")

    def log(self):
        with open(self.log_path(), encoding="utf-8") as file:
            return file.read()

    def trace(self, role):
        try:
            with open(os.path.join(self.libexec, role + ".trace"), encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def pids(self, role):
        """Of every start of a role, in order."""
        return [int(line.split("pid=")[1].split()[0]) for line in self.trace(role) if line.startswith("start ")]

    def tell(self, role, command, fds=(), answered=True):
        """Sends a command to a role and returns (answer, descriptors)."""
        self.number += 1
        path = os.path.join(self.top, f"q{self.number}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(path)
            sock.settimeout(10)
            sock.connect(os.path.join(self.libexec, role + ".sock"))
            socket.send_fds(sock, [command.encode()], list(fds))
            if not answered:
                return None, []
            data, received, _, _ = socket.recv_fds(sock, 65536, 4)
        return data.decode(), list(received)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(15)
        status = self.process.returncode if self.process else 0
        shutil.rmtree(self.top, ignore_errors=True)
        return status


class BrokerTest(unittest.TestCase):
    """Starts a broker and ends it, and shows its log when a test fails."""

    def broker(self, config="", modes=None, start=True):
        broker = Broker(config, modes)
        self.addCleanup(broker.stop)
        self.addCleanup(self.show, broker)
        if start:
            broker.start()
        return broker

    def show(self, broker):
        outcome = getattr(self, "_outcome", None)
        if outcome and getattr(outcome, "success", True) is False and os.path.exists(broker.log_path()):
            print(broker.log())
