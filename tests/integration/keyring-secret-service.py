#!/usr/bin/env python3
"""The keyring role against a real gnome-keyring-daemon on a private bus, and against what can be
wrong with one: absent, locked, killed, stopped.

usage: keyring-secret-service.py DRIVER FAKE-SERVICE MCPCRED-KEYRING [TEST...]        prints TAP
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
DEFAULT = "/org/freedesktop/secrets/aliases/default"
# The role's own deadline of a call, and what a busy machine may add.
DEADLINE = 5.0
SLACK = 4.0


class World:
    """A home, a bus that activates nothing, at most one keyring daemon, and the role under test."""

    def __init__(self, bus=True, address=None):
        self.dir = tempfile.mkdtemp(prefix="mcpcred-keyring-")
        self.state = self.path("state")
        for name in ("state", "home", "run"):
            os.mkdir(self.path(name), 0o700)
        self.socket = self.path("run/bus")
        self.env = {"PATH": os.environ["PATH"], "HOME": self.path("home"), "XDG_RUNTIME_DIR": self.path("run")}
        self.env["DBUS_SESSION_BUS_ADDRESS"] = address or "unix:path=" + self.socket
        # The leak checker needs the ptrace that a confined process is denied.
        self.env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        self.bus = self.daemon = self.driver = None
        if bus:
            self.start_bus()

    def path(self, name):
        return os.path.join(self.dir, name)

    def start_bus(self):
        config = self.path("bus.conf")
        with open(config, "w", encoding="ascii") as out:
            out.write(BUS_CONFIG.format(path=self.socket))
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.bus = subprocess.Popen(["dbus-daemon", "--nofork", "--nosyslog", "--config-file=" + config],
                                    env=self.env, stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(self.socket), "the bus")

    def start_daemon(self, password="pass"):
        """Unlocked with a password, which makes the login collection; or not unlocked, with None."""
        how = ["--unlock"] if password else ["--start"]
        self.daemon = subprocess.Popen(["gnome-keyring-daemon", "--foreground", "--components=secrets"] + how,
                                       env=self.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        self.daemon.stdin.write((password or "").encode())
        self.daemon.stdin.close()
        self.wait_for_service()

    def start_fake(self, mode):
        """keyring-fake-service in the daemon's place."""
        self.daemon = subprocess.Popen([FAKE, mode], env=self.env, stdout=subprocess.PIPE, text=True)
        self.wait_for_service()

    def wait_for_service(self):
        wait_for(lambda: self.bus_call("org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner",
                                       "org.freedesktop.secrets") == "(true,)", "the keyring daemon")

    def bus_call(self, name, path, method, *args):
        done = subprocess.run(["gdbus", "call", "--session", "-d", name, "-o", path, "-m", method, *args],
                              env=self.env, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def secrets(self, path, method, *args):
        return self.bus_call("org.freedesktop.secrets", path, method, *args)

    def stop(self, which):
        process = getattr(self, which)
        if process:
            process.kill()
            process.wait()
            setattr(self, which, None)

    def ask(self, line):
        """One command to the driver; returns its answer."""
        if not self.driver:
            self.driver = subprocess.Popen([DRIVER, ROLE, "--state", self.state], env=self.env, text=True,
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=open(self.path("log"), "ab"))
            expect(self.driver.stdout.readline().strip(), "ok")
        self.driver.stdin.write(line + "\n")
        self.driver.stdin.flush()
        return self.driver.stdout.readline().strip()

    def log(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        ended = None
        if self.daemon:
            self.daemon.send_signal(signal.SIGCONT)
        if self.driver:
            self.driver.stdin.close()
            ended = self.driver.wait(20)
        for which in ("daemon", "bus"):
            self.stop(which)
        log = self.log() if self.driver else ""
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.driver:
            expect(ended, 0)
            if "role ended: exit 0" not in log:
                raise AssertionError("the role did not end by itself:\n" + log)


def wait_for(condition, what):
    until = time.monotonic() + 10
    while not condition():
        if time.monotonic() > until:
            raise AssertionError("timed out waiting for " + what)
        time.sleep(0.02)


def expect(got, want):
    if got != want:
        raise AssertionError(f"got {got!r:.300}, wanted {want!r:.300}")


def expect_fault(got, fault):
    if not got.startswith("fault " + fault + " "):
        raise AssertionError(f"got {got!r:.300}, wanted fault {fault}")


def timed(function):
    start = time.monotonic()
    value = function()
    return value, time.monotonic() - start


def stored_loaded_replaced_removed(w):
    w.start_daemon()
    expect(w.ask("open auto"), "ok secret-service")
    expect(w.ask("load a"), "ok none")
    for value in ("00", "00ff0a0d7b7d", "c3a4", os.urandom(60 * 1024).hex(), "empty"):
        hexadecimal = "" if value == "empty" else value
        expect(w.ask("store a " + hexadecimal), "ok")
        expect(w.ask("load a"), "ok " + value)
    expect(w.ask("store _root 1234"), "ok")
    expect(w.ask("load a"), "ok empty")
    expect(w.ask("remove a"), "ok")
    expect(w.ask("remove a"), "ok")
    expect(w.ask("load a"), "ok none")
    expect(w.ask("load _root"), "ok 1234")


def items_survive_the_role(w):
    w.start_daemon()
    w.ask("open secret-service")
    expect(w.ask("store a 01"), "ok")
    expect(w.ask("attach"), "ok")
    expect(w.ask("load a"), "ok 01")
    expect(w.ask("restart"), "ok")
    expect_fault(w.ask("load a"), "KeyringLocked")
    expect(w.ask("open auto secret-service"), "ok secret-service")
    expect(w.ask("load a"), "ok 01")


def attributes_say_only_who(w):
    w.start_daemon()
    w.ask("open auto")
    for _ in range(3):
        expect(w.ask("store a 01"), "ok")
    found = w.secrets(DEFAULT, "org.freedesktop.Secret.Collection.SearchItems",
                      "{'application': 'mcpcred', 'item': 'a'}")
    if found.count("/org/freedesktop/secrets") != 1:
        raise AssertionError("not one item: " + found)
    item = found.split("'")[1]
    got = w.secrets(item, "org.freedesktop.DBus.Properties.Get", "org.freedesktop.Secret.Item", "Attributes")
    pairs = sorted(got.replace("(<{", "").replace("}>,)", "").split(", "))
    expect(pairs, ["'application': 'mcpcred'", "'item': 'a'", "'xdg:schema': 'org.mcpcred.Secret'"])


def no_bus_address_is_absent(w):
    w.env.pop("DBUS_SESSION_BUS_ADDRESS")
    expect_fault(w.ask("open auto"), "KeyringAbsent")
    expect_fault(w.ask("open secret-service"), "KeyringAbsent")
    expect(os.listdir(w.state), [])


def dead_bus_socket_is_absent(w):
    expect_fault(w.ask("open auto"), "KeyringAbsent")


def bus_address_never_runs_a_program(w):
    for kind in ("open auto", "open secret-service"):
        expect_fault(w.ask(kind), "KeyringAbsent")
    if os.path.exists("/tmp/mcpcred-keyring-ran"):
        raise AssertionError("it ran")


def no_provider_is_absent(w):
    answer, seconds = timed(lambda: w.ask("open auto"))
    expect_fault(answer, "KeyringAbsent")
    if seconds > 2:
        raise AssertionError(f"took {seconds:.1f} s")


def no_default_collection_is_absent(w):
    w.start_daemon(password=None)
    expect_fault(w.ask("open auto"), "KeyringAbsent")
    expect_fault(w.ask("open secret-service"), "KeyringAbsent")
    keyrings = w.path("home/.local/share/keyrings")
    made = [name for name in (os.listdir(keyrings) if os.path.isdir(keyrings) else []) if name.endswith(".keyring")]
    expect(made, [])


def absent_then_started(w):
    expect_fault(w.ask("open auto"), "KeyringAbsent")
    w.start_daemon()
    expect(w.ask("open auto"), "ok secret-service")
    expect(w.ask("store a 01"), "ok")


def locked_is_locked_and_not_absent(w):
    w.start_daemon()
    w.ask("open auto")
    expect(w.ask("store a 01"), "ok")
    w.secrets("/org/freedesktop/secrets", "org.freedesktop.Secret.Service.Lock", f"['{DEFAULT}']")
    for line in ("load a", "load b", "store a 02", "remove a", "open auto"):
        answer, seconds = timed(lambda command=line: w.ask(command))
        expect_fault(answer, "KeyringLocked")
        if seconds > 2:
            raise AssertionError(f"{line!r} took {seconds:.1f} s")
    expect_fault(w.ask("load a"), "KeyringLocked")


def locked_at_login_then_unlocked(w):
    w.start_daemon()
    w.ask("open auto")
    expect(w.ask("store a 01"), "ok")
    w.stop("daemon")
    w.start_daemon(password=None)
    expect_fault(w.ask("load a"), "KeyringLocked")
    w.stop("daemon")
    w.start_daemon()
    expect(w.ask("load a"), "ok 01")


def daemon_killed_and_restarted(w):
    w.start_daemon()
    w.ask("open auto")
    expect(w.ask("store a 01"), "ok")
    for _ in range(2):
        w.stop("daemon")
        expect_fault(w.ask("load a"), "KeyringAbsent")
        expect_fault(w.ask("store a 02"), "KeyringAbsent")
        w.start_daemon()
        expect(w.ask("load a"), "ok 01")
    w.stop("daemon")
    w.start_daemon()
    expect(w.ask("store a 03"), "ok")
    expect(w.ask("load a"), "ok 03")


def bus_killed_and_restarted(w):
    w.start_daemon()
    w.ask("open auto")
    expect(w.ask("store a 01"), "ok")
    w.stop("bus")
    w.stop("daemon")
    time.sleep(0.2)
    expect_fault(w.ask("load a"), "KeyringAbsent")
    w.start_bus()
    w.start_daemon()
    expect(w.ask("load a"), "ok 01")


def daemon_stopped_is_hung(w):
    w.start_daemon()
    w.ask("open auto")
    expect(w.ask("store a 01"), "ok")
    w.daemon.send_signal(signal.SIGSTOP)
    for line in ("load a", "open auto"):
        answer, seconds = timed(lambda command=line: w.ask(command))
        expect_fault(answer, "KeyringHung")
        if not DEADLINE - 0.5 < seconds < DEADLINE + SLACK:
            raise AssertionError(f"{line!r} took {seconds:.1f} s")
    w.daemon.send_signal(signal.SIGCONT)
    expect(w.ask("open auto"), "ok secret-service")
    expect(w.ask("load a"), "ok 01")


def auto_is_never_silent(w):
    expect_fault(w.ask("open auto"), "KeyringAbsent")
    expect(os.listdir(w.state), [])
    if not w.ask("create pass").startswith("ok "):
        raise AssertionError("an explicit create was refused")
    expect(w.ask("store a 01"), "ok")
    expect(w.ask("restart"), "ok")
    expect_fault(w.ask("open auto"), "KeyringLocked")
    expect(w.ask("unlock pass pass")[:3], "ok ")
    w.start_daemon()
    # The file was in use before: a service that came later is not taken for it.
    expect(w.ask("open auto sealed-file"), "ok sealed-file")
    expect(w.ask("load a"), "ok 01")
    expect(w.ask("open auto"), "ok secret-service")
    expect(w.ask("load a"), "ok none")


def lock_leaves_the_keyring_alone(w):
    w.start_daemon()
    w.ask("open auto")
    expect(w.ask("store a 01"), "ok")
    expect(w.ask("lock"), "ok")
    expect_fault(w.ask("load a"), "KeyringLocked")
    got = w.secrets(DEFAULT, "org.freedesktop.DBus.Properties.Get", "org.freedesktop.Secret.Collection", "Locked")
    expect(got, "(<false>,)")
    expect_fault(w.ask("unlock pass word"), "Unsupported")
    expect(w.ask("unlock"), "ok")
    expect(w.ask("load a"), "ok 01")


def nothing_secret_is_logged(w):
    w.start_daemon()
    w.ask("open auto")
    w.ask("store a " + b"needle-in-the-log".hex())
    w.ask("load a")
    w.stop("daemon")
    w.ask("load a")
    if "needle" in w.log() or "KeyringAbsent" not in w.log():
        raise AssertionError("the log says: " + w.log())


def fake_unlocks_at_the_first_unlock(w):
    w.start_fake("late")
    expect(w.ask("open auto"), "ok secret-service")
    expect(w.ask("load a"), "ok " + b"fake".hex())


def fake_prompt_is_dismissed_unseen(w):
    w.start_fake("prompt")
    for line in ("open auto", "open secret-service"):
        expect_fault(w.ask(line), "KeyringLocked")
    w.daemon.terminate()
    expect(w.daemon.communicate(timeout=10)[0].split(), ["dismiss", "dismiss"])


def fake_duplicate_is_not_guessed_at(w):
    w.start_fake("twice")
    expect(w.ask("open auto"), "ok secret-service")
    expect_fault(w.ask("load a"), "StoreDamaged")


def fake_huge_item_is_refused(w):
    w.start_fake("huge")
    expect(w.ask("open auto"), "ok secret-service")
    expect_fault(w.ask("load a"), "StoreDamaged")


def fake_error_is_told_clean(w):
    w.start_fake("error")
    expect(w.ask("open auto"), "ok secret-service")
    answer = w.ask("load a")
    expect_fault(answer, "KeyringFailed")
    if not answer.isprintable():
        raise AssertionError("passed on raw: " + repr(answer))


def no_copy_of_a_value_stays(w):
    """Of what is stored and loaded, nothing is left in the memory that a debugger could read."""
    w.start_daemon()
    w.ask("open auto")
    needle = os.urandom(24)
    expect(w.ask("store a " + needle.hex()), "ok")
    expect(w.ask("load a"), "ok " + needle.hex())
    w.ask("open sealed-file")
    w.ask("create pass")
    expect(w.ask("store a " + needle.hex()), "ok")
    pid = w.ask("pid").split()[1]
    # The role wipes its receive buffer behind its answer.
    wait_for(lambda: copies(pid, needle) == 0, "the last copy to go")


def copies(pid, needle):
    found = 0
    try:
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
        maps = open(f"/proc/{pid}/maps", encoding="ascii").read().splitlines()
    except PermissionError:
        return 0  # an undumpable process is closed to all but root
    with memory:
        for line in maps:
            start, end = (int(word, 16) for word in line.split()[0].split("-"))
            if end - start > 64 << 20:
                continue  # reserved by a sanitizer
            try:
                memory.seek(start)
                found += memory.read(end - start).count(needle)
            except (OSError, OverflowError):
                continue  # a guard page, or pages that the kernel itself does not map
    return found


TESTS = [
    (stored_loaded_replaced_removed, {}),
    (items_survive_the_role, {}),
    (attributes_say_only_who, {}),
    (no_bus_address_is_absent, {"bus": False}),
    (dead_bus_socket_is_absent, {"bus": False}),
    (bus_address_never_runs_a_program,
     {"bus": False, "address": "unixexec:path=/usr/bin/touch,argv1=/tmp/mcpcred-keyring-ran"}),
    (no_provider_is_absent, {}),
    (no_default_collection_is_absent, {}),
    (absent_then_started, {}),
    (locked_is_locked_and_not_absent, {}),
    (locked_at_login_then_unlocked, {}),
    (daemon_killed_and_restarted, {}),
    (bus_killed_and_restarted, {}),
    (daemon_stopped_is_hung, {}),
    (auto_is_never_silent, {}),
    (lock_leaves_the_keyring_alone, {}),
    (nothing_secret_is_logged, {}),
    (fake_unlocks_at_the_first_unlock, {}),
    (fake_prompt_is_dismissed_unseen, {}),
    (fake_duplicate_is_not_guessed_at, {}),
    (fake_huge_item_is_refused, {}),
    (fake_error_is_told_clean, {}),
    (no_copy_of_a_value_stays, {}),
]


def main():
    for program in ("dbus-daemon", "gnome-keyring-daemon", "gdbus"):
        if not shutil.which(program):
            print(f"1..0 # SKIP {program} is not installed", flush=True)
            return 77
    chosen = [test for test in TESTS if len(sys.argv) < 5 or test[0].__name__ in sys.argv[4:]]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    for number, (test, how) in enumerate(chosen, 1):
        problem, world = None, World(**how)
        try:
            test(world)
        except (AssertionError, OSError, ValueError) as error:
            problem = str(error) or type(error).__name__
        try:
            world.close()
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            problem = problem or str(error)
        failed += problem is not None
        print(f"{'not ok' if problem else 'ok'} {number} - {test.__name__}", flush=True)
        for line in (problem or "").splitlines():
            print("# " + line, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    DRIVER, FAKE, ROLE = sys.argv[1:4]
    sys.exit(main())
