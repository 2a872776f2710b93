#!/usr/bin/python3
"""What keeps a session alive, and who may ask for one."""

import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
import unittest

from harness import HERE, Case, Session, main, wait_until
from varlink import BROKER, SESSION, Client, Closed

PEER = [sys.executable, os.path.join(HERE, "peer.py")]
RLIMIT_RTTIME = 15  # not among the constants of `resource`
MARK = 1 << 40
OTHER_UID = 61184  # no account has it
# Longer than the deadline for a message of which a part is there.
SILENCE = 12


class Lifelines(Case):
    def setUp(self):
        super().setUp()
        self.it = self.ready()

    def ended(self, session, reason="lifeline"):
        row = self.it.wait_ended(session)
        self.assertIn(reason, row["end_reason"])
        self.wait_dead(session.token)
        wait_until(lambda: not os.path.exists(session.path), "the session's socket stays")
        self.fails("Expired", self.it.get_token, session)

    def test_connection_closed(self):
        client = self.it.client()
        session, other = self.it.open("gh", client=client), self.it.open("gh")
        self.assert_alive(session.token)
        self.assertEqual(self.it.sessions()[session.id]["lifeline"], "connection")
        client.close()
        self.ended(session)
        self.assert_alive(other.token)

    def test_connection_ends_all_its_sessions(self):
        with self.it.client() as client:
            sessions = [self.it.open("gh", client=client) for _ in range(3)]
        for session in sessions:
            self.ended(session)

    def test_opener_killed(self):
        opener = subprocess.Popen(
            [*PEER, self.it.socket, BROKER + ".OpenSession", '{"grants": [{"profile": "gh"}]}'],
            stdout=subprocess.PIPE,
        )
        reply = json.loads(opener.stdout.read())["reply"]
        opener.stdout.close()
        opener.wait()
        self.ended(Session(reply))

    def test_connection_silent(self):
        """A lifeline says nothing for as long as its session lives."""
        client = self.it.keep(self.it.client())
        session = self.it.open("gh", client=client)
        time.sleep(SILENCE)
        self.assert_alive(session.token)
        self.assertEqual(self.it.sessions()[session.id]["state"], "live")
        client.call("Status")

    def test_pidfd_exits(self):
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        pidfd = os.pidfd_open(process.pid)
        session = self.it.open("gh", lifeline="descriptor", fds=[pidfd])
        os.close(pidfd)
        self.assert_alive(session.token)
        process.stdin.close()
        process.wait()
        self.ended(session)

    def test_pidfd_exited_already(self):
        process = subprocess.Popen(["true"])
        pidfd = os.pidfd_open(process.pid)
        process.wait()
        self.fails("Revoked", self.it.open, "gh", lifeline="descriptor", fds=[pidfd])
        os.close(pidfd)
        self.wait_all_dead()
        self.assertEqual(self.it.status()["sessions"], 0)

    def test_socket_closed(self):
        mine, theirs = socket.socketpair()
        session = self.it.open("gh", lifeline="descriptor", fds=[theirs.fileno()])
        theirs.close()
        copy = mine.dup()
        mine.close()
        self.assert_alive(session.token)
        self.assertEqual(self.it.sessions()[session.id]["state"], "live")
        copy.close()
        self.ended(session)

    def test_socket_is_never_read(self):
        mine, theirs = socket.socketpair()
        session = self.it.open("gh", lifeline="descriptor", fds=[theirs.fileno()])
        theirs.close()
        mine.sendall(b"x" * 1000)
        self.assertEqual(self.it.sessions()[session.id]["state"], "live")
        mine.close()
        self.ended(session)

    def test_lifetime_alone(self):
        client = self.it.client()
        session = self.it.open("gh", client=client, lifeline="lifetime", lifetime=2)
        client.close()
        self.assert_alive(session.token)
        self.ended(session, "lifetime")

    def test_lifetime_ends_a_held_session(self):
        client = self.it.keep(self.it.client())
        session = self.it.open("gh", client=client, lifetime=1)
        self.ended(session, "lifetime")
        client.call("Status")

    def test_not_a_lifeline(self):
        reading, writing = os.pipe()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("")
        listener.listen()
        network = socket.socket(socket.AF_INET)
        with open("/dev/null", "rb") as null:
            for fd in (reading, writing, listener.fileno(), network.fileno(), null.fileno()):
                self.fails("InvalidParameter", self.it.open, "gh", lifeline="descriptor", fds=[fd])
        listener.close()
        network.close()
        os.close(reading)
        os.close(writing)
        self.wait_all_dead()
        self.assertEqual(self.it.status()["sessions"], 0)

    def test_number_of_descriptors(self):
        mine, theirs = socket.socketpair()
        with mine, theirs:
            fds = [theirs.fileno()]
            self.fails("InvalidParameter", self.it.open, "gh", lifeline="descriptor")
            self.fails("InvalidParameter", self.it.open, "gh", lifeline="descriptor", fds=fds * 2)
            self.fails("InvalidParameter", self.it.open, "gh", lifeline="lifetime", fds=fds)
            self.fails("InvalidParameter", self.it.open, "gh", lifeline="connection", fds=fds)
        self.assertEqual(self.it.status()["sessions"], 0)

    def test_client_gone_during_open(self):
        """Nobody knows of that session, so it is ended and its token revoked."""
        fault = self.github.fault("mint", "delay", when="after")
        client = self.it.client()
        client.send("OpenSession", {"grants": [{"profile": "gh"}], "lifeline": "lifetime"})
        self.github.wait("mint", 1, phase="worked")
        client.close()
        self.github.release(fault)
        wait_until(lambda: self.count_open(self.it, "revoked") == 1, "the lease is not revoked")
        self.assertEqual(self.github.tokens("alive"), [])
        self.assertEqual([row["state"] for row in self.it.sessions().values()], ["ended"])


class Identity(Case):
    def setUp(self):
        super().setUp()
        self.it = self.ready()

    def ask(self, *prefix, where=None, method=BROKER + ".Status", **options):
        """A call from another process, started by `prefix`."""
        command = [*prefix, *PEER, where or self.it.socket, method]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
        if done.returncode != 0:
            self.skipTest("this machine does not allow it: " + done.stderr.strip()[-200:])
        return json.loads(done.stdout)

    def refused(self, answer):
        self.assertEqual(answer.get("error"), "NotAllowed", answer)
        return answer["message"]

    def test_any_process_of_the_owner(self):
        self.assertIn("reply", self.ask())

    @unittest.skipIf(os.geteuid(), "needs root")
    def test_other_uid_refused(self):
        answer = self.ask("setpriv", f"--reuid={OTHER_UID}", "--clear-groups")
        self.assertIn("errno", answer)  # the directory is closed to it
        os.chmod(self.it.directory, 0o755)
        os.chmod(self.it.path("runtime"), 0o755)
        os.chmod(self.it.socket, 0o666)
        message = self.refused(self.ask("setpriv", f"--reuid={OTHER_UID}", "--clear-groups"))
        self.assertIn("user", message)

    @unittest.skipIf(os.geteuid(), "needs root")
    def test_other_uid_on_session_socket_refused(self):
        session = self.it.open("gh-socket")
        os.chmod(self.it.directory, 0o755)
        os.chmod(self.it.path("runtime"), 0o755)
        os.chmod(self.it.path("runtime", "s"), 0o755)
        os.chmod(session.reply["directory"], 0o755)
        os.chmod(session.path, 0o666)
        prefix = ("setpriv", f"--reuid={OTHER_UID}", "--clear-groups")
        self.refused(self.ask(*prefix, where=session.path, method=SESSION + ".GetToken"))
        self.assertEqual(self.github.tokens(), [])

    def test_peer_in_user_namespace_refused(self):
        self.assertIn("user namespace", self.refused(self.ask("unshare", "--user")))
        self.assertIn("user namespace", self.refused(self.ask("unshare", "--user", "--map-root-user")))

    def test_peer_in_pid_namespace_refused(self):
        prefix = ["unshare", "--pid", "--fork"]
        if os.geteuid():
            prefix += ["--user", "--map-root-user"]
        self.assertIn("namespace", self.refused(self.ask(*prefix)))

    def test_marked_process_refused(self):
        def mark():
            resource.setrlimit(RLIMIT_RTTIME, (MARK, MARK))

        self.assertIn("session", self.refused(self.ask(preexec_fn=mark)))

    def test_mark_of_soft_limit_alone_is_none(self):
        def mark():
            resource.setrlimit(RLIMIT_RTTIME, (MARK, resource.RLIM_INFINITY))

        self.assertIn("reply", self.ask(preexec_fn=mark))

    def test_inherited_connection_refused(self):
        for used_before in (False, True):
            with self.it.client() as client:
                if used_before:
                    client.call("Status")
                fd = client.socket.fileno()
                self.refused(self.ask(where=f"fd:{fd}", pass_fds=[fd]))

    def test_inherited_connection_of_marked_refused(self):
        def mark():
            resource.setrlimit(RLIMIT_RTTIME, (MARK, MARK))

        with self.it.client() as client:
            fd = client.socket.fileno()
            self.refused(self.ask(where=f"fd:{fd}", pass_fds=[fd], preexec_fn=mark))

    def test_connected_and_handed_to_a_child_that_waits(self):
        """The parent connects and is gone; what its child sends then is not the parent's."""
        code = (
            "import os, sys, json; sys.path.insert(0, %r)\n"
            "from varlink import Client, CallError, Closed\n"
            "client = Client(sys.argv[1])\n"
            "reading, writing = os.pipe()\n"
            "if os.fork():\n"
            "    os._exit(0)\n"
            "os.close(writing)\n"
            "os.read(reading, 1)\n"  # ends when the parent has
            "try:\n"
            "    print(json.dumps({'reply': client.call('Status')}))\n"
            "except CallError as error:\n"
            "    print(json.dumps({'error': error.name}))\n"
            "except Closed:\n"
            "    print(json.dumps({'error': 'NotAllowed'}))\n"
        )
        command = [sys.executable, "-c", code % HERE, self.it.socket]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(json.loads(done.stdout), {"error": "NotAllowed"}, done.stderr)

    def test_session_secret_asked_on_path_socket(self):
        session, other = self.it.open("gh-socket"), self.it.open("gh-socket")
        with session.connect() as client:
            self.fails("NotAllowed", client.call, "GetToken")
        for wrong in (other.secret, session.secret[:-1], session.secret + "x", "x", ""):
            with session.connect() as client:
                self.fails("NotAllowed", client.call, "GetToken", {"session": wrong})
        self.assertEqual(self.github.tokens(), [])
        with session.connect() as client:
            self.assertTrue(client.call("GetToken", {"session": session.secret})["token"])

    def test_wrong_session_secret_refused(self):
        session = self.it.open("gh-socket")
        with session.connect() as client:
            self.fails("NotAllowed", client.call, "GetToken", {"session": "mcpcs_" + "0" * 38})
        refusals = [event for event in self.it.audit() if event["verdict"] == "deny"]
        self.assertEqual([event["session"] for event in refusals], [session.id])

    def test_session_cannot_do_what_the_owner_can(self):
        session = self.it.open("gh-socket", want_descriptor=True)
        with Client(fd=session.descriptor, interface=SESSION) as client:
            for method in ("ListSessions", "OpenSession", "Revoke", "Status", "ListSecrets"):
                self.fails("InterfaceNotFound", client.call, BROKER + "." + method)
            for method in ("ListSessions", "OpenSession"):
                self.fails("MethodNotFound", client.call, SESSION + "." + method)
            self.fails("InvalidParameter", client.call, "GetToken", {"other": 1})

    def test_session_descriptor_works_in_any_namespace(self):
        session = self.it.open("gh-socket", want_descriptor=True)
        fd = session.descriptor
        try:
            answer = self.ask(
                *("unshare", "--user", "--map-root-user", "--pid", "--fork", "--net"),
                where=f"fd:{fd}",
                method=SESSION + ".GetToken",
                pass_fds=[fd],
            )
        finally:
            os.close(fd)
        self.assert_alive(answer["reply"]["token"])

    def test_closed_session_says_nothing(self):
        session = self.it.open("gh-socket", want_descriptor=True)
        with Client(fd=session.descriptor, interface=SESSION) as client:
            client.call("GetToken")
            self.it.revoke(session=session.id)
            with self.assertRaises(Closed):
                client.call("GetToken")

    def test_parallel_peers(self):
        """One that is being refused costs the others nothing."""
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.ask())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len([answer for answer in answers if "reply" in answer]), 8)


if __name__ == "__main__":
    main()
