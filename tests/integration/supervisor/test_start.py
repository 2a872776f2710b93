"""Where a broker refuses to start, and that it says why."""

import os
import resource
import socket
import subprocess
import unittest

from broker import MCPCREDD, SESSION, BrokerTest, wait_for


class Start(BrokerTest):
    def refused(self, broker, what, status=1):
        broker.spawn()
        self.assertEqual(broker.process.wait(15), status)
        self.assertIn(what, broker.log())

    def test_planted_symlink_refused(self):
        for name in ("runtime", "state"):
            broker = self.broker(start=False)
            victim = os.path.join(broker.top, "victim")
            os.mkdir(victim, 0o700)
            os.symlink(victim, getattr(broker, name))
            self.refused(broker, "symbolic link")
            self.assertEqual(os.listdir(victim), [])

    def test_planted_lock_refused(self):
        broker = self.broker(start=False)
        os.mkdir(broker.runtime, 0o700)
        os.symlink(os.path.join(broker.top, "elsewhere"), os.path.join(broker.runtime, "lock"))
        self.refused(broker, "symbolic link")
        self.assertFalse(os.path.exists(os.path.join(broker.top, "elsewhere")))

    def test_wrong_mode_refused(self):
        broker = self.broker(start=False)
        os.mkdir(broker.runtime)
        os.chmod(broker.runtime, 0o750)
        self.refused(broker, "0700")

    @unittest.skipIf(os.geteuid() != 0, "needs another owner")
    def test_wrong_owner_refused(self):
        broker = self.broker(start=False)
        os.mkdir(broker.runtime, 0o700)
        os.chown(broker.runtime, 12345, 12345)
        self.refused(broker, "another user")

    @unittest.skipIf(os.geteuid() != 0, "needs another owner")
    def test_replaceable_parent_refused(self):
        broker = self.broker(start=False)
        parent = os.path.join(broker.top, "p")
        os.mkdir(parent, 0o755)
        os.chown(parent, 12345, 12345)
        broker.runtime = os.path.join(parent, "r")
        self.refused(broker, "above it")

    def test_writable_parent_refused(self):
        broker = self.broker(start=False)
        parent = os.path.join(broker.top, "p")
        os.mkdir(parent)
        os.chmod(parent, 0o777)
        broker.runtime = os.path.join(parent, "r")
        self.refused(broker, "above it")

    def test_second_broker_refused(self):
        broker = self.broker()
        for other_runtime in (broker.runtime, os.path.join(broker.top, "r2")):
            arguments = broker.arguments()
            arguments[arguments.index("--runtime") + 1] = other_runtime
            second = subprocess.run(arguments, capture_output=True, text=True, timeout=15, check=False)
            self.assertEqual(second.returncode, 1)
            self.assertIn("another broker", second.stderr)
        self.assertIsNone(broker.process.poll())
        self.assertTrue(os.path.exists(os.path.join(broker.runtime, "broker.sock")))

    def test_leftovers_removed(self):
        broker = self.broker(start=False)
        left = os.path.join(broker.runtime, "s", SESSION)
        os.makedirs(left, mode=0o700)
        os.chmod(broker.runtime, 0o700)
        with open(os.path.join(left, "token"), "w", encoding="ascii"):
            pass
        os.symlink("/etc", os.path.join(broker.runtime, "s", "s-link"))
        broker.start()
        self.assertEqual(os.listdir(os.path.join(broker.runtime, "s")), [])
        self.assertTrue(os.path.isdir("/etc"))

    def test_too_long_path_refused(self):
        broker = self.broker(start=False)
        broker.runtime = os.path.join(broker.top, "x" * 90)
        self.refused(broker, "too long")

    def test_marked_broker_refused(self):
        broker = self.broker(start=False)
        broker.spawn(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_RTTIME, (1 << 60, 1 << 60)))
        self.assertEqual(broker.process.wait(15), 1)
        self.assertIn("inside a session", broker.log())

    def test_usage(self):
        for arguments in (["--nonsense"], ["argument"], ["--runtime"]):
            done = subprocess.run([MCPCREDD] + arguments, capture_output=True, timeout=15, check=False)
            self.assertEqual(done.returncode, 2, arguments)
        done = subprocess.run([MCPCREDD, "--help"], capture_output=True, timeout=15, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_ready_is_notified(self):
        broker = self.broker(start=False)
        path = os.path.join(broker.top, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(path)
            sock.settimeout(15)
            broker.start(env={**os.environ, "NOTIFY_SOCKET": path, "JOURNAL_STREAM": "1:2"})
            self.assertIn(b"READY=1", sock.recv(512))
        self.assertIn("<6>mcpcredd: supervisor: ready", broker.log())

    def test_socket_activation(self):
        broker = self.broker(start=False)
        path = os.path.join(broker.top, "activated")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen()

            def place():
                os.dup2(listener.fileno(), 3)

            script = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
            broker_arguments = broker.arguments()
            broker.arguments = lambda: ["/bin/sh", "-c", script, "sh"] + broker_arguments
            broker.start(preexec_fn=place, pass_fds=(3, listener.fileno()))
        wait_for(lambda: "Listen fds=1" in broker.trace("gate"))
        self.assertFalse(os.path.exists(os.path.join(broker.runtime, "broker.sock")))

    def test_background(self):
        broker = self.broker(start=False)
        arguments = [word for word in broker.arguments() if word != "--foreground"]
        done = subprocess.run(arguments, capture_output=True, timeout=15, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(broker.runtime, "lock"), encoding="ascii") as file:
            pid = int(file.read())
        os.kill(pid, 15)
        wait_for(lambda: not os.path.exists(os.path.join(broker.runtime, "broker.sock")))


if __name__ == "__main__":
    unittest.main()
