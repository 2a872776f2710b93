#!/usr/bin/python3
"""kill -9 of each process, idle and in the middle of work: the broker mends itself, sessions whose
lifeline lives go on, and no token is alive upstream that nobody knows of."""

import os
import select
import signal
import subprocess
import threading
import unittest

from harness import PASSPHRASE, WAIT, Case, children_of, main, sha256_hex, wait_gone, wait_until
from varlink import SESSION, CallError, Client, Closed, sealed_value


class Crashing(Case):
    """With the sealed file: what is unlocked must come back by itself."""

    store = "sealed-file"

    def setUp(self):
        super().setUp()
        self.it = self.ready()

    def goes_on(self, session):
        """The session is live, its token too, and more can be had."""
        self.assertEqual(self.it.sessions()[session.id]["state"], "live")
        self.assert_alive(session.token)
        self.assertEqual(self.it.get_token(session), session.token)

    def is_sound(self):
        """What must hold after anything."""
        self.it.wait_ready()
        self.assert_all_known(self.it)
        self.it.audit()
        fresh = self.it.open("gh")
        self.assert_alive(fresh.token)
        self.it.revoke(session=fresh.id)
        self.assert_dead(fresh.token)

    def answer(self, client):
        """The reply to what was under way, or the name of its failure."""
        try:
            return client.receive()
        except CallError as error:
            return error.name
        except Closed:
            return "closed"

    def held(self, endpoint, when, method, parameters):
        """A call that is being served while the upstream holds its reply."""
        already = self.github.count(endpoint, "arrived" if when == "before" else "worked")
        fault = self.github.fault(endpoint, "delay", when=when)
        client = self.it.keep(self.it.client())
        client.send(method, parameters)
        self.github.wait(endpoint, already + 1, phase="arrived" if when == "before" else "worked")
        return client, fault

    def opening(self, when="after"):
        parameters = {"grants": [{"profile": "gh"}], "lifeline": "lifetime"}
        return self.held("mint", when, "OpenSession", parameters)


class Idle(Crashing):
    def crash_idle(self, role):
        client = self.it.keep(self.it.client())
        session = self.it.open("gh", client=client)
        by_lifetime = self.it.open("gh")
        gone = self.it.open("gh")
        self.it.revoke(session=gone.id)
        self.it.crash(role)
        self.it.wait_ready()
        self.goes_on(session)
        self.goes_on(by_lifetime)
        self.assert_dead(gone.token)
        self.fails("Expired", self.it.get_token, gone)
        return client, session

    def test_vault(self):
        client, session = self.crash_idle("vault")
        client.close()
        self.it.wait_ended(session)
        self.wait_dead(session.token)
        self.is_sound()

    def test_keyring(self):
        client, session = self.crash_idle("keyring")
        client.close()
        self.it.wait_ended(session)
        self.is_sound()

    def test_gate(self):
        """Connections that are lifelines go on with the next gate."""
        client, session = self.crash_idle("gate")
        self.assertTrue(client.call("Status")["version"])
        self.goes_on(session)
        client.close()
        self.it.wait_ended(session)
        self.wait_dead(session.token)
        self.is_sound()

    def test_session_process(self):
        session = self.it.open("gh-socket", want_descriptor=True)
        with Client(fd=session.descriptor, interface=SESSION) as inside:
            token = inside.call("GetToken")["token"]
            self.it.crash("session", wait=False)
            self.assertEqual(inside.call("GetToken")["token"], token)
            with session.connect() as named:
                again = named.call("GetToken", {"session": session.secret})["token"]
        self.assertEqual(again, token)
        self.assert_alive(token)
        self.is_sound()

    def test_sessions_talk_across_a_vault_crash(self):
        session = self.it.open("gh-socket", want_descriptor=True)
        with Client(fd=session.descriptor, interface=SESSION) as inside:
            token = inside.call("GetToken")["token"]
            self.it.crash("vault")
            self.it.wait_ready()
            self.assertEqual(inside.call("GetToken")["token"], token)

    def test_again_and_again(self):
        client = self.it.keep(self.it.client())
        session = self.it.open("gh", client=client)
        for role in ("vault", "gate", "keyring", "vault", "keyring", "gate"):
            self.it.crash(role)
        self.it.wait_ready()
        self.goes_on(session)
        self.is_sound()

    def test_all_at_once(self):
        client = self.it.keep(self.it.client())
        session = self.it.open("gh", client=client)
        self.it.status()  # after it the supervisor knows, or will read, that the client has its session
        old = {role: self.it.signal_role(role) for role in ("gate", "vault", "keyring")}
        for role, pid in old.items():
            wait_until(lambda: self.it.role_pid(role) not in (None, pid), f"{role} is not restarted")
        # Whoever knew the key is gone; the sessions are not.
        self.it.wait_status(lambda status: status["store_state"] == "locked", "it is not locked")
        self.assert_alive(session.token)
        self.assertEqual(self.it.sessions()[session.id]["state"], "live")
        self.it.unlock()
        self.goes_on(session)
        self.is_sound()

    def test_lifeline_ends_while_the_vault_is_away(self):
        client = self.it.client()
        session = self.it.open("gh", client=client)
        self.it.signal_role("vault", signal.SIGSTOP)
        pid = self.it.role_pid("vault")
        client.close()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.it.role_pid("vault") not in (None, pid), "the vault is not restarted")
        self.it.wait_ready()
        self.it.wait_ended(session)
        self.wait_dead(session.token)
        self.is_sound()

    def test_locked_by_hand_stays_locked(self):
        self.it.call("Lock")
        self.it.crash("vault")
        self.assertEqual(self.it.status()["store_state"], "locked")
        self.fails("KeyringLocked", self.it.open, "gh")
        self.it.unlock()
        self.is_sound()


class Opening(Crashing):
    """In the middle of OpenSession, before or after the upstream has made the token."""

    def lost(self, client, alive):
        """The caller hears of it, got nothing, and what was made is known."""
        self.assertIn(self.answer(client), ("Unavailable", "UpstreamUnknown", "Timeout", "closed", "Internal"))
        self.it.wait_ready()
        self.assertEqual(len(self.github.tokens("alive")), alive)
        wait_until(lambda: not self.count_open(self.it, "intent"), "an intent stays open")
        self.assert_all_known(self.it)
        self.assertEqual(self.it.status()["sessions"], 0)

    def test_vault_before(self):
        client, fault = self.opening("before")
        self.it.crash("vault")
        self.github.release(fault)
        self.lost(client, alive=0)
        self.assertEqual(self.count_open(self.it, "unrecoverable"), 1)
        self.is_sound()

    def test_vault_after(self):
        client, fault = self.opening("after")
        self.it.crash("vault")
        self.github.release(fault)
        self.lost(client, alive=1)
        [lease] = self.it.leases(state="unrecoverable")
        self.assertTrue(lease["expires"])
        lines = [event for event in self.it.audit() if event.get("lease") == lease["lease"]]
        self.assertEqual([event["operation"] for event in lines], ["token.intent", "token.mint"])
        self.is_sound()

    def test_provider_after(self):
        client, fault = self.opening("after")
        self.it.signal_role("provider")
        self.github.release(fault)
        self.lost(client, alive=1)
        self.assertEqual(self.count_open(self.it, "unrecoverable"), 1)
        self.is_sound()

    def test_provider_before(self):
        client, fault = self.opening("before")
        self.it.signal_role("provider")
        self.github.release(fault)
        self.lost(client, alive=0)
        self.is_sound()

    def test_gate(self):
        """Nobody took the session, so it must not stay."""
        client, fault = self.opening("after")
        self.it.crash("gate")
        self.github.release(fault)
        self.assertEqual(self.answer(client), "closed")
        self.wait_all_dead()
        wait_until(lambda: self.it.status()["sessions"] == 0, "a session that nobody took stays")
        self.is_sound()

    def test_gate_with_connection_lifeline(self):
        fault = self.github.fault("mint", "delay", when="after")
        client = self.it.client()
        client.send("OpenSession", {"grants": [{"profile": "gh"}]})
        self.github.wait("mint", 1, phase="worked")
        self.it.crash("gate")
        self.github.release(fault)
        client.close()
        self.wait_all_dead()
        wait_until(lambda: self.it.status()["sessions"] == 0, "a session that nobody took stays")
        self.is_sound()

    def test_keyring(self):
        client, fault = self.opening("after")
        self.it.crash("keyring")
        self.github.release(fault)
        self.assert_alive({item["name"]: item["value"] for item in client.receive()["environment"]}["GITHUB_TOKEN"])
        self.is_sound()

    def test_keyring_before_the_secret_is_loaded(self):
        pid = self.it.signal_role("keyring", signal.SIGSTOP)
        client = self.it.keep(self.it.client())
        client.send("OpenSession", {"grants": [{"profile": "gh"}], "lifeline": "lifetime"})
        wait_until(lambda: self.count_open(self.it, "intent"), "no intent is written")
        os.kill(pid, signal.SIGKILL)
        self.assertIn(self.answer(client), ("Unavailable", "KeyringLocked"))
        self.it.wait_ready()
        self.assertEqual(self.github.tokens(), [])
        self.assertEqual([row["state"] for row in self.it.leases()], ["failed"])
        self.is_sound()


class Tokens(Crashing):
    """In the middle of GetToken of a session's process."""

    def asking(self):
        session = self.it.open("gh-socket", want_descriptor=True)
        inside = self.it.keep(Client(fd=session.descriptor, interface=SESSION))
        fault = self.github.fault("mint", "delay", when="after")
        inside.send("GetToken")
        self.github.wait("mint", 1, phase="worked")
        return session, inside, fault

    def still_works(self, session):
        self.it.wait_ready()
        self.assertEqual(self.it.sessions()[session.id]["state"], "live")
        self.assert_alive(self.it.get_token(session))
        self.assert_all_known(self.it)

    def test_session_process(self):
        session, inside, fault = self.asking()
        self.it.signal_role("session")
        self.github.release(fault)
        wait_until(lambda: self.count_open(self.it, "live") == 1, "the token is not written down")
        token = inside.call("GetToken")["token"]
        self.assert_alive(token)
        self.assertEqual(len(self.github.tokens()), 1)
        self.still_works(session)
        self.is_sound()

    def test_vault(self):
        session, inside, fault = self.asking()
        self.it.crash("vault")
        self.github.release(fault)
        self.assertIn(self.answer(inside), ("Unavailable", "closed"))
        self.still_works(session)
        self.assertEqual(self.count_open(self.it, "unrecoverable"), 1)
        self.is_sound()

    def test_provider(self):
        session, inside, fault = self.asking()
        self.it.signal_role("provider")
        self.github.release(fault)
        self.assertEqual(self.answer(inside), "UpstreamUnknown")
        self.still_works(session)
        self.is_sound()

    def test_session_stops_before_it_is_served(self):
        """A session process that was stopped and killed loses nothing of others."""
        session = self.it.open("gh-socket", want_descriptor=True)
        other = self.it.open("gh")
        with Client(fd=session.descriptor, interface=SESSION) as inside:
            inside.call("GetToken")
            self.it.signal_role("session", signal.SIGSTOP)
            inside.send("GetToken")
            self.goes_on(other)
            self.it.signal_role("session")
            self.assertTrue(self.answer(inside))
        self.still_works(session)


class Revoking(Crashing):
    """In the middle of Revoke: durable before the upstream is asked, and gone on with afterwards."""

    def revoking(self, when="before"):
        session = self.it.open("gh")
        return session, *self.held("revoke", when, "Revoke", {"session": session.id})

    def finishes(self, session):
        self.it.wait_ready()
        self.wait_dead(session.token)
        wait_until(lambda: self.count_open(self.it, "revoked") == 1, "the revocation is not confirmed")
        self.assertEqual(self.it.status()["pending"], 0)
        self.fails("Expired", self.it.get_token, session)
        self.is_sound()

    def test_vault(self):
        session, client, fault = self.revoking()
        self.it.crash("vault")
        self.fails("Expired", self.it.get_token, session)
        self.github.release(fault)
        self.assertIn(self.answer(client), ("Unavailable", "closed"))
        self.finishes(session)

    def test_vault_after_the_upstream_did_it(self):
        session, client, fault = self.revoking("after")
        self.it.crash("vault")
        self.github.release(fault)
        self.answer(client)
        self.finishes(session)

    def test_gate(self):
        session, client, fault = self.revoking()
        self.it.crash("gate")
        self.github.release(fault)
        self.assertEqual(self.answer(client), "closed")
        self.finishes(session)

    def test_provider(self):
        session, client, fault = self.revoking()
        self.it.signal_role("provider")
        self.github.release(fault)
        self.assertTrue(client.receive()["pending"])
        self.finishes(session)

    def test_keyring(self):
        session, client, fault = self.revoking()
        self.it.crash("keyring")
        self.github.release(fault)
        self.assertFalse(client.receive()["pending"])
        self.finishes(session)

    def test_all_while_all_die(self):
        sessions = [self.it.open("gh") for _ in range(4)]
        client, fault = self.held("revoke", "before", "Revoke", {"all": True})
        old = {role: self.it.signal_role(role) for role in ("vault", "gate", "keyring")}
        self.github.release(fault)
        for role, pid in old.items():
            wait_until(lambda: self.it.role_pid(role) not in (None, pid), f"{role} is not restarted")
        self.it.unlock()
        for session in sessions:
            self.wait_dead(session.token)
            self.fails("Expired", self.it.get_token, session)
        client.close()
        self.is_sound()

    def test_revoked_token_hash_is_still_known(self):
        session = self.it.open("gh")
        self.it.crash("vault")
        self.it.wait_ready()
        answer = self.it.revoke(token_hash=sha256_hex(session.token))
        self.assertEqual([row["outcome"] for row in answer["credentials"]], ["confirmed"])
        self.assert_dead(session.token)


class Storm(Crashing):
    """Everybody works while everything dies."""

    THREADS = 3
    ROUNDS = 6

    def work(self, stop, tokens):
        while not stop.is_set():
            try:
                session = self.it.open("gh")
                tokens.append(session.token)
                self.it.revoke(session=session.id)
            except (CallError, Closed, OSError):
                pass  # what became of it is looked at when the storm is over

    def test_storm(self):
        held = self.it.keep(self.it.client())
        survivor = self.it.open("gh", client=held)
        stop, tokens = threading.Event(), []
        threads = [threading.Thread(target=self.work, args=(stop, tokens)) for _ in range(self.THREADS)]
        for thread in threads:
            thread.start()
        try:
            for turn in range(self.ROUNDS):
                self.it.crash(("vault", "gate", "keyring")[turn % 3])
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.it.wait_ready()
        self.assertTrue(tokens)
        self.goes_on(survivor)
        self.it.revoke(all=True)
        self.it.wait_status(lambda status: status["sessions"] == 0, "sessions stay")
        wait_until(lambda: self.count_open(self.it, "revoking", "live", "intent") == 0, "leases stay open")
        self.assert_dead(survivor.token)
        for token in tokens:
            self.assert_dead(token)
        self.assert_all_known(self.it)
        self.is_sound()


@unittest.skipUnless(os.geteuid() == 0, "needs root, to give the state a small file system of its own")
class FullDisk(Case):
    store = "sealed-file"

    def setUp(self):
        super().setUp()
        self.it = self.broker(start=False)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", self.it.path("state")], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.it.path("state")], check=True)
        self.it.start_sealed()
        self.it.add_github(self.github)

    def fill(self):
        with open(self.it.path("state", "filler"), "wb", buffering=0) as file:
            with self.assertRaises(OSError):
                while True:
                    file.write(b"x" * 4096)

    def test_nothing_is_issued_and_an_end_is_made_up_for(self):
        client = self.it.keep(self.it.client())
        session = self.it.open("gh", client=client)
        self.fill()
        # Whatever still fits into the log and the pages that are there is used up first.
        issued = []
        wait_until(lambda: self.refused(issued), "it goes on issuing")
        client.close()
        wait_until(lambda: not os.path.exists(session.path), "the session's socket stays")
        self.it.status()
        os.unlink(self.it.path("state", "filler"))
        self.wait_dead(session.token)
        self.assertEqual(self.it.wait_ended(session)["end_reason"], "its lifeline is gone")
        for other in issued:
            self.it.revoke(session=other.id)
        self.wait_all_dead()
        self.it.audit()

    def test_revocation_does_not_wait_for_the_disk(self):
        session, other = self.it.open("gh"), self.it.open("gh-file")
        self.fill()
        wait_until(lambda: self.refused([]), "it goes on issuing")
        for selector in {"session": session.id}, {"profile": "gh-file"}:
            error = self.fails("AuditUnavailable", self.it.revoke, **selector)
            self.assertIn("ended here", error.message)
        self.assertFalse(os.path.exists(session.path) or os.path.exists(other.path))
        os.unlink(self.it.path("state", "filler"))
        self.wait_dead(session.token)
        for ended in session, other:
            self.assertEqual(self.it.wait_ended(ended)["end_reason"], "revoked")
        self.it.audit()

    def refused(self, issued):
        try:
            issued.append(self.it.open("gh"))
        except CallError as error:
            self.assertEqual(error.name, "AuditUnavailable", error.message)
            return True
        return False


class Supervisor(Crashing):
    def roles_gone(self, left):
        for pidfd in left:
            self.assertTrue(wait_gone(pidfd), "a role outlives the supervisor")
            os.close(pidfd)

    def test_kill(self):
        client = self.it.keep(self.it.client())
        session, other = self.it.open("gh", client=client), self.it.open("gh-socket", want_descriptor=True)
        with Client(fd=other.descriptor, interface=SESSION) as inside:
            more = inside.call("GetToken")["token"]
            self.assertGreaterEqual(len(children_of(self.it.process.pid)), 4)
            left = self.it.kill()
            self.assertGreaterEqual(len(left), 4)
            self.roles_gone(left)
            with self.assertRaises(Closed):
                inside.call("GetToken")
        self.assert_alive(session.token)  # there was nobody to revoke it
        self.it.start_sealed(create=False)
        self.wait_dead(session.token)
        self.wait_dead(more)
        rows = self.it.sessions()
        self.assertEqual({row["state"] for row in rows.values()}, {"ended"})
        wait_until(lambda: self.count_open(self.it, "revoked") == 2, "the leases are not revoked")
        ends = {event["session"] for event in self.it.audit() if event["operation"] == "session.end"}
        self.assertEqual(ends, {session.id, other.id})
        self.assertFalse(os.path.exists(session.path))
        self.is_sound()

    def test_kill_in_the_middle(self):
        parameters = {"grants": [{"profile": "gh"}], "lifeline": "lifetime"}
        self.it.open("gh")
        _, mint = self.held("mint", "after", "OpenSession", parameters)
        revoked = self.it.open("gh")
        _, revoke = self.held("revoke", "before", "Revoke", {"session": revoked.id})
        self.roles_gone(self.it.kill())
        self.github.release(mint)
        self.github.release(revoke)
        self.it.start_sealed(create=False)
        self.wait_dead(revoked.token)
        wait_until(lambda: self.count_open(self.it, "revoked") == 2, "the leases are not revoked")
        self.assertEqual(self.count_open(self.it, "unrecoverable"), 1)
        self.assert_all_known(self.it)
        self.is_sound()

    def test_terminate_while_the_keyring_is_waited_for(self):
        """Who waits for it is told so by a vault that is about to end, and has let go of other things already."""
        self.it.call("Lock")
        keyring = self.it.signal_role("keyring", signal.SIGSTOP)
        clients = [self.it.client() for _ in range(2)]
        for client in clients:
            self.addCleanup(client.close)
            with sealed_value(PASSPHRASE) as value:
                client.send("Unlock", {"create": False}, [value.fileno()])
        # One of the two is told that the other one is under way: that waits for the keyring.
        [first, *_], _, _ = select.select([client.socket for client in clients], [], [], WAIT)
        self.assertEqual(self.answer(clients[[client.socket for client in clients].index(first)]), "Busy")
        self.it.process.terminate()
        os.kill(keyring, signal.SIGCONT)
        log = self.it.log
        self.it.stop()
        self.assertEqual([line for line in log.lines if "was killed by signal" in line], [])

    def test_terminate(self):
        """In order: the sessions' sockets are gone, and so are the roles."""
        session = self.it.open("gh")
        left = [os.pidfd_open(pid) for pid in children_of(self.it.process.pid)]
        self.it.stop()
        self.roles_gone(left)
        self.assertFalse(os.path.exists(session.path))
        self.it.start_sealed(create=False)
        self.wait_dead(session.token)
        self.is_sound()


if __name__ == "__main__":
    main()
