#!/usr/bin/python3
"""Clients, sandboxes and upstreams that mean harm, each costing nobody but themselves."""

import os
import subprocess
import sys
import time

from harness import BUILD, Case, main
from varlink import CallError, Closed


class Revoking(Case):
    store = "sealed-file"

    def test_locked_store_spares_no_session(self):
        broker = self.ready()
        session = broker.open("gh-socket")
        with session.connect() as client:
            client.call("GetToken", {"session": session.secret})
        broker.call("Lock")
        self.assertEqual(broker.revoke(profile="gh-socket")["sessions"], 1)
        broker.unlock()
        self.assertEqual(broker.sessions()[session.id]["state"], "ended")
        with self.assertRaises((CallError, Closed, OSError)):
            with session.connect() as client:
                client.call("GetToken", {"session": session.secret})
        self.wait_all_dead()


# Argument: the control socket. Takes all connections it can get, and keeps them.
CROWD = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_RTTIME, (1 << 60, 1 << 60))
kept = []
for i in range(300):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    connection.sendall(b'{"method":"org.varlink.service.GetInfo"}\\0')
    connection.recv(4096)
    kept.append(connection)
print("all", flush=True)
sys.stdin.read()
"""


class Control(Case):
    def test_marked_process_keeps_nobody_out(self):
        broker = self.ready()
        command = [sys.executable, "-c", CROWD, broker.socket]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
            self.assertEqual(crowd.stdout.readline(), b"all\n")
            holder = broker.keep(broker.client())
            session = broker.open("gh", client=holder)
            for _ in range(300):
                broker.status()
            self.assertEqual(broker.sessions()[session.id]["state"], "live")
            self.assertEqual(broker.revoke(all=True)["sessions"], 1)
            crowd.stdin.close()


class Audit(Case):
    def test_refused_calls_fill_no_disk(self):
        broker = self.ready()
        session = broker.open("gh-socket", "gh")
        before = broker.status()["audit_sequence"]
        with session.connect() as client:
            for _ in range(200):
                self.fails("InvalidParameter", client.call, "GetToken", {"session": session.secret})
        with broker.client() as client:
            for i in range(100):
                self.fails("NotFound", client.call, "GetToken", {"session": f"s-{i:016}"})
            for _ in range(100):
                self.fails("NotFound", client.call, "OpenSession", {"grants": [{"profile": "none"}], "lifeline": "lifetime"})
        self.assertLessEqual(broker.status()["audit_sequence"] - before, 2 * 20)


class Upstream(Case):
    def test_expired_token_is_revoked(self):
        broker = self.ready()
        session = broker.open("gh-socket")
        body = {
            "token": "ghs_" + "x" * 36,
            "expires_at": "2020-01-01T00:00:00Z",
            "permissions": {"contents": "write", "issues": "write", "metadata": "read"},
            "repository_selection": "selected",
            "repositories": [{"full_name": "octo/hello"}, {"full_name": "octo/world"}],
        }
        self.github.fault("mint", "status", status=201, body=body)
        with session.connect() as client:
            self.fails("UpstreamUnknown", client.call, "GetToken", {"session": session.secret})
        self.github.wait("revoke")
        [event] = [item for item in broker.audit() if item["operation"] == "token.mint"]
        self.assertEqual((event["verdict"], event["detail"]), ("deny", "it has expired already"))


    def _ask_at_once(self, session, n):
        clients = [session.connect() for _ in range(n)]
        for client in clients:
            self.addCleanup(client.close)
            client.send("GetToken", {"session": session.secret})
        return clients

    def test_many_at_once_mint_one(self):
        broker = self.ready()
        session = broker.open("gh-socket")
        self.github.fault("mint", "delay")
        clients = self._ask_at_once(session, 50)
        self.github.wait("mint")
        self.github.release()
        self.assertEqual(len({client.receive()["token"] for client in clients}), 1)
        self.assertEqual(len(self.github.tokens()), 1)

    def test_failing_upstream_is_left_alone(self):
        broker = self.ready()
        session, other = broker.open("gh-socket"), broker.open("gh-socket")
        self.github.fault("mint", "status", status=403, count=4, body={"message": "no"})
        with session.connect() as client:
            for _ in range(50):
                error = self.fails("UpstreamDenied", client.call, "GetToken", {"session": session.secret})
            self.assertEqual(self.github.count("mint"), 4)
            self.assertGreater(error.parameters["retry_after"], 0)
            with other.connect() as another:
                self.assert_alive(another.call("GetToken", {"session": other.secret})["token"])
            time.sleep(error.parameters["retry_after"] + 0.1)
            self.assert_alive(client.call("GetToken", {"session": session.secret})["token"])

    def test_revoked_meanwhile_reaches_nobody(self):
        broker = self.ready()
        session = broker.open("gh-socket")
        self.github.fault("mint", "delay", when="after")
        clients = self._ask_at_once(session, 5)
        self.github.wait("mint")
        broker.revoke(session=session.id)
        self.github.release()
        for client in clients:
            with self.assertRaises((CallError, Closed, OSError)):
                client.receive()
        self.wait_all_dead()


class Sandbox(Case):
    def test_descriptors_are_refused_and_let_go_of(self):
        """Of a call that takes none. Serve does, so the socket has to."""
        broker = self.ready()
        session = broker.open("gh-socket")
        reading, writing = os.pipe()
        with session.connect() as client:
            client.send("GetToken", {"session": session.secret}, [writing])
            os.close(writing)
            self.fails("InvalidParameter", client.receive)
            self.assertEqual(os.read(reading, 1), b"")  # nobody has the other end any more
        os.close(reading)
        with session.connect() as client:
            self.assert_alive(client.call("GetToken", {"session": session.secret})["token"])


class Values(Case):
    """Stored keys that are handed out raw, too long for one answer together."""

    config = "".join(
        f"\n[profile key{i}]\nsecret = key{i}\ndeliver = env\nenv = KEY{i}\nexpose_secret = yes\ncommand = /x\n"
        for i in range(9)
    )

    def test_too_long_for_one_answer(self):
        broker = self.broker()
        for i in range(9):
            broker.add(f"key{i}", "static", b"k" * (14 * 1024), hosts=["h.example"])
        names = [f"key{i}" for i in range(9)]
        self.fails("InvalidParameter", broker.open, *names, command=["/x"])
        self.assertEqual({row["state"] for row in broker.sessions().values()}, {"ended"})
        self.assertEqual(self.count_open(broker, "live"), 0)
        self.assertEqual(len(broker.open(*names[:5], command=["/x"]).environment), 5 + 2)


class Provider(Case):
    """A provider process that its upstream has taken over."""

    def setUp(self):
        super().setUp()
        self.controlled = self.broker(start=False)
        libexec = self.controlled.path("roles")
        os.mkdir(libexec, 0o755)
        for role in ("gate", "vault", "keyring", "session"):
            os.symlink(f"{BUILD}/broker/{role}/mcpcred-{role}", f"{libexec}/mcpcred-{role}")
        self.provider = f"{libexec}/mcpcred-provider"
        here = os.path.dirname(os.path.abspath(__file__))
        os.symlink(os.path.join(here, "false_provider.py"), self.provider)
        self.controlled.libexec = libexec
        self.controlled.start()
        self.controlled.add_github(self.github)

    def set_token(self, token):
        with open(self.provider + ".token", "wb") as file:
            file.write(token)

    def test_only_a_token_is_delivered(self):
        self.set_token(b"one-that-is-good")
        self.assertEqual(self.controlled.open("gh").token, "one-that-is-good")
        for token in (b"", b"a\nLD_PRELOAD=/x", b"a\0b", b"\xff\xfe", b"\x1b[2J", b"a b", b"x" * 4097):
            self.set_token(token)
            self.fails("UpstreamUnknown", self.controlled.open, "gh")
        live = [row for row in self.controlled.sessions().values() if row["state"] != "ended"]
        self.assertEqual(len(live), 1)


if __name__ == "__main__":
    main()
