#!/usr/bin/python3
"""Guided rotation: store the next value, verify it, switch; cut off at every step."""

import os
import signal
import socket
import subprocess

from harness import Case, main, wait_until
from varlink import CallError, Closed, sealed_value

STEPS = ["stored", "verified", "switched", "done"]


class Rotating(Case):
    store = "sealed-file"

    def setUp(self):
        super().setUp()
        self.it = self.ready()
        [self.old_print] = self.fingerprints()
        path = self.it.path("next.pem")
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", path, "2048"], check=True, capture_output=True)
        with open(path, "rb") as file:
            self.next = file.read()
        self.next_path = path

    def fingerprints(self):
        return [key["fingerprint"] if isinstance(key, dict) else key for key in self.github.keys()]

    def register(self):
        """The upstream accepts the new key as well."""
        return self.github.add_key(self.next_path)

    def secret(self):
        [row] = self.it.rows("ListSecrets", "secrets")
        return {"rotation": None, "rotated": None, **row}

    def settled(self, generation):
        """No rotation is under way, and the secret in use works."""
        wait_until(lambda: not self.secret()["rotation"], "the rotation is not ended")
        self.assertEqual(self.secret()["generation"], generation)
        session = self.it.open("gh")
        self.assert_alive(session.token)
        self.it.revoke(session=session.id)

    def only(self, fingerprint):
        """From here on the upstream knows this key alone: which one is in use?"""
        for other in self.fingerprints():
            if other != fingerprint:
                self.github.remove_key(other)

    def start(self):
        client = self.it.keep(self.it.client())
        with sealed_value(self.next) as sealed:
            client.send("Rotate", {"name": "github"}, [sealed.fileno()], more=True)
        return client

    def wait_step(self, step):
        wait_until(lambda: self.secret()["rotation"] == step, f"it does not come to {step}")


class Guided(Rotating):
    def test_guided(self):
        session = self.it.open("gh")
        held = self.it.open("gh-socket")
        new = self.register()
        self.assertEqual(self.it.rotate(self.next), STEPS)
        self.assert_alive(session.token)
        self.assertEqual(self.it.get_token(session), session.token)
        self.only(new)
        self.assert_alive(self.it.get_token(held))
        self.settled(2)
        self.assertTrue(self.secret()["rotated"])
        lines = [event["reason"] for event in self.it.audit() if event["operation"] == "secret.rotate"]
        self.assertEqual(lines, ["planned", "stored", "verified", "switched", "old_revoked", "done"])

    def test_plan_says_what_to_do(self):
        with self.it.client() as client:
            [reply] = client.stream("Rotate", {"name": "github", "plan": True})
        self.assertIn("key", reply["message"])
        self.assertEqual(self.secret()["generation"], 1)
        self.fails("NotFound", self.it.call, "Rotate", {"name": "nothing", "plan": True})

    def test_one_change_of_a_secret_at_a_time(self):
        """While the upstream looks at one value, no other one gets in between."""
        for name in "other", "github":
            before = self.github.count("app")
            fault = self.github.fault("app", "delay")
            client = self.it.keep(self.it.client())
            with open(self.github.app_key, "rb") as file:
                key = file.read()
            options = {"base_url": self.github.enterprise_url, "verify": True, "replace": True, "provider": "github_app",
                       "parameters": {"app_id": str(self.github.app_id), "installation_id": "42"}}
            with sealed_value(key) as sealed:
                client.send("AddSecret", {"name": name, **options}, [sealed.fileno()])
            self.github.wait("app", before + 1)
            self.fails("Busy", self.it.add_github, self.github, name, replace=True)
            if name == "github":
                self.fails("Busy", self.it.rotate, self.next)
            self.github.release(fault)
            client.receive()
        rows = {row["name"]: row["generation"] for row in self.it.rows("ListSecrets", "secrets")}
        self.assertEqual(rows, {"github": 2, "other": 1})
        self.assert_alive(self.it.open("gh").token)

    def test_without_more_there_is_one_reply(self):
        self.register()
        with sealed_value(self.next) as sealed:
            reply = self.it.call("Rotate", {"name": "github"}, [sealed.fileno()])
        self.assertEqual(reply["step"], "done")
        self.settled(2)

    def test_rejected_key_leaves_the_old_in_use(self):
        with self.assertRaises(CallError) as caught:
            self.it.rotate(self.next)
        self.assertEqual(caught.exception.name, "UpstreamRootInvalid")
        self.assertIn("old value is in use as before", caught.exception.parameters["remedy"])
        self.settled(1)
        self.register()
        self.assertEqual(self.it.rotate(self.next), STEPS)
        self.settled(2)

    def test_not_a_key(self):
        for value in (b"nothing", b"", b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"):
            with self.assertRaises(CallError) as caught:
                self.it.rotate(value)
            self.assertEqual(caught.exception.name, "InvalidParameter")
        self.settled(1)

    def test_same_key_again(self):
        with open(self.github.app_key, "rb") as file:
            same = file.read()
        with self.assertRaises(CallError) as caught:
            self.it.rotate(same)
        self.assertEqual(caught.exception.name, "InvalidParameter")
        self.settled(1)

    def test_unknown_secret(self):
        with self.assertRaises(CallError) as caught:
            self.it.rotate(self.next, name="nothing")
        self.assertEqual(caught.exception.name, "NotFound")

    def test_upstream_is_away_while_it_verifies(self):
        self.register()
        self.github.fault("app", "status", status=500)
        self.github.fault("installation", "status", status=500)
        with self.assertRaises(CallError) as caught:
            self.it.rotate(self.next)
        self.assertEqual(caught.exception.name, "UpstreamUnknown")
        self.settled(1)
        self.github.release()
        self.it.rotate(self.next)
        self.settled(2)

    def test_one_at_a_time(self):
        self.register()
        fault = self.github.fault("*", "delay")
        client = self.start()
        self.wait_step("stored")
        with self.assertRaises(CallError) as caught:
            self.it.rotate(self.next)
        self.assertEqual(caught.exception.name, "Busy")
        self.fails("Busy", self.it.add_github, self.github, replace=True)
        self.github.release(fault)
        self.finish(client)
        self.settled(2)

    def finish(self, client):
        self.assertEqual(self.last(client)["parameters"]["step"], "done")

    def test_issuing_goes_on_meanwhile(self):
        self.register()
        session = self.it.open("gh-socket")
        before = self.github.count("app")
        fault = self.github.fault("app", "delay")
        client = self.start()
        self.github.wait("app", before + 1)
        self.assert_alive(self.it.get_token(session))
        self.github.release(fault)
        self.finish(client)

    def test_abort(self):
        self.register()
        fault = self.github.fault("*", "delay")
        rotating = self.start()
        self.wait_step("stored")
        with self.it.client() as client:
            replies = client.stream("Rotate", {"name": "github", "abort": True})
        self.assertEqual(replies[-1]["step"], "aborted")
        self.github.release(fault)
        self.assertIn("aborted", self.last(rotating)["parameters"]["message"])
        self.settled(1)
        self.only(self.old_print)
        self.settled(1)

    def last(self, client):
        """Of a stream, its error if it failed."""
        reply = client.receive_message()
        while reply.get("continues"):
            reply = client.receive_message()
        return reply

    def test_abort_before_the_value_is_there(self):
        """It waits for the rotation that is being begun, and takes over from it."""
        ours, theirs = socket.socketpair()
        with ours, theirs, self.it.client() as rotating, self.it.client() as aborting:
            rotating.send("Rotate", {"name": "github"}, [theirs.fileno()], more=True)
            wait_until(lambda: self.busy(), "the rotation is not begun")
            aborting.send("Rotate", {"name": "github", "abort": True}, more=True)
            ours.sendall(self.next)
            ours.shutdown(socket.SHUT_WR)
            self.assertIn("error", self.last(rotating))
            # Which it is depends on which of the two came first.
            self.assertIn(self.last(aborting)["parameters"]["step"], ("none", "aborted"))
        self.settled(1)

    def busy(self):
        try:
            self.it.rotate(self.next)
        except CallError as error:
            return error.name == "Busy"
        raise AssertionError("two rotations at once")

    def test_abort_is_in_the_log_with_who_asked(self):
        """Also of a rotation that by then is nobody's: it goes on after a restart by itself."""
        self.register()
        fault = self.github.fault("*", "delay", count=0)
        client = self.start()
        self.wait_step("stored")
        client.close()
        self.it.crash("vault")
        self.wait_step("stored")
        with self.it.client() as client:
            self.assertEqual(client.stream("Rotate", {"name": "github", "abort": True})[-1]["step"], "aborted")
        self.github.release(fault)
        line = [event for event in self.it.audit() if event["operation"] == "secret.rotate"][-1]
        self.assertEqual((line["reason"], line.get("principal")), ("aborted", os.getuid()))

    def test_abort_of_nothing(self):
        with self.it.client() as client:
            replies = client.stream("Rotate", {"name": "github", "abort": True})
        self.assertEqual(replies[-1]["step"], "none")
        self.settled(1)

    def test_client_gone(self):
        """It goes on without whoever asked for it."""
        self.register()
        fault = self.github.fault("*", "delay")
        client = self.start()
        self.wait_step("stored")
        client.close()
        self.github.release(fault)
        self.settled(2)

    def test_static(self):
        first, second = b"static-one-" + b"1" * 20, b"static-two-" + b"2" * 20
        self.it.add("api", "static", first, hosts=["localhost"])
        self.assertEqual(self.it.rotate(second, name="api")[-1], "done")
        rows = {row["name"]: row for row in self.it.rows("ListSecrets", "secrets")}
        self.assertEqual(rows["api"]["generation"], 2)


class Cut(Rotating):
    """kill -9 of the vault at each step: resumed or dropped, and always with a working secret."""

    def test_before_the_keyring_has_it(self):
        """Dropped, since the value is nowhere."""
        self.register()
        pid = self.it.signal_role("keyring", signal.SIGSTOP)
        client = self.start()
        self.it.status()
        self.it.crash("vault", wait=False)
        os.kill(pid, signal.SIGCONT)
        self.over(client)
        self.it.wait_ready()
        self.settled(1)
        self.only(self.old_print)
        self.settled(1)

    def over(self, client):
        with self.assertRaises((CallError, Closed)):
            while True:
                reply = client.receive_message()
                if "error" in reply:
                    raise CallError(reply)
                if not reply.get("continues"):
                    self.fail(f"it says that it succeeded: {reply}")

    def test_stored(self):
        """While the upstream is asked: gone on with."""
        new = self.register()
        fault = self.github.fault("*", "delay")
        client = self.start()
        self.wait_step("stored")
        self.it.crash("vault")
        self.github.release(fault)
        self.over(client)
        self.settled(2)
        self.only(new)
        self.settled(2)

    def test_stored_and_rejected(self):
        fault = self.github.fault("*", "delay")
        client = self.start()
        self.wait_step("stored")
        self.it.crash("vault")
        self.github.release(fault)
        self.over(client)
        self.settled(1)
        self.only(self.old_print)
        self.settled(1)

    def test_any_instant(self):
        """The vault dies at instants across a whole rotation; which one is in use is what the list says."""
        self.register()
        known = self.fingerprints()
        self.assertEqual(len(known), 2)
        for milliseconds in (0, 5, 10, 20, 40, 60, 80, 120):
            generation = self.secret()["generation"]
            value = self.next if generation % 2 else self.original()
            client = self.it.client()
            with sealed_value(value) as sealed:
                client.send("Rotate", {"name": "github"}, [sealed.fileno()], more=True)
            client.socket.settimeout(milliseconds / 1000 or 0.001)
            try:
                while client.receive_message().get("continues"):
                    pass
            except (TimeoutError, CallError, Closed):
                pass
            self.it.crash("vault")
            client.close()
            self.it.wait_ready()
            wait_until(lambda: not self.secret()["rotation"], "the rotation is not ended")
            now = self.secret()["generation"]
            self.assertIn(now, (generation, generation + 1))
            self.settled(now)
        [new_print] = [key for key in known if key != self.old_print]
        self.only(self.old_print if self.secret()["generation"] % 2 else new_print)
        self.settled(self.secret()["generation"])
        self.it.audit()

    def original(self):
        with open(self.github.app_key, "rb") as file:
            return file.read()

    def test_supervisor(self):
        self.register()
        fault = self.github.fault("*", "delay")
        self.start()
        self.wait_step("stored")
        for pidfd in self.it.kill():
            os.close(pidfd)
        self.github.release(fault)
        self.it.start_sealed(create=False)
        self.settled(2)

    def test_keyring_dies_while_it_stores(self):
        self.register()
        pid = self.it.signal_role("keyring", signal.SIGSTOP)
        client = self.start()
        wait_until(lambda: self.it.status(), "the vault does not answer")
        os.kill(pid, signal.SIGKILL)
        self.over(client)
        wait_until(lambda: self.it.role_pid("keyring") not in (None, pid), "the keyring is not restarted")
        self.it.wait_ready()
        self.assertIn(self.secret()["generation"], (1, 2))
        self.settled(self.secret()["generation"])

    def test_replace_is_cut_off(self):
        """`add --replace` writes the store before the state: either value works afterwards."""
        self.register()
        pid = self.it.signal_role("keyring", signal.SIGSTOP)
        client = self.it.keep(self.it.client())
        parameters = {
            "name": "github",
            "provider": "github_app",
            "base_url": self.github.enterprise_url,
            "parameters": {"app_id": str(self.github.app_id), "installation_id": "42"},
            "replace": True,
        }
        with sealed_value(self.next) as sealed:
            client.send("AddSecret", parameters, [sealed.fileno()])
        self.it.status()
        self.it.crash("vault", wait=False)
        os.kill(pid, signal.SIGCONT)
        self.it.wait_ready()
        wait_until(lambda: not self.secret()["rotation"], "it is not ended")
        self.settled(self.secret()["generation"])


if __name__ == "__main__":
    main()
