"""A broker that can be put back to where it was, an upstream, and a way to make one thing go wrong.

A point is one operation with one fault, in a broker that was started for it alone, on a copy of a state that was prepared
once: so a point that fails can be run by itself and does the same again.
"""

import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "broker"))

from harness import BUILD, Broker, children_of, wait_gone  # noqa: E402

INJECTOR = os.path.join(BUILD, "tests", "integration", "faults", "fault-injector")
CLI = os.path.join(BUILD, "client-lib", "cli", "mcpcred")
ROLES = ("supervisor", "gate", "session", "vault", "keyring", "egress", "provider")
SEALED_KEY = "mcpcred-key"
PROVIDER_DEADLINE = 30  # seconds, of one operation at an upstream
PATIENCE = PROVIDER_DEADLINE + 15  # for anything at all to be over


class Wrong(Exception):
    """An invariant does not hold."""


def require(condition, what):
    if not condition:
        raise Wrong(what)


def role_of(name):
    """By the name that the kernel keeps, which has 15 letters."""
    for role in ROLES:
        if ("mcpcred-" + role)[:15] == name:
            return role
    return None


class FaultBroker(Broker):
    """Its sealed file opens with a delivered key, so that nobody has to be asked for a passphrase at a start. The state is
    bound to the directory of the configuration, so there is one directory, whose contents are put back."""

    def __init__(self, config, ca_file):
        super().__init__(config=config, store="sealed-file", ca_file=ca_file)
        os.mkdir(self.path("credentials"), 0o700)
        with open(self.path("credentials", SEALED_KEY), "wb") as file:
            file.write(os.urandom(32))
        self.environment["CREDENTIALS_DIRECTORY"] = self.path("credentials")

    def up(self):
        """Started, with the store open."""
        self.start(ready=False)
        self.wait_ready()
        return self

    def client(self, **options):
        """Whoever asks has more patience than the broker has with an upstream."""
        return super().client(**{"timeout": 2 * PATIENCE, **options})

    def save(self, place):
        shutil.copytree(self.path("state"), place)

    def put_back(self, place):
        for name in "state", "runtime":
            self._empty(self.path(name))
        shutil.copytree(place, self.path("state"), dirs_exist_ok=True)
        return self

    @staticmethod
    def _empty(directory):
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    def processes(self):
        """Role and pid of each process of the broker."""
        found = [("supervisor", self.process.pid)]
        found += [(role_of(name), pid) for pid, name in children_of(self.process.pid).items() if role_of(name)]
        return found

    def supervisor_is_dead(self):
        return self.process.poll() is not None

    def cli(self, *arguments):
        command = [CLI, *arguments]
        environment = {**self.environment, "NO_COLOR": "1"}
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout, done.stderr


class Injector:
    """The tracer of a broker's processes, with a fault or only to count."""

    def __init__(self, broker, fault=None, processes=None):
        self._broker = broker
        processes = processes or broker.processes()
        command = [INJECTOR, "--dir", broker.directory]
        if fault:
            command += ["--fault", fault]
        command += [f"{role}={pid}" for role, pid in processes]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the injector does not start: {self._process.wait()}")

    def finish(self):
        """Lets go, and says what happened."""
        out, _ = self._process.communicate(timeout=60)
        return json.loads(out)


class NoInjector:
    """Where the fault is of another kind."""

    def finish(self):
        return {"counts": {}, "struck": False, "detail": "", "told_early": "", "deaths": []}


class Watched:
    """Pidfds of the roles as they were, to know when those have ended that lost their supervisor."""

    def __init__(self, broker):
        self._fds = []
        for _, pid in broker.processes()[1:]:
            try:
                self._fds.append(os.pidfd_open(pid))
            except ProcessLookupError:
                pass

    def wait(self):
        for fd in self._fds:
            require(wait_gone(fd), "a role outlives the supervisor")

    def close(self):
        for fd in self._fds:
            os.close(fd)
