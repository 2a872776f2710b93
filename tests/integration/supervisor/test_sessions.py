"""Sessions: directory, lifeline, process on first use, files, end."""

import os
import signal
import socket
import stat
import subprocess
import unittest

from broker import SESSION, BrokerTest, alive, wait_for


class Sessions(BrokerTest):
    def create(self, broker, lifeline="lifetime", fds=(), want="-", session=SESSION):
        answer, received = broker.tell("vault", f"create {session} {lifeline} {want}", fds)
        self.assertTrue(answer.startswith("ok "), answer)
        return answer[3:], received

    @staticmethod
    def ask(path, text=b"hello\n"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(10)
            sock.connect(path)
            sock.sendall(text)
            return sock.recv(64).decode()

    def test_directory_and_socket_are_private(self):
        broker = self.broker()
        path, _ = self.create(broker)
        self.assertEqual(path, os.path.join(os.path.realpath(broker.runtime), "s", SESSION, "broker.sock"))
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(broker.pids("session"), [])

    def test_session_process_restarted_on_first_use(self):
        broker = self.broker()
        path, _ = self.create(broker)
        self.assertEqual(self.ask(path), f"pid {broker.pids('session')[0]}\n")
        wait_for(lambda: f"Attach session {SESSION}" in broker.trace("vault"))
        self.assertEqual(self.ask(path, b"die\n"), "")
        wait_for(lambda: not alive(broker.pids("session")[0]))
        self.assertEqual(len(broker.pids("session")), 1)
        # The listener outlived it: the next one that speaks gets a new process.
        self.assertEqual(self.ask(path), f"pid {broker.pids('session')[1]}\n")

    def test_descriptor_starts_the_process_and_outlives_it(self):
        broker = self.broker()
        _, fds = self.create(broker, want="fd")
        self.assertEqual(len(fds), 1)
        with socket.socket(fileno=fds[0]) as sock:
            sock.settimeout(10)
            sock.sendall(b"hello\n")
            self.assertTrue(sock.recv(64).startswith(b"pid "))
            sock.sendall(b"die\n")
            wait_for(lambda: not alive(broker.pids("session")[0]))
            sock.sendall(b"hello\n")
            self.assertTrue(sock.recv(64).startswith(b"pid "))
        self.assertEqual(len(broker.pids("session")), 2)

    def test_process_can_be_started_before_first_use(self):
        broker = self.broker()
        path, _ = self.create(broker)
        broker.tell("vault", "start-session s-0000000000000000", answered=False)  # one that is not there
        broker.tell("vault", f"start-session {SESSION}", answered=False)
        wait_for(lambda: f"Attach session {SESSION}" in broker.trace("vault"))
        self.assertEqual(self.ask(path), f"pid {broker.pids('session')[0]}\n")
        broker.tell("vault", f"start-session {SESSION}", answered=False)  # it runs already
        self.assertEqual(self.ask(path), f"pid {broker.pids('session')[0]}\n")
        self.assertEqual(len(broker.pids("session")), 1)

    def test_closed_descriptor_starts_nothing(self):
        broker = self.broker()
        path, fds = self.create(broker, want="fd")
        os.close(fds[0])
        answer, _ = broker.tell("vault", "held")
        self.assertEqual(answer, "ok " + SESSION)
        self.assertEqual(broker.pids("session"), [])
        self.assertTrue(self.ask(path).startswith("pid "))

    def test_lifeline_gone_notifies(self):
        for kind in ("descriptor", "connection"):
            broker = self.broker()
            ours, theirs = socket.socketpair()
            self.create(broker, kind, [theirs.fileno()])
            theirs.close()
            self.assertEqual(broker.tell("vault", "held")[0], "ok " + SESSION)
            ours.send(b"never read")
            self.assertNotIn("LifelineGone " + SESSION, broker.trace("vault"))
            ours.close()
            wait_for(lambda broker=broker: "LifelineGone " + SESSION in broker.trace("vault"))
            self.assertEqual(broker.tell("vault", "held")[0], "ok")
            self.assertEqual(broker.tell("vault", "end " + SESSION)[0], "ok")

    def test_pidfd_lifeline(self):
        broker = self.broker()
        with subprocess.Popen(["sleep", "100"]) as process:
            pidfd = os.pidfd_open(process.pid)
            self.create(broker, "descriptor", [pidfd])
            os.close(pidfd)
            process.kill()
        wait_for(lambda: "LifelineGone " + SESSION in broker.trace("vault"))

    def test_lifeline_of_another_kind_refused(self):
        broker = self.broker()
        reading, writing = os.pipe()
        answer, _ = broker.tell("vault", f"create {SESSION} descriptor -", [reading])
        self.assertTrue(answer.startswith("fault InvalidParameter"), answer)
        answer, _ = broker.tell("vault", f"create {SESSION} descriptor -")
        self.assertTrue(answer.startswith("fault InvalidParameter"), answer)
        self.assertFalse(os.path.exists(os.path.join(broker.runtime, "s", SESSION)))
        os.close(reading)
        os.close(writing)

    def test_lifeline_gone_while_the_vault_is_down(self):
        broker = self.broker()
        ours, theirs = socket.socketpair()
        self.create(broker, "descriptor", [theirs.fileno()])
        theirs.close()
        broker.set_mode("vault", "exit 1")
        broker.tell("vault", "exit", answered=False)
        wait_for(lambda: len(broker.pids("vault")) == 2)
        ours.close()
        broker.set_mode("vault", "")
        wait_for(lambda: broker.trace("vault").count("ConfigureCommit fds=0") == 2)
        self.assertEqual(broker.tell("vault", "held")[0], "ok")
        # Of one whose end was written down before, the vault would never speak again.
        self.assertFalse(os.path.exists(os.path.join(broker.runtime, "s", SESSION)))

    def test_sessions_outlive_vault_and_gate(self):
        broker = self.broker()
        ours, theirs = socket.socketpair()
        other = "s-0123456789abcdeg"
        self.create(broker, "connection", [theirs.fileno()])
        self.create(broker, "connection", [theirs.fileno()], session=other)
        path, _ = self.create(broker, session="s-0123456789abcdeh")
        theirs.close()
        self.ask(path)
        for session in SESSION, other, "s-0123456789abcdeh":
            broker.tell("gate", "deliver " + session, answered=False)
        broker.tell("gate", "attest 0 0")  # answered behind them
        for role in ("gate", "vault"):
            broker.tell(role, "exit", answered=False)
            wait_for(lambda role=role: len(broker.pids(role)) == 2)
        wait_for(lambda: broker.trace("vault").count("Attach session s-0123456789abcdeh") == 2)
        self.assertEqual(len(broker.tell("vault", "held")[0].split()), 4)
        # One connection, the lifeline of two sessions, is handed over once.
        wait_for(lambda: "Adopt fds=1" in broker.trace("gate"))
        broker.tell("gate", "attest 0 0")
        self.assertEqual(broker.trace("gate").count("Adopt fds=1"), 1)
        self.assertEqual(broker.pids("session"), broker.pids("session")[:1])
        ours.close()

    def test_what_a_dead_gate_had_not_delivered_ends(self):
        """Nobody knows of it: neither does the next gate get its connection, nor is it left to its lifetime."""
        broker = self.broker()
        ours, theirs = socket.socketpair()
        other, known = "s-0123456789abcdeg", "s-0123456789abcdeh"
        self.create(broker, "connection", [theirs.fileno()])
        self.create(broker, session=other)
        self.create(broker, session=known)
        theirs.close()
        broker.tell("gate", "deliver " + known, answered=False)
        broker.tell("gate", "attest 0 0")
        broker.tell("gate", "exit", answered=False)
        for session in SESSION, other:
            wait_for(lambda session=session: "LifelineGone " + session in broker.trace("vault"))
            broker.tell("vault", "end " + session)
        self.assertEqual(ours.recv(1), b"")
        self.assertEqual(broker.tell("vault", "held")[0], "ok " + known)
        wait_for(lambda: len(broker.pids("gate")) == 2)
        broker.tell("gate", "attest 0 0")
        self.assertNotIn("Adopt fds=1", broker.trace("gate"))
        ours.close()

    def test_connection_of_what_no_gate_has_delivered_is_not_adopted(self):
        """The vault can have one made for a gate that is dead by then; its client waits for an answer that nobody has."""
        broker = self.broker()
        ours, theirs = socket.socketpair()
        broker.set_mode("gate", "exit 1")
        broker.tell("gate", "exit", answered=False)
        wait_for(lambda: len(broker.pids("gate")) >= 5)  # by now there is a while before the next
        self.create(broker, "connection", [theirs.fileno()])
        starts = len(broker.pids("gate"))
        broker.set_mode("gate", "")
        theirs.close()
        wait_for(lambda: len(broker.pids("gate")) > starts)
        wait_for(lambda: any(line.startswith("Listen") for line in broker.trace("gate")[-3:]))
        broker.tell("gate", "attest 0 0")
        self.assertNotIn("Adopt fds=1", broker.trace("gate"))
        ours.close()

    def test_end_kills_and_removes(self):
        broker = self.broker()
        path, _ = self.create(broker)
        self.ask(path)
        broker.tell("vault", f"write {SESSION} token value")
        self.assertEqual(broker.tell("vault", "end " + SESSION)[0], "ok")
        self.assertFalse(alive(broker.pids("session")[0]))
        self.assertFalse(os.path.exists(os.path.dirname(path)))
        self.assertEqual(broker.tell("vault", "end " + SESSION)[0], "ok")

    def test_several_end_by_one_message(self):
        """Answered when the last process is gone, whether there was one or not."""
        broker = self.broker()
        path, _ = self.create(broker)
        other, _ = self.create(broker, session="s-" + "b" * 16)
        idle, _ = self.create(broker, session="s-" + "c" * 16)
        for used in (path, other):
            self.ask(used)
        pids = broker.pids("session")
        self.assertEqual(len(pids), 2)
        self.assertEqual(broker.tell("vault", f"end {SESSION} s-{'b' * 16}")[0], "ok")
        self.assertEqual([alive(pid) for pid in pids], [False, False])
        self.assertFalse(os.path.exists(os.path.dirname(path)) or os.path.exists(os.path.dirname(other)))
        self.assertTrue(os.path.exists(idle))
        self.assertEqual(broker.tell("vault", f"end s-{'c' * 16} s-nobody")[0], "ok")
        self.assertFalse(os.path.exists(idle))

    def test_write_file(self):
        broker = self.broker()
        path, _ = self.create(broker)
        target = os.path.join(os.path.dirname(path), "token")
        os.symlink("/etc/passwd", target)
        for value in ("one", "two"):
            self.assertEqual(broker.tell("vault", f"write {SESSION} token {value}")[0], "ok " + target)
            with open(target, encoding="ascii") as file:
                self.assertEqual(file.read(), value)
            self.assertFalse(os.path.islink(target))
            self.assertEqual(stat.S_IMODE(os.stat(target).st_mode), 0o400)
        for name in ("broker.sock", "..", ".x", "a/b", "../x"):
            self.assertTrue(broker.tell("vault", f"write {SESSION} {name} x")[0].startswith("fault"), name)
        self.assertTrue(broker.tell("vault", "write s-aaaaaaaaaaaaaaaa x y")[0].startswith("fault NotFound"))
        self.assertEqual(sorted(os.listdir(os.path.dirname(path))), ["broker.sock", "token"])

    def test_bad_ids_refused(self):
        broker = self.broker()
        self.create(broker)
        for session in ("../../x", "s-short", "l-0123456789abcdef"):
            self.assertTrue(broker.tell("vault", f"create {session} lifetime -")[0].startswith("fault"), session)
        self.assertTrue(broker.tell("vault", f"create {SESSION} lifetime -")[0].startswith("fault Exists"))

    def test_epoch(self):
        broker = self.broker()
        self.assertTrue(any(line.startswith("Start epoch=- ") for line in broker.trace("vault")))
        self.assertEqual(broker.tell("vault", "epoch abc123")[0], "ok")
        broker.tell("vault", "exit", answered=False)
        wait_for(lambda: any(line.startswith("Start epoch=abc123 ") for line in broker.trace("vault")))
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(broker.runtime, "epoch")).st_mode), 0o600)

    def test_providers(self):
        broker = self.broker()
        pids = []
        for _ in range(16):
            answer, fds = broker.tell("vault", "provider")
            pids.append(int(answer.split()[1]))
            self.assertEqual(len(fds), 1)
            os.close(fds[0])
        self.assertTrue(broker.tell("vault", "provider")[0].startswith("fault Busy"))
        broker.tell("vault", f"stop-provider {pids[0]}", answered=False)
        wait_for(lambda: not alive(pids[0]))
        broker.tell("vault", f"stop-provider {broker.process.pid}", answered=False)
        broker.tell("vault", "exit", answered=False)
        wait_for(lambda: not any(alive(pid) for pid in pids))
        self.assertIsNone(broker.process.poll())

    def test_keyring_restarted_when_the_vault_asks(self):
        broker = self.broker()
        broker.tell("vault", "restart-keyring", answered=False)
        wait_for(lambda: len(broker.pids("keyring")) == 2)

    def test_system_mode_reaches_other_users(self):
        broker = self.broker("[broker]\ngroup = root\n", start=False)
        broker.extra = ["--system"]
        broker.start()
        self.assertEqual(stat.S_IMODE(os.stat(broker.runtime).st_mode), 0o711)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(broker.runtime, "broker.sock")).st_mode), 0o666)
        path, _ = self.create(broker, want="12345")
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o711)
        # The broker has no privilege left to give the socket away: it is open, and who connects is asked
        # by the session process.
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o666)
        self.assertTrue(broker.tell("vault", f"write {SESSION} token x")[0].startswith("fault Unsupported"))

    def test_sessions_end_with_the_broker(self):
        broker = self.broker()
        path, _ = self.create(broker)
        self.ask(path)
        broker.process.send_signal(signal.SIGTERM)
        self.assertEqual(broker.process.wait(15), 0)
        self.assertFalse(alive(broker.pids("session")[0]))
        self.assertEqual(os.listdir(os.path.join(broker.runtime, "s")), [])


if __name__ == "__main__":
    unittest.main()
