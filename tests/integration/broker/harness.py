"""A whole broker of the build under test, in directories of its own, against the GitHub stand-in.

    class Something(Case):
        def test_it(self):
            broker = self.broker()
            broker.add_github(self.github)
            session = broker.open("gh")

The build is $MCPCRED_BUILD, or the build folder beside the sources. Works as root and as any user.
"""

import contextlib
import ctypes
import glob
import hashlib
import os
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import auditchain  # noqa: E402
from standin import Standin  # noqa: E402
from varlink import SESSION, CallError, Client, Closed, sealed_value  # noqa: E402

BUILD = os.path.abspath(os.environ.get("MCPCRED_BUILD", os.path.join(ROOT, "build")))
ROLES = ("gate", "vault", "keyring")
ALIVE_STATES = ("intent", "live", "revoking", "unrecoverable")
WAIT = 30  # seconds; far beyond what anything takes, so that a slow machine fails no test
PASSPHRASE = b"correct horse battery staple"

PROFILES = """
[profile gh]
secret = github
repositories = octo/hello
permissions = contents:read, issues:read
ttl = 1h
deliver = env
env = GITHUB_TOKEN

[profile gh-file]
secret = github
repositories = octo/hello
permissions = contents:read
ttl = 1h
deliver = file

[profile gh-socket]
secret = github
repositories = octo/hello, octo/world
permissions = contents:write, issues:write
ttl = 1h
deliver = socket
"""


def wait_until(condition, what, timeout=WAIT):
    """For what gives no event. Returns the condition's first true value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.01)


def sha256_hex(text):
    return hashlib.sha256(text.encode()).hexdigest()


def has_landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1) > 0


def wait_gone(pidfd, timeout=WAIT):
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def children_of(pid):
    """Pids and names of a process's children; both stay readable of an undumpable one."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        name = text[text.index("(") + 1 : text.rindex(")")]
        state, parent = text[text.rindex(")") + 2 :].split()[:2]
        if int(parent) == pid and state != "Z":
            found[int(path.split("/")[2])] = name
    return found


class Log:
    """The broker's log, line by line, and waiting for a line."""

    def __init__(self, stream):
        self.lines = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        with stream:
            for line in stream:
                with self._changed:
                    self.lines.append(line.decode(errors="replace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def mark(self):
        """A place to wait from."""
        with self._changed:
            return len(self.lines)

    def wait(self, pattern, start=0, timeout=WAIT):
        def find():
            found = [line for line in self.lines[start:] if re.search(pattern, line)]
            return found or self._ended

        with self._changed:
            found = self._changed.wait_for(find, timeout)
        if not found or found is True:
            raise TimeoutError(f"no line {pattern!r} in the log:\n" + "\n".join(self.lines))
        return found[0]

    def join(self):
        self._thread.join(WAIT)


class Session:
    """What OpenSession answered."""

    def __init__(self, reply, descriptor=None):
        self.id = reply["session"]
        self.reply = reply
        self.environment = {item["name"]: item["value"] for item in reply["environment"]}
        self.grants = {item["profile"]: item for item in reply["grants"]}
        self.path = reply["socket"]
        self.descriptor = descriptor  # of the session's own socket

    @property
    def token(self):
        return self.environment["GITHUB_TOKEN"]

    @property
    def secret(self):
        return self.environment["MCPCRED_SESSION"]

    def connect(self):
        return Client(self.path, interface=SESSION)


class Broker:
    """One broker. `config` is what follows the [broker] section that the harness writes."""

    def __init__(self, config=PROFILES, store="memory", ca_file=None, broker_keys="", environment=None):
        self.directory = tempfile.mkdtemp(prefix="mcpcred-test-")
        for name in ("runtime", "state", "config", "home"):
            os.mkdir(self.path(name), 0o700)
        self.store = store
        self.ca_file = ca_file
        self.broker_keys = broker_keys
        self.libexec = self._libexec()
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": self.path("home")}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        self.environment.update(environment or {})
        self.write_config(config)
        self.prefix = []  # a program that becomes the broker
        self.process = None
        self.log = None
        self._clients = []

    # -- files

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    @property
    def socket(self):
        return self.path("runtime", "broker.sock")

    @property
    def audit_path(self):
        return self.path("state", "audit.log")

    def _libexec(self):
        built = os.path.join(BUILD, "libexec")
        if os.path.exists(os.path.join(built, "mcpcred-vault")):
            return built
        made = self.path("libexec")
        os.mkdir(made, 0o755)
        for role in ("gate", "vault", "keyring", "session"):
            os.symlink(f"{BUILD}/broker/{role}/mcpcred-{role}", f"{made}/mcpcred-{role}")
        os.symlink(f"{BUILD}/providers/mcpcred-provider", f"{made}/mcpcred-provider")
        return made

    def write_config(self, text):
        keys = f"[broker]\nstore = {self.store}\n"
        if self.ca_file:
            keys += f"ca_file = {self.ca_file}\n"
        if not has_landlock():
            keys += "landlock = optional\n"
        with open(self.path("config", "mcpcred.conf"), "w", encoding="utf-8") as file:
            file.write(keys + self.broker_keys + text)

    # -- life

    def launch(self):
        """Starts it and waits for nothing."""
        command = [
            *self.prefix,
            os.path.join(BUILD, "broker", "supervisor", "mcpcredd"),
            "--foreground",
            *("--runtime", self.path("runtime")),
            *("--state", self.path("state")),
            *("--config", self.path("config")),
            *("--libexec", self.libexec),
        ]
        self.process = subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.log = Log(self.process.stderr)
        return self

    def start(self, ready=None):
        """Starts it and waits until it answers; with its store open, unless `ready` is False."""
        self.launch()
        self.log.wait("state: ready")
        if ready is None:
            ready = self.store == "memory"
        if ready:
            self.log.wait("store: .* is open")
        self.wait_status()
        return self

    def start_sealed(self, create=True):
        """Starts with the sealed file, and unlocks it."""
        self.start(ready=False)
        self.unlock(create=create)
        return self

    def stop(self, expect=0):
        """Ends it in order; its exit status must be the expected one."""
        for client in self._clients:
            client.close()
        self._clients = []
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
        late = False
        try:
            status = self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            late = True
            self.process.kill()
            status = self.process.wait()
        self.log.join()
        self.process = None
        if late:
            raise TimeoutError("the broker does not end:\n" + "\n".join(self.log.lines))
        if expect is not None and status != expect:
            raise RuntimeError(f"the broker ended with {status}:\n" + "\n".join(self.log.lines))

    def edit_state(self, statement, values=()):
        """While it is stopped: for what only time would bring, since its clock is the real one."""
        with contextlib.closing(sqlite3.connect(self.path("state", "state.db"))) as state:
            state.execute(statement, values)
            state.commit()

    def kill(self):
        """SIGKILL for the supervisor alone. Returns pidfds of what were its children."""
        left = []
        for pid in children_of(self.process.pid):
            try:
                left.append(os.pidfd_open(pid))
            except ProcessLookupError:
                pass
        self.process.kill()
        self.process.wait()
        self.process = None
        return left

    def close(self):
        try:
            self.stop(expect=None)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    # -- roles

    def role_pid(self, role):
        """Of a living child of the supervisor, or None."""
        wanted = ("mcpcred-" + role)[:15]
        pids = [pid for pid, name in children_of(self.process.pid).items() if name == wanted]
        return pids[0] if pids else None

    def signal_role(self, role, number=signal.SIGKILL):
        """Returns the pid; for SIGKILL, after the process has ended."""
        pid = wait_until(lambda: self.role_pid(role), f"no {role} is running")
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, number)
            if number == signal.SIGKILL and not wait_gone(pidfd):
                raise TimeoutError(f"{role} does not die")
        finally:
            os.close(pidfd)
        return pid

    def crash(self, role, wait=True):
        """kill -9, and waits until the broker has mended itself."""
        mark = self.log.mark()
        old = self.signal_role(role)
        if not wait:
            return
        wait_until(lambda: self.role_pid(role) not in (None, old), f"{role} is not restarted")
        if role == "vault":
            self.log.wait("state: ready", mark)
        self.wait_status(lambda status: self._is_mended(status, role, old))

    def _is_mended(self, status, role, old):
        if role == "session":
            return True
        rows = {row["role"]: row for row in status["roles"]}
        return status["store_state"] != "opening" and rows.get(role, {}).get("pid") not in (None, 0, old)

    def status(self):
        with self.client() as client:
            return client.call("Status")

    def wait_status(self, condition=lambda status: True, what="the broker does not answer"):
        last = []

        def look():
            try:
                last[:] = [self.status()]
            except (CallError, Closed, OSError):
                return None
            return last[0] if condition(last[0]) else None

        try:
            return wait_until(look, what)
        except TimeoutError as error:
            raise TimeoutError(f"{what}: {last}\n" + "\n".join(self.log.lines)) from error

    def wait_ready(self):
        return self.wait_status(lambda status: status["store_state"] == "ready", "the store stays closed")

    # -- calls

    def client(self, **options):
        return Client(self.socket, **options)

    def keep(self, client):
        """Closed when the broker stops; for connections that are lifelines."""
        self._clients.append(client)
        return client

    def call(self, method, parameters=None, fds=()):
        """One call on a connection of its own."""
        with self.client() as client:
            return client.call(method, parameters, fds)

    def rows(self, method, name, **parameters):
        with self.client() as client:
            replies = client.stream(method, parameters)
        return [row for reply in replies for row in reply[name]]

    def leases(self, **filters):
        rows = self.rows("ListLeases", "leases", all=True)
        return [row for row in rows if all(row[key] == value for key, value in filters.items())]

    def sessions(self):
        return {row["session"]: row for row in self.rows("ListSessions", "sessions", all=True)}

    def unlock(self, passphrase=PASSPHRASE, create=False):
        with sealed_value(passphrase) as value:
            return self.call("Unlock", {"create": create}, [value.fileno()])

    def add(self, name, provider, value, **parameters):
        with sealed_value(value) as sealed:
            return self.call("AddSecret", {"name": name, "provider": provider, **parameters}, [sealed.fileno()])

    def add_github(self, github, name="github", **more):
        with open(github.app_key, "rb") as file:
            key = file.read()
        parameters = {"app_id": str(github.app_id), "installation_id": "42"}
        options = {"base_url": github.enterprise_url, "parameters": parameters, "verify": True, **more}
        return self.add(name, "github_app", key, **options)

    def rotate(self, value, name="github", client=None):
        """The steps of a rotation."""
        with sealed_value(value) as sealed, self.client() as client:
            return [reply["step"] for reply in client.stream("Rotate", {"name": name}, [sealed.fileno()])]

    def open(self, *profiles, client=None, fds=(), **options):
        """With the lifetime alone as the lifeline, unless a client is given or an option says else."""
        grants = [{"profile": item} if isinstance(item, str) else item for item in profiles]
        options.setdefault("lifeline", "connection" if client else "lifetime")
        own = client is None
        client = client or self.client()
        try:
            reply = client.call("OpenSession", {"grants": grants, **options}, fds)
            return Session(reply, client.take_fd() if client.fds else None)
        finally:
            if own:
                client.close()

    def revoke(self, **selector):
        with self.client() as client:
            replies = client.stream("Revoke", selector)
        return {
            "sessions": replies[-1]["sessions"],
            "pending": any(reply["pending"] for reply in replies),
            "credentials": [row for reply in replies for row in reply["credentials"]],
        }

    def get_token(self, session, profile=None):
        parameters = {"session": session.id, **({"profile": profile} if profile else {})}
        return self.call("GetToken", parameters)["token"]

    def wait_ended(self, session):
        def ended():
            row = self.sessions()[session.id]
            return row if row["state"] == "ended" else None

        return wait_until(ended, "the session does not end")

    # -- audit

    def audit(self):
        """Every line, checked; up to what the state's head says."""
        status = self.status()
        events = auditchain.read(self.audit_path)
        head = events[-1]["hash"] if events else "0" * 64
        if (len(events), head) != (status["audit_sequence"], status["audit_head"]):
            later = self.status()["audit_sequence"]
            if len(events) < status["audit_sequence"] or later < len(events):
                raise auditchain.BadChain(f"{len(events)} lines, and the head is at {status['audit_sequence']}")
        return events


class Case(unittest.TestCase):
    maxDiff = None
    store = "memory"
    config = PROFILES
    broker_keys = ""

    def setUp(self):
        self.github = Standin().start()
        self.addCleanup(self.github.stop)

    def broker(self, start=True, **options):
        """A broker that is up, with its store open."""
        settings = {"store": self.store, "config": self.config, "broker_keys": self.broker_keys}
        broker = Broker(ca_file=self.github.ca, **{**settings, **options})
        self.addCleanup(broker.close)
        if start and broker.store == "sealed-file":
            broker.start_sealed()
        elif start:
            broker.start()
        return broker

    def ready(self, **options):
        """The same with the App's key in it."""
        broker = self.broker(**options)
        broker.add_github(self.github)
        return broker

    def fails(self, name, function, *arguments, **options):
        with self.assertRaises(CallError) as caught:
            function(*arguments, **options)
        self.assertEqual(caught.exception.name, name, caught.exception.message)
        self.assertTrue(caught.exception.message)
        return caught.exception

    # -- what the upstream says

    def use(self, token, path="/api/v3/repos/octo/hello", method="GET", body=None):
        with self.github.client() as client:
            return client.call(method, path, token, body).status

    def assert_alive(self, token):
        self.assertEqual(self.use(token), 200)

    def assert_dead(self, token):
        self.assertEqual(self.use(token), 401)

    def wait_dead(self, token):
        wait_until(lambda: self.use(token) == 401, "the token stays alive upstream")

    def wait_all_dead(self):
        wait_until(lambda: not self.github.tokens("alive"), "a token stays alive upstream")

    def assert_all_known(self, broker):
        """No token is alive upstream that no open lease stands for."""
        alive = len(self.github.tokens("alive"))
        leases = [row for row in broker.leases() if row["state"] in ALIVE_STATES]
        self.assertLessEqual(alive, len(leases), (self.github.tokens("alive"), leases))

    def count_open(self, broker, *states):
        return len([row for row in broker.leases() if row["state"] in states])


def main():
    unittest.main(verbosity=2)
