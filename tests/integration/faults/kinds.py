"""The ways in which a point goes wrong. Each is a series over a number: which call, which request, how much room. A series
goes on until a number is not reached any more, so that no step is left out.

A fault is written ROLE/CLASS/NUMBER/ACTION, as injector.c has them, or

    upstream/NUMBER/KIND    that request, and its reply, by the stand-in: see ghapi/faults.py
    held/NUMBER/WHEN/ROLE   the role is killed while the upstream holds that request, before or after it has done it
    room/NUMBER             the state's file system has room for so many pages more
"""

import os
import subprocess
import threading
import time

from rig import PATIENCE, Injector, NoInjector, require

UPSTREAM_KINDS = {
    "drop-before": {"kind": "drop"},
    "reset-before": {"kind": "drop", "reset": True},
    "drop-after": {"kind": "drop", "when": "after"},
    "500-before": {"kind": "status", "status": 500},
    "500-after": {"kind": "status", "status": 502, "when": "after"},
    "garbage-before": {"kind": "garbage"},
    "garbage-after": {"kind": "garbage", "when": "after"},
    "cut": {"kind": "truncate"},
    "deadline-before": {"kind": "hang"},
    "deadline-after": {"kind": "hang", "when": "after"},
}
SLOW_KINDS = ("deadline-before", "deadline-after")  # these wait for the provider's deadline
PAGE = 4096
ROOM_COMES_BACK = 4  # seconds


class Fault:
    """Nothing goes wrong; the calls are counted."""

    text = "clean"
    number = 0

    def __str__(self):
        return self.text

    def before(self, run):
        pass

    def arm(self, run):
        self.tracer = NoInjector()
        if not run.operation.survives_start:
            self.attach(run)

    def attach(self, run, processes=None):
        self.tracer = Injector(run.broker, None, processes) if os.geteuid() == 0 else NoInjector()

    def perform(self, run, ask):
        ask()

    def disarm(self, run):
        """Nothing goes wrong any more."""
        if self.tracer:
            run.note(self.tracer.finish())
        self.tracer = None

    def kills(self, role):
        return False

    def loses_replies(self):
        """Whether an upstream's answer may come to nobody."""
        return False

    def of_the_state(self):
        """Whether the state may not have been writable for a while."""
        return False

    def is_of_files_of(self, role):
        return False

    def after(self, run):
        pass


class Asking:
    """The client, in a thread of its own."""

    def __init__(self, ask):
        self._ask = ask
        self._raised = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            self._ask()
        except BaseException as error:  # for whoever waits
            self._raised = error

    def join(self):
        self.thread.join()
        if self._raised:
            raise self._raised


class UntilLater:
    """For what would last: an operation that waits for room gets it after a while."""

    def perform(self, run, ask):
        asking = Asking(ask)
        asking.thread.join(ROOM_COMES_BACK)
        self.disarm(run)
        asking.join()


class CallFault(Fault):
    def __init__(self, role, kind, number, action):
        self.role, self.kind, self.number, self.action = role, kind, number, action
        self.text = f"{role}/{kind}/{number}/{action}"

    def perform(self, run, ask):
        if self.action == "FULL":
            UntilLater.perform(self, run, ask)
        else:
            ask()

    def attach(self, run, processes=None):
        self.tracer = Injector(run.broker, f"{self.role}:{self.kind}:{self.number}:{self.action}", processes)

    def kills(self, role):
        if self.action.startswith("KILL="):
            return role == self.action[5:]
        return self.action in ("KILL", "TORN") and role == self.role

    def loses_replies(self):
        return self.action.startswith("KILL") or self.action in ("TORN", "FULL") or self.role in ("vault", "provider")

    def of_the_state(self):
        return self.action in ("FULL", "EIO", "EDQUOT")

    def is_of_files_of(self, role):
        return self.of_the_state() and self.role == role


class Quiet(Fault):
    """Without a tracer."""

    def attach(self, run, processes=None):
        self.tracer = NoInjector()


class UpstreamFault(Quiet):
    def __init__(self, number, kind):
        self.number, self.kind = number, kind
        self.text = f"upstream/{number}/{kind}"

    def arm(self, run):
        super().arm(run)
        self._set(run, **UPSTREAM_KINDS[self.kind])

    def loses_replies(self):
        return True

    def _set(self, run, kind, **options):
        self.id = run.github.fault("*", kind, skip=self.number - 1, **options)

    def hits(self, run):
        return [fault["hits"] for fault in run.github.faults() if fault["id"] == self.id][0]

    def disarm(self, run):
        run.struck = self.hits(run) > 0
        run.github.release(self.id)
        super().disarm(run)


class HeldFault(UpstreamFault):
    def __init__(self, number, when, role):
        self.number, self.when, self.role = number, when, role
        self.text = f"held/{number}/{when}/{role}"

    def arm(self, run):
        Quiet.arm(self, run)
        self._set(run, kind="delay", when=self.when)

    def perform(self, run, ask):
        phase = "arrived" if self.when == "before" else "worked"
        before = self._count(run, phase)
        asking = Asking(ask)
        end = time.monotonic() + PATIENCE
        while asking.thread.is_alive() and not (self.hits(run) and self._count(run, phase) >= before + self.number):
            require(time.monotonic() < end, "the upstream is not asked")
            time.sleep(0.005)
        if self.hits(run):
            self._kill(run)
        run.struck = self.hits(run) > 0
        run.github.release(self.id)
        asking.join()

    @staticmethod
    def _count(run, phase):
        return sum(counts.get(phase, 0) for name, counts in run.github.admin("counts")["counts"].items() if name != "connect")

    def _kill(self, run):
        if self.role == "supervisor":
            run.broker.process.kill()
            run.broker.process.wait()
        elif run.broker.role_pid(self.role):
            run.broker.signal_role(self.role)

    def disarm(self, run):
        Fault.disarm(self, run)

    def kills(self, role):
        return role == self.role


class RoomFault(UntilLater, Quiet):
    """A real full disk. The room comes back when the operation is over."""

    SIZE = 8 << 20

    def __init__(self, number):
        self.number = number
        self.text = f"room/{number}"

    def before(self, run):
        place = run.broker.path("state")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.SIZE},mode=0700", "none", place], check=True)

    def arm(self, run):
        super().arm(run)
        self.filler = run.broker.path("state", "filler")
        with open(self.filler, "wb", buffering=0) as file:
            free = os.statvfs(self.filler).f_bavail * PAGE
            os.posix_fallocate(file.fileno(), 0, max(PAGE, free - self.number * PAGE))

    def disarm(self, run):
        if os.path.exists(self.filler):
            run.struck = os.statvfs(self.filler).f_bavail == 0 or not run.succeeded
            os.unlink(self.filler)
        super().disarm(run)

    def of_the_state(self):
        return True

    def after(self, run):
        subprocess.run(["umount", "--lazy", run.broker.path("state")], check=True)


def parse(text):
    parts = text.split("/")
    if parts[0] == "clean":
        return Fault()
    if parts[0] == "upstream":
        return UpstreamFault(int(parts[1]), parts[2])
    if parts[0] == "held":
        return HeldFault(int(parts[1]), parts[2], parts[3])
    if parts[0] == "room":
        return RoomFault(int(parts[1]))
    return CallFault(parts[0], parts[1], int(parts[2]), parts[3])
