#!/usr/bin/python3
"""No process but the vault and the store holds a long-lived secret, and nothing that stays does either."""

import ctypes
import glob
import os
import resource
import secrets
import shutil
import signal
import string
import subprocess
import sys
import unittest

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import job
from job import HOME, PASSPHRASE, RUNTIME, Case, enter_machine, wait_until
from harness import children_of
from residue import BLOCK, Needles, Scanner

ROLES = ("gate", "vault", "keyring", "session")


def role_name(pid_name):
    return pid_name.removeprefix("mcpcred-")


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(") ", 1)[1].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def make_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def make_static():
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(60))


class ScannerItself(unittest.TestCase):
    def test_finds_a_secret_in_a_process(self):
        pem, static = make_key(), make_static()
        scanner = Scanner(Needles().add_pem("key", pem).add("static", static))
        program = "import sys; part = bytes.fromhex(sys.stdin.readline()); print(flush=True); sys.stdin.readline()"
        for data, expected in ((pem[300:341], "key"), (static[7:47].encode(), "static"), (b"x" * 64, None)):
            child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            child.stdin.write(data.hex().encode() + b"\n")
            child.stdin.flush()
            child.stdout.readline()
            found, read, _ = scanner.memory(child.pid)
            self.assertGreater(read, 1 << 20)
            self.assertEqual({name.split()[0] for name, _ in found}, {expected} - {None})
            child.stdin.close()
            child.stdout.close()
            child.wait()

    def test_finds_any_forty_bytes(self):
        static = make_static()
        needles = Needles().add("static", static)
        for start in range(len(static) - 2 * BLOCK + 1):
            self.assertTrue(needles.find(b"--" + static[start : start + 2 * BLOCK].encode() + b"--"))


class Run(Case):
    """A whole run with each store, looked at in its middle and at its end."""

    def setUp(self):
        # What a core would need, where the broker let one be written.
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, (soft, hard))
        self.static = make_static()
        self.new_key = HOME / "new-key.pem"
        self.new_key.write_bytes(make_key())
        self.addCleanup(self.new_key.unlink, missing_ok=True)
        with open(self.github.app_key, "rb") as file:
            self.needles = Needles().add_pem("the first key", file.read())
        self.needles.add_pem("the second key", self.new_key.read_bytes()).add("the static secret", self.static)
        self.needles.add("the passphrase", PASSPHRASE)
        self.scanner = Scanner(self.needles)
        self.said = []
        self.looked = {}
        super().setUp()

    # -- looking

    def roles(self):
        """{pid: role} of what is alive, the supervisor too."""
        return {self.broker.pid: "supervisor", **{pid: role_name(name) for pid, name in children_of(self.broker.pid).items()}}

    def look(self, where, *clients, but=()):
        """Scans every process of the broker, and clients."""
        if os.geteuid() != 0:
            return
        processes = {**self.roles(), **{pid: "client" for pid in clients}}
        for pid, role in processes.items():
            if role in but:
                continue
            if role in ("vault", "keyring"):
                # They hold it while they work with it, and may answer just before they wipe it.
                wait_until(lambda worker=pid: not self.scanner.memory(worker)[0], f"{where}: memory of {role}")
            try:
                found, read, _unreadable = self.scanner.memory(pid)
            except (FileNotFoundError, ProcessLookupError):
                # A provider lives for one operation.
                self.assertIn(role, ("provide", "provider"))
                continue
            self.assertEqual(found, set(), f"{where}: memory of {role}")
            self.assertGreater(read, 100_000, (where, role))
            self.looked[role] = max(self.looked.get(role, 0), read)
        self.assertEqual(self.scanner.arguments(but={os.getpid(), *self.exposed}), set(), where)

    def held_by_store(self):
        return ("keyring",) if self.store == "memory" else ()

    exposed = frozenset()

    # -- the run

    def in_background(self, *arguments, stdin=""):
        """A client that waits for its answer."""
        read, write = os.pipe()
        os.write(write, stdin.encode())
        os.close(write)
        client = subprocess.Popen(self.command(*arguments), stdin=read, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        os.close(read)
        return client

    def command(self, *arguments):
        return [job.MCPCRED, *map(str, arguments)]

    def finish(self, client):
        said, _ = client.communicate(timeout=60)
        self.said.append(said)
        self.assertEqual(client.returncode, 0, said)
        return said

    def held(self, endpoint, where, *arguments, stdin="", but=None):
        """Runs a command whose request to the upstream is held up, and looks meanwhile."""
        before = self.github.count(endpoint)
        fault = self.github.fault(endpoint, "delay")
        client = self.in_background(*arguments, stdin=stdin)
        try:
            self.github.wait(endpoint, before + 1)
            self.assertIn("provide", "".join(self.roles().values()), "no provider is at work")
            self.look(where, client.pid, but=but if but is not None else ("vault", *self.held_by_store()))
        finally:
            self.github.release(fault)
        return self.finish(client)

    def session(self, profile, *command):
        """`mcpcred exec` of a shell that says when it is there, and ends with its input."""
        # The command of an exposed secret is pinned; the others also use their session's process.
        use = "" if profile == "search" else f"{job.MCPCRED} token >/dev/null; "
        client = subprocess.Popen(
            self.exec_command("/bin/sh", "-c", use + "echo ready; read line", profile=profile),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self.assertEqual(client.stdout.readline(), "ready\n")
        return client

    def end(self, client):
        client.stdin.close()
        self.assertIn(client.wait(60), (0, 1))
        client.stdout.close()

    def test_run(self):
        idle = self.held_by_store()
        with open(self.github.app_key, encoding="ascii") as file:
            key = file.read()
        ids = ["--app-id", self.github.app_id, "--installation-id", "42"]
        self.held("app", "add", "add", "again", *ids, "--stdin", stdin=key)
        self.look("after add", but=idle)
        self.said.append(self.good("add", "search", "--host", "api.search.example", "--stdin", stdin=self.static))
        self.look("after add of a static secret", but=idle)

        mint = self.held("mint", "mint", *self.exec_command("/bin/sh", "-c", "mcpcred=1")[1:])
        self.assertEqual(mint, "")

        session, exposed = self.session("github"), self.session("search")
        self.exposed = frozenset(children_of(exposed.pid))
        self.look("sessions live", session.pid, exposed.pid, but=idle)

        self.github.add_key(self.new_key)
        self.held("app", "rotate", "rotate", "github", "--file", self.new_key)
        self.look("after rotate", session.pid, exposed.pid, but=idle)

        done = self.run_mcpcred("add", "github", *ids, "--stdin", stdin=key)
        self.assertNotEqual(done.status, 0)
        done = self.run_mcpcred("add", "bad", *ids, "--stdin", stdin=key[:-200])
        self.assertNotEqual(done.status, 0)
        self.said.append(done.err)
        self.look("after refusals", session.pid, exposed.pid, but=idle)

        self.crash("vault")
        self.unlock_again()
        self.look("after a crash", session.pid, exposed.pid, but=idle)
        self.said.append(self.good("revoke", "--all"))
        self.end(session)
        self.end(exposed)
        self.exposed = frozenset()
        self.look("after revocation", but=idle)
        for verb in (["status"], ["doctor"], ["list"], ["leases", "--all"], ["sessions", "--all"], ["audit", "tail"], ["audit", "verify"]):
            self.said.append(repr(self.run_mcpcred(*verb)))
            self.said.append(repr(self.run_mcpcred(*verb, "--json")))
        if self.store != "memory":
            for name in ("again", "search"):
                self.said.append(self.good("remove", name, "--yes"))
        self.cores()
        self.at_rest()

    def crash(self, role):
        before = {name: pid for pid, name in self.roles().items()}
        mark = self.log.mark()
        os.kill(before[role], signal.SIGKILL)
        self.log.wait("state: ready", mark)
        wait_until(lambda: self.run_mcpcred("status").status == 0, "the broker does not come back")

    def unlock_again(self):
        if self.store != "memory":
            wait_until(lambda: f"{self.store}, ready" in self.run_mcpcred("status").out, "the store does not come back")

    # -- what stays

    def cores(self):
        """A forced core of each role and of the client, and none is written."""
        self.control_core()
        client = self.session("github")
        children = {pid: role for pid, role in self.roles().items() if role in ROLES}
        self.assertLessEqual({"gate", "vault", "keyring", "session"}, set(children.values()))
        if os.geteuid() == 0 and shutil.which("gcore"):
            self.dump({**children, self.broker.pid: "supervisor", client.pid: "client"})
        for pid in children:
            pidfd = os.pidfd_open(pid)
            os.kill(pid, signal.SIGABRT)
            wait_until(lambda gone=pid: is_gone(gone), "it lives")
            os.close(pidfd)
        client.send_signal(signal.SIGABRT)
        client.wait(60)
        client.stdin.close()
        client.stdout.close()
        self.broker.send_signal(signal.SIGABRT)
        self.broker.wait(60)
        self.log.join()
        self.said += self.log.lines
        self.broker = None
        self.assertEqual([path for path in self.core_files()], [])

    def core_files(self):
        tops = ["/", str(HOME), RUNTIME, str(HOME / ".local/state/mcpcred"), "/tmp"]
        return sorted(path for top in tops for path in glob.glob(top + "/*core*") if os.path.isfile(path))

    def control_core(self):
        """Where cores are files, an ordinary process leaves one here."""
        with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
            if file.read().strip() != "core":
                return
        place = HOME / "control"
        place.mkdir()
        done = subprocess.run(["/bin/sh", "-c", "kill -ABRT $$"], cwd=place, check=False)
        self.assertEqual(done.returncode, -signal.SIGABRT)
        self.assertEqual(len(list(place.iterdir())), 1)
        shutil.rmtree(place)

    def dump(self, processes):
        """What a debugger of root writes, ignoring what was marked as not to be dumped."""
        for pid, role in processes.items():
            if role in self.held_by_store():
                continue
            prefix = str(HOME / "dump")
            subprocess.run(["gcore", "-a", "-o", prefix, str(pid)], capture_output=True, stdin=subprocess.DEVNULL, check=False)
            path = f"{prefix}.{pid}"
            self.assertGreater(os.path.getsize(path), 100_000, role)
            with open(path, "rb") as file:
                self.assertEqual(self.needles.find(file.read()), set(), f"core of {role}")
            os.unlink(path)

    def at_rest(self):
        given = {str(HOME / "github"), str(HOME / "control"), "/proc", "/dev"}
        self.new_key.unlink()
        keyrings = str(HOME / ".local/share/keyrings")  # sealed by the keyring daemon with the login password
        self.assertEqual(self.scanner.files("/", without=given), set(), keyrings)
        self.assertEqual(self.needles.find("\n".join(self.said).encode()), set())
        print(", ".join(f"{role} {size >> 10} KiB" for role, size in sorted(self.looked.items())), file=sys.stderr)


class Memory(Run):
    pass


class SealedFile(Run):
    store = "sealed-file"


class SecretService(Run):
    store = "secret-service"


class SameUser(Case):
    """What an attacker of the same user, outside of any sandbox, gets of each role."""

    @unittest.skipIf(os.geteuid() == 0, "root may read everything; this is the ordinary user's part")
    def test_memory_cannot_be_opened(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        script = f"{job.MCPCRED} token >/dev/null; echo ready; read line"
        client = subprocess.Popen(self.exec_command("/bin/sh", "-c", script), **pipes)
        self.assertEqual(client.stdout.readline(), "ready\n")
        before = self.github.count("mint")
        fault = self.github.fault("mint", "delay")
        waiting = subprocess.Popen(self.exec_command("/bin/true"), **pipes)
        self.github.wait("mint", before + 1)
        # One is being started before it has its name.
        wait_until(lambda: {role_name(name) for name in children_of(self.broker.pid).values()} == {*ROLES, "provide"},
                   "a role is missing")
        roles = children_of(self.broker.pid)
        for pid, role in {self.broker.pid: "supervisor", client.pid: "client", waiting.pid: "client", **roles}.items():
            opened = self.what_opens(pid)
            # The provider of the operation before may end while it is looked at; the one that is held up stays.
            if role_name(role) == "provide" and is_gone(pid):
                continue
            self.assertEqual((opened, self.read_memory(pid)), ([], -1), role)
        self.assertTrue([pid for pid, role in roles.items() if role_name(role) == "provide" and not is_gone(pid)])
        self.github.release(fault)
        for process in (client, waiting):
            process.stdin.close()
            process.wait(60)
            process.stdout.close()

    @staticmethod
    def what_opens(pid):
        def look(name):
            if name == "fd":
                return os.listdir(f"/proc/{pid}/fd")
            with open(f"/proc/{pid}/{name}", "rb") as file:
                return file.read(1)

        opened = []
        for name in ("mem", "environ", "maps", "auxv", "fd"):
            try:
                look(name)
                opened.append(name)
            except PermissionError:
                pass
            except (FileNotFoundError, ProcessLookupError):
                opened.append(name + ", gone")
        return opened

    @staticmethod
    def read_memory(pid):
        libc = ctypes.CDLL(None, use_errno=True)

        class Vector(ctypes.Structure):
            _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]

        buffer = ctypes.create_string_buffer(8)
        local, remote = Vector(ctypes.addressof(buffer), 8), Vector(0x400000, 8)
        libc.process_vm_readv.restype = ctypes.c_ssize_t
        return libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)


del Run

if __name__ == "__main__":
    enter_machine(__file__, modules=False)
    unittest.main(verbosity=2)
