#!/usr/bin/python3
"""An upstream that misbehaves: each failure has its name, nothing is delivered that is not known, and
nobody else waits."""

import os
import socket
import time

from harness import PROFILES, Case, Standin, main, sha256_hex, wait_until
from varlink import SESSION, CallError, Client


class Trouble(Case):
    def setUp(self):
        super().setUp()
        self.it = self.ready()

    def begin(self, method="OpenSession", parameters=None):
        """A call that somebody else waits for."""
        client = self.it.keep(self.it.client(timeout=90))
        client.send(method, parameters or {"grants": [{"profile": "gh"}], "lifeline": "lifetime"})
        return client

    def others_are_served(self):
        """Other clients' other work, within a moment."""
        begin = time.monotonic()
        self.it.status()
        self.it.rows("ListProfiles", "profiles")
        session = self.it.open("gh-socket")
        self.it.revoke(session=session.id)
        self.assertLess(time.monotonic() - begin, 10)


class Mint(Trouble):
    def refused(self, name, kind, alive=0, state="failed", **options):
        """What the caller hears, and what is written down. Then the same works again."""
        self.github.fault("mint", kind, **options)
        error = self.fails(name, self.it.open, "gh")
        self.assertTrue(error.parameters["remedy"])
        self.assertEqual(len(self.github.tokens("alive")), alive)
        self.assertEqual(self.github.count("mint"), 1, "it was asked more than once")
        [lease] = self.it.leases()
        self.assertEqual(lease["state"], state)
        if state == "unrecoverable":
            self.assertTrue(lease["expires"])
        self.assert_all_known(self.it)
        [row] = self.it.sessions().values()
        self.assertEqual(row["state"], "ended")
        [line] = [event for event in self.it.audit() if event["operation"] == "token.mint"]
        self.assertEqual((line["verdict"], line["reason"]), ("error", name))
        self.assert_alive(self.it.open("gh").token)
        return error

    def unknown(self, kind, alive=0, **options):
        return self.refused("UpstreamUnknown", kind, alive, "unrecoverable", **options)

    def test_server_error(self):
        self.unknown("status", status=500)

    def test_server_error_after_the_work(self):
        self.unknown("status", status=502, when="after", alive=1)

    def test_garbage(self):
        self.unknown("garbage")

    def test_error_in_a_200(self):
        self.unknown("error_body")

    def test_huge_body(self):
        self.unknown("huge_body", status=201)

    def test_dropped_before(self):
        self.unknown("drop")

    def test_lost_reply(self):
        self.unknown("drop", when="after", alive=1)

    def test_cut_short(self):
        self.unknown("truncate", alive=1)

    def test_nul_and_nesting(self):
        for body in ('{"token": "a\\u0000b"}', "[" * 5000, '{"token": "x", "token": "y"}'):
            self.github.fault("mint", "status", status=201, body=body)
            self.fails("UpstreamUnknown", self.it.open, "gh")
        self.assertEqual(self.count_open(self.it, "unrecoverable"), 3)

    def test_refused_secret(self):
        self.refused("UpstreamRootInvalid", "unauthorized")

    def test_rate_limit(self):
        error = self.refused("UpstreamRateLimited", "rate_limit", retry_after=17)
        self.assertEqual(error.parameters["retry_after"], 17)

    def test_secondary_limit(self):
        error = self.refused("UpstreamRateLimited", "secondary_limit", retry_after=33)
        self.assertEqual(error.parameters["retry_after"], 33)

    def test_denied(self):
        body = {"message": "Resource not accessible by integration"}
        self.refused("UpstreamDenied", "status", status=403, body=body)

    def test_unprocessable(self):
        self.github.set_permissions(42, metadata="read")
        self.fails("UpstreamBadScope", self.it.open, "gh")
        self.assertEqual(self.count_open(self.it, "failed"), 1)

    def test_suspended(self):
        self.github.suspend()
        self.fails("UpstreamDenied", self.it.open, "gh")
        self.github.unsuspend()
        self.it.open("gh")

    def test_repository_that_is_gone(self):
        self.github.remove_repository(42, "hello")
        self.fails("UpstreamBadScope", self.it.open, "gh")

    def test_nobody_listens(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"https://localhost:{free.getsockname()[1]}"
            self.fails("UpstreamUnreachable", self.it.add_github, self.github, "dark", base_url=url)
            self.it.add_github(self.github, replace=True, base_url=url, verify=False)
            self.fails("UpstreamUnreachable", self.it.open, "gh")
        self.assertEqual([row["state"] for row in self.it.leases()], ["failed"])

    def test_wider_than_asked_is_revoked(self):
        """An upstream that ignores the narrowing: what it gave is delivered to nobody."""
        body = {
            "token": "ghs_" + "w" * 36,
            "expires_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600)),
            "permissions": {"contents": "write", "metadata": "read"},
            "repository_selection": "all",
        }
        self.github.fault("mint", "status", status=201, body=body)
        self.fails("UpstreamBadScope", self.it.open, "gh")
        self.github.wait("revoke", 1)
        [lease] = self.it.leases()
        self.assertNotEqual(lease["state"], "live")

    def test_several_grants_one_fails(self):
        """What the others got is revoked again, and the caller gets nothing."""
        self.github.fault("mint", "status", status=500, skip=1)
        self.fails("UpstreamUnknown", self.it.open, "gh", "gh-file")
        self.wait_all_dead()
        self.assertEqual(self.it.status()["sessions"], 0)

    def test_held_while_others_are_served(self):
        fault = self.github.fault("mint", "delay")
        client = self.begin()
        self.github.wait("mint", 1)
        self.others_are_served()
        session = self.it.open("gh")
        self.assert_alive(session.token)
        self.github.release(fault)
        self.assertTrue(client.receive()["session"])

    def test_many_held_while_others_are_served(self):
        """More than there are provider processes at once: only those who need the upstream wait."""
        fault = self.github.fault("mint", "delay", count=0)
        clients = [self.begin() for _ in range(12)]
        self.github.wait("mint", 8)
        begin = time.monotonic()
        self.it.status()
        session = self.it.open("gh-socket")
        self.it.revoke(session=session.id)
        self.assertLess(time.monotonic() - begin, 10)
        self.github.release(fault)
        for client in clients:
            self.assertTrue(client.receive()["session"])
        self.assertEqual(len(self.github.tokens("alive")), 12)

    def test_hang(self):
        """Bounded, and what may have happened is written down."""
        self.github.fault("mint", "hang", when="after")
        client = self.begin()
        self.github.wait("mint", 1, phase="worked")
        self.others_are_served()
        with self.assertRaises(CallError) as caught:
            client.receive()
        self.assertIn(caught.exception.name, ("UpstreamUnknown", "Timeout"))
        wait_until(lambda: self.count_open(self.it, "unrecoverable") == 1, "the lease stays an intent")
        self.assert_all_known(self.it)
        wait_until(lambda: self.it.status()["sessions"] == 0, "the session stays")

    def test_verify_fails(self):
        for kind, name in (("unauthorized", "UpstreamRootInvalid"), ("garbage", "UpstreamUnknown")):
            self.github.fault("*", kind)
            error = self.fails(name, self.it.add_github, self.github, "other")
            self.assertTrue(error.message)
        self.assertEqual(len(self.it.rows("ListSecrets", "secrets")), 1)


class Revoke(Trouble):
    def pending(self, answer):
        self.assertTrue(answer["pending"])
        self.assertEqual([row["outcome"] for row in answer["credentials"]], ["pending"])
        self.assertEqual(self.it.status()["pending"], 1)

    def confirmed_by_itself(self, session):
        wait_until(lambda: self.count_open(self.it, "revoked") == 1, "it is not tried again")
        self.assert_dead(session.token)
        [lease] = self.it.leases()
        self.assertEqual(lease["outcome"], "confirmed")
        self.assertGreaterEqual(lease["attempts"], 1)
        self.assertEqual(self.it.status()["pending"], 0)
        lines = [event for event in self.it.audit() if event["operation"] == "lease.revoke"]
        self.assertEqual([line["verdict"] for line in lines][-1], "allow")
        self.assertIn("error", [line["verdict"] for line in lines])

    def retried(self, kind, **options):
        session = self.it.open("gh")
        self.github.fault("revoke", kind, **options)
        answer = self.it.revoke(session=session.id)
        self.pending(answer)
        self.fails("Expired", self.it.get_token, session)
        checks = {row["id"] for row in self.it.rows("Doctor", "checks")}
        self.assertIn("leases.pending", checks)
        self.confirmed_by_itself(session)

    def test_server_error_for_a_while(self):
        self.retried("status", status=503, count=2)

    def test_lost_reply(self):
        self.retried("drop", when="after")

    def test_garbage(self):
        self.retried("garbage")

    def test_stray_401_is_not_believed(self):
        self.retried("unauthorized")

    def test_rate_limit_is_kept_to(self):
        self.retried("rate_limit", retry_after=3)
        times = [record["time"] for record in self.github.requests("revoke") if "time" in record]
        if len(times) == 2:
            self.assertGreaterEqual(times[1] - times[0], 2.5)

    def test_probe_that_fails_is_no_confirmation(self):
        """The upstream said yes and was not seen to mean it."""
        session = self.it.open("gh")
        self.github.fault("repositories", "status", status=503)
        self.pending(self.it.revoke(session=session.id))
        self.confirmed_by_itself(session)

    def test_hang_while_others_are_served(self):
        """Revoke answers when everything here is over, whatever the upstream does."""
        session, other = self.it.open("gh"), self.it.open("gh")
        fault = self.github.fault("revoke", "delay")
        begin = time.monotonic()
        answer = self.it.revoke(session=session.id)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertTrue(answer["pending"])
        self.fails("Expired", self.it.get_token, session)
        self.others_are_served()
        self.it.revoke(session=other.id)
        self.assert_dead(other.token)
        self.github.release(fault)
        wait_until(lambda: self.count_open(self.it, "revoked") == 2, "it is not finished")
        self.assert_dead(session.token)

    def test_revoked_again_while_pending(self):
        session = self.it.open("gh")
        self.github.fault("revoke", "status", status=500)
        self.pending(self.it.revoke(session=session.id))
        again = self.it.revoke(session=session.id)
        self.assertEqual(again["sessions"], 0)
        self.confirmed_by_itself(session)
        self.assertFalse(self.it.revoke(session=session.id)["pending"])

    def test_pending_across_a_vault_crash(self):
        session = self.it.open("gh")
        fault = self.github.fault("revoke", "status", status=500, count=0)
        self.pending(self.it.revoke(session=session.id))
        self.it.crash("vault")
        self.assertEqual(self.it.status()["pending"], 1)
        self.github.release(fault)
        self.confirmed_by_itself(session)

    def test_many_at_once(self):
        sessions = [self.it.open("gh") for _ in range(10)]
        self.github.fault("revoke", "status", status=500, count=3)
        answer = self.it.revoke(all=True)
        self.assertEqual((answer["sessions"], len(answer["credentials"])), (10, 10))
        for session in sessions:
            self.wait_dead(session.token)
        wait_until(lambda: self.count_open(self.it, "revoked") == 10, "not all are confirmed")


class InFlight(Trouble):
    """Revocation while a token is being made: it covers what comes back."""

    def in_flight(self, **selector):
        fault = self.github.fault("mint", "delay", when="after")
        client = self.begin()
        self.github.wait("mint", 1, phase="worked")
        self.it.revoke(**selector)
        self.github.release(fault)
        with self.assertRaises(CallError) as caught:
            client.receive()
        self.assertEqual(caught.exception.name, "Revoked")
        wait_until(lambda: self.count_open(self.it, "revoked") == 1, "what came back is not revoked")
        self.assertEqual(self.github.tokens("alive"), [])
        self.assertEqual(self.it.status()["sessions"], 0)

    def test_all(self):
        self.in_flight(all=True)

    def test_profile(self):
        self.in_flight(profile="gh")

    def test_secret(self):
        self.in_flight(secret="github")

    def test_session(self):
        fault = self.github.fault("mint", "delay", when="after")
        client = self.begin()
        self.github.wait("mint", 1, phase="worked")
        [session] = self.it.sessions()
        answer = self.it.revoke(session=session)
        self.assertEqual(answer["sessions"], 1)
        self.github.release(fault)
        with self.assertRaises(CallError) as caught:
            client.receive()
        self.assertEqual(caught.exception.name, "Revoked")
        wait_until(lambda: self.count_open(self.it, "revoked") == 1, "what came back is not revoked")
        self.assertEqual(self.github.tokens("alive"), [])

    def test_token_of_a_live_session(self):
        session = self.it.open("gh-socket", want_descriptor=True)
        with Client(fd=session.descriptor, interface=SESSION) as inside:
            fault = self.github.fault("mint", "delay", when="after")
            inside.send("GetToken")
            self.github.wait("mint", 1, phase="worked")
            self.it.revoke(profile="gh-socket")
            self.github.release(fault)
            with self.assertRaises(Exception):
                inside.receive()
        wait_until(lambda: self.count_open(self.it, "revoked") == 1, "what came back is not revoked")
        self.assertEqual(self.github.tokens("alive"), [])

    def test_secret_removed(self):
        fault = self.github.fault("mint", "delay", when="after")
        client = self.begin()
        self.github.wait("mint", 1, phase="worked")
        self.it.call("RemoveSecret", {"name": "github"})
        self.github.release(fault)
        with self.assertRaises(CallError):
            client.receive()
        self.wait_all_dead()

    def test_lost_reply_and_revoked(self):
        fault = self.github.fault("mint", "delay", when="after")
        client = self.begin()
        self.github.wait("mint", 1, phase="worked")
        answer = self.it.revoke(all=True)
        self.assertTrue(answer["pending"])
        self.it.signal_role("provider")
        self.github.release(fault)
        with self.assertRaises(CallError):
            client.receive()
        self.assertEqual(self.count_open(self.it, "unrecoverable"), 1)
        self.assert_all_known(self.it)


class Static(Trouble):
    """A stored key needs no upstream at all."""

    config = """
[profile key]
secret = api
deliver = env
env = API_KEY
expose_secret = yes
command = /usr/bin/true
"""

    def setUp(self):
        Case.setUp(self)
        self.it = self.broker()

    def test_rotate_is_what_is_left(self):
        value = "static-" + "a1" * 20
        self.it.add("api", "static", value.encode(), hosts=["localhost"])
        session = self.it.open("key", command=["/usr/bin/true"])
        answer = self.it.revoke(token_hash=sha256_hex(value))
        self.assertEqual([row["outcome"] for row in answer["credentials"]], ["impossible_rotate"])
        self.assertFalse(answer["pending"])
        self.it.revoke(session=session.id)
        self.assertEqual(os.listdir(self.it.path("runtime", "s")), [])


class Two(Case):
    """Two servers of one provider, one of which tells lies."""

    config = PROFILES + """
[profile bad]
secret = bad
repositories = octo/hello
permissions = contents:read
ttl = 1h
deliver = env
env = BAD_TOKEN
"""

    def test_what_one_upstream_says_of_its_limits_holds_up_no_other_one_of_its_provider(self):
        bad = Standin().start()
        self.addCleanup(bad.stop)
        it = self.broker(start=False)
        it.ca_file = it.path("both.pem")
        with open(it.ca_file, "w", encoding="ascii") as both:
            for upstream in self.github, bad:
                with open(upstream.ca, encoding="ascii") as one:
                    both.write(one.read())
        it.write_config(self.config)
        it.start()
        it.add_github(self.github)
        it.add_github(bad, name="bad")
        lying, other = it.open("bad"), it.open("gh")
        bad.fault("revoke", "rate_limit", count=0, retry_after=10**12)
        self.assertTrue(it.revoke(session=lying.id)["pending"])
        self.assertEqual([row["outcome"] for row in it.revoke(session=other.id)["credentials"]], ["confirmed"])
        self.assert_dead(other.token)


if __name__ == "__main__":
    main()
