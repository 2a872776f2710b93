"""Whom the supervisor lets speak on the control socket."""

import os
import resource
import shutil
import subprocess
import unittest

from broker import BrokerTest, alive, wait_for

OTHER_UID = 12345


class Attest(BrokerTest):
    def setUp(self):
        self.running = self.broker()

    def attest(self, pid, uid=None, with_pidfd=True):
        fds = [os.pidfd_open(pid)] if with_pidfd else []
        answer, _ = self.running.tell("gate", f"attest {os.geteuid() if uid is None else uid} {pid}", fds)
        for fd in fds:
            os.close(fd)
        return answer

    def child(self, *arguments, **options):
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_ordinary_peer_passes(self):
        process = self.child("cat")
        for with_pidfd in (True, False):
            self.assertTrue(self.attest(process.pid, with_pidfd=with_pidfd).startswith("ok "))
        self.assertTrue(self.attest(os.getpid()).startswith("ok "))

    def test_undumpable_peer_passes(self):
        script = "import ctypes,sys; ctypes.CDLL(None).prctl(4, 0); print('.', flush=True); sys.stdin.read()"
        process = self.child(shutil.which("python3"), "-c", script)
        process.stdout.readline()
        self.assertTrue(self.attest(process.pid).startswith("ok "))

    def test_dead_peer_refused(self):
        process = self.child("cat")
        pidfd = os.pidfd_open(process.pid)
        process.kill()
        wait_for(lambda: not alive(process.pid))
        answer, _ = self.running.tell("gate", f"attest {os.geteuid()} {process.pid}", [pidfd])
        self.assertIn("has ended", answer)
        # The number may be somebody else's by now: the pidfd decides.
        answer, _ = self.running.tell("gate", f"attest {os.geteuid()} {os.getpid()}", [pidfd])
        self.assertIn("has ended", answer)
        os.close(pidfd)

    def test_pidfd_of_another_process_refused(self):
        process = self.child("cat")
        pidfd = os.pidfd_open(os.getpid())
        answer, _ = self.running.tell("gate", f"attest {os.geteuid()} {process.pid}", [pidfd])
        self.assertTrue(answer.startswith("fault NotAllowed"), answer)
        os.close(pidfd)

    def test_descriptor_that_is_no_pidfd_refused(self):
        with open("/dev/null", "rb") as file:
            answer, _ = self.running.tell("gate", f"attest {os.geteuid()} {os.getpid()}", [file.fileno()])
        self.assertTrue(answer.startswith("fault NotAllowed"), answer)

    def test_attest_other_user_namespace_refused(self):
        process = self.child("unshare", "-U", "cat")
        own = os.readlink("/proc/self/ns/user")
        wait_for(lambda: os.readlink(f"/proc/{process.pid}/ns/user") != own)
        self.assertIn("user namespace", self.attest(process.pid))

    def test_attest_undumpable_in_other_user_namespace_refused(self):
        script = "import ctypes,sys; ctypes.CDLL(None).prctl(4, 0); print('.', flush=True); sys.stdin.read()"
        process = self.child("unshare", "-U", "-r", shutil.which("python3"), "-c", script)
        process.stdout.readline()
        self.assertIn("user namespace", self.attest(process.pid))

    def test_attest_other_pid_namespace_refused(self):
        command = ["unshare", "-p", "-f", "cat"]
        if os.geteuid() != 0:
            command[1:1] = ["-U", "-r"]
        process = self.child(*command)

        def inner():
            try:
                with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
                    words = file.read().split()
            except FileNotFoundError:
                return None
            return int(words[0]) if words else None

        pid = wait_for(inner)
        self.addCleanup(lambda: alive(pid) and os.kill(pid, 9))
        self.assertIn("namespace", self.attest(pid))

    def test_attest_marked_refused(self):
        process = self.child("cat", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_RTTIME, (1 << 60, 1 << 60)))
        self.assertIn("belongs to a session", self.attest(process.pid))

    def test_attest_inherited_mark_refused(self):
        process = self.child("sh", "-c", "sh -c 'echo $$; exec cat'", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_RTTIME, (1 << 60, 1 << 60)))
        self.assertIn("belongs to a session", self.attest(int(process.stdout.readline())))

    def test_attest_role_of_the_broker_refused(self):
        self.assertIn("process of the broker", self.attest(self.running.pids("vault")[0]))
        self.assertIn("process of the broker", self.attest(self.running.process.pid))

    def test_attest_wrong_uid_refused(self):
        process = self.child("cat")
        self.assertIn("user that connected", self.attest(process.pid, uid=OTHER_UID))

    @unittest.skipIf(os.geteuid() != 0, "needs another user")
    def test_attest_of_another_user(self):
        process = self.child("cat", user=OTHER_UID, group=OTHER_UID, extra_groups=[])
        self.assertTrue(self.attest(process.pid, uid=OTHER_UID).startswith("ok "))

    def test_out_of_sight_refused(self):
        answer, _ = self.running.tell("gate", "attest 0 0")
        self.assertTrue(answer.startswith("fault NotAllowed"), answer)


if __name__ == "__main__":
    unittest.main()
