"""Egress processes, the edges to them, and the sockets of a sandbox that outlive a session's process."""

import os
import socket
import stat
import unittest

from broker import SESSION, BrokerTest, alive, wait_for


class Egresses(BrokerTest):
    def create(self, broker, want="proxy"):
        answer, _ = broker.tell("vault", f"create {SESSION} lifetime {want}")
        self.assertTrue(answer.startswith("ok "), answer)
        return answer[3:].split(" ")

    @staticmethod
    def ask(path, text=b"hello\n"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(10)
            sock.connect(path)
            sock.sendall(text)
            return sock.recv(64).decode()

    def start(self, broker):
        answer, fds = broker.tell("vault", "start-egress github")
        self.assertEqual((answer, len(fds)), ("ok", 1))
        os.close(fds[0])
        return wait_for(lambda: broker.pids("egress"))[-1]

    def test_proxy_socket_is_private_and_starts_the_process(self):
        broker = self.broker()
        _, proxy = self.create(broker)
        self.assertEqual(os.path.basename(proxy), "proxy.sock")
        self.assertEqual(stat.S_IMODE(os.stat(proxy).st_mode), 0o600)
        self.assertEqual(broker.pids("session"), [])
        self.assertTrue(self.ask(proxy).startswith("pid "))
        self.assertIn(f"Serve {SESSION} proxy_socket fds=1", broker.trace("session"))

    def test_session_without_proxy_has_no_proxy_socket(self):
        broker = self.broker()
        (path,) = self.create(broker, "-")
        self.assertEqual(os.listdir(os.path.dirname(path)), ["broker.sock"])

    def test_join_connects_the_two(self):
        broker = self.broker()
        path, _ = self.create(broker)
        self.assertIn("fault NotFound", broker.tell("vault", f"join {SESSION} github")[0])
        self.start(broker)
        self.assertIn("fault NotFound", broker.tell("vault", f"join {SESSION} github")[0])
        self.ask(path)
        self.assertEqual(broker.tell("vault", f"join {SESSION} github")[0], "ok")
        wait_for(lambda: f"Attach session {SESSION}" in broker.trace("egress"))
        wait_for(lambda: "Attach egress github" in broker.trace("session"))
        self.assertEqual(broker.trace("egress")[1], "Attach vault -")

    def test_stop_is_answered_when_it_is_dead(self):
        broker = self.broker()
        pid = self.start(broker)
        self.assertEqual(broker.tell("vault", "stop-egress github")[0], "ok")
        self.assertFalse(alive(pid))
        self.assertEqual(broker.tell("vault", "stop-egress github")[0], "ok")

    def test_second_start_replaces_the_first(self):
        broker = self.broker()
        first = self.start(broker)
        broker.tell("vault", "start-egress github")
        wait_for(lambda: len(broker.pids("egress")) == 2)
        wait_for(lambda: not alive(first))
        self.assertTrue(alive(broker.pids("egress")[1]))

    def test_none_outlives_the_vault(self):
        broker = self.broker()
        pid = self.start(broker)
        broker.tell("vault", "exit", answered=False)
        wait_for(lambda: not alive(pid))
        self.assertIsNone(broker.process.poll())

    def test_kept_socket_is_served_again(self):
        broker = self.broker()
        path, _ = self.create(broker)
        self.ask(path)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            address = listener.getsockname()
            self.assertEqual(broker.tell("session", "keep proxy", [listener.fileno()])[0], "ok")
        self.ask(path, b"die\n")
        wait_for(lambda: not alive(broker.pids("session")[0]))
        with socket.create_connection(address, 10) as sock:  # whoever comes starts the next one
            sock.sendall(b"hello\n")
            wait_for(lambda: len(broker.pids("session")) == 2)
            self.assertEqual(sock.recv(64).decode(), f"pid {broker.pids('session')[1]}\n")
        self.assertIn(f"Serve {SESSION} proxy fds=1", broker.trace("session"))

    def test_what_is_no_socket_is_not_kept(self):
        broker = self.broker()
        path, _ = self.create(broker)
        self.ask(path)
        pid = broker.pids("session")[0]
        with open("/dev/null", "rb") as file:
            broker.tell("session", "keep proxy", [file.fileno()], answered=False)
            wait_for(lambda: not alive(pid))
        self.assertIsNone(broker.process.poll())

    def test_kept_sockets_are_limited(self):
        broker = self.broker()
        path, _ = self.create(broker)
        self.ask(path)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            answers = [broker.tell("session", "keep dns", [sock.fileno()])[0] for _ in range(20)]
        self.assertIn("ok", answers)
        self.assertIn("fault Busy", answers[-1])
        self.assertLess(answers.count("ok"), 20)

    def test_kept_socket_ends_with_the_session(self):
        broker = self.broker()
        path, _ = self.create(broker)
        self.ask(path)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            address = listener.getsockname()
            broker.tell("session", "keep proxy", [listener.fileno()])
        broker.tell("vault", f"end {SESSION}")
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(address, 10)

    def test_certificate_is_written_with_the_roots_of_the_host_behind(self):
        broker = self.broker()
        path, _ = self.create(broker)
        answer, _ = broker.tell("vault", f"certificate {SESSION} ca.pem CERTIFICATE")
        written = answer.split(" ")[1]
        directory = os.path.dirname(path)
        self.assertEqual(written, os.path.join(os.path.realpath(directory), "ca.pem"))
        with open(written, encoding="ascii") as file:
            self.assertEqual(file.read(), "CERTIFICATE")
        with open(os.path.join(directory, "bundle.pem"), encoding="utf-8") as file:
            bundle = file.read()
        self.assertTrue(bundle.startswith("CERTIFICATE"))
        self.assertIn("BEGIN CERTIFICATE", bundle)
        self.assertEqual(stat.S_IMODE(os.stat(written).st_mode), 0o444)


if __name__ == "__main__":
    unittest.main()
