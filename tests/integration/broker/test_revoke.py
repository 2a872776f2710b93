#!/usr/bin/python3
"""Revocation by any selector and their combinations: what is over, what goes on, and what the answer says of it."""

import os
import subprocess
import time
import unittest

from harness import BUILD, PROFILES, Case, main, sha256_hex, wait_until
from stopped import KilledBehind
from varlink import CallError

KEY = "static-" + "b2" * 20
MORE = """
[profile key]
secret = api
deliver = env
env = API_KEY
expose_secret = yes
command = /usr/bin/true

[profile way]
secret = api
ttl = 1h
deliver = proxy
env = WAY_KEY
allow = GET localhost /**
addresses = 127.0.0.0/8, ::1/128
slot = bearer
"""
NOBODYS_UID = 54321


class Containing(Case):
    config = PROFILES + MORE

    def setUp(self):
        super().setUp()
        self.it = self.ready()
        self.it.add("api", "static", KEY.encode(), hosts=["localhost"])

    def open_key(self):
        return self.it.open("key", command=["/usr/bin/true"])

    def state(self, session):
        return self.it.sessions()[session.id]["state"]

    def ended(self, *sessions):
        for session in sessions:
            self.assertEqual(self.state(session), "ended")

    def live(self, *sessions):
        for session in sessions:
            self.assertEqual(self.state(session), "live")

    def answer(self, **selector):
        """The last reply has the totals; they are held against the list."""
        with self.it.client() as client:
            replies = client.stream("Revoke", selector)
        rows = [row for reply in replies for row in reply["credentials"]]
        totals = replies[-1]["totals"]
        for outcome, n in totals.items():
            self.assertEqual(n, len([row for row in rows if row["outcome"] == outcome]), (totals, rows))
        self.assertEqual(replies[-1]["pending"], totals["pending"] > 0)
        return {"sessions": replies[-1]["sessions"], "totals": totals, "rows": rows}

    def outcomes(self, answer):
        return sorted(row["outcome"] for row in answer["rows"])

    def repeated(self, **selector):
        """Once more, it is success and nothing."""
        again = self.answer(**selector)
        self.assertEqual((again["sessions"], again["rows"]), (0, []))


class Selectors(Containing):
    def test_provider(self):
        session, key = self.it.open("gh"), self.open_key()
        answer = self.answer(provider="static")
        self.assertEqual((answer["sessions"], self.outcomes(answer)), (1, ["impossible_rotate"]))
        self.ended(key)
        self.live(session)
        self.repeated(provider="static")
        answer = self.answer(provider="github_app")
        self.assertEqual((answer["sessions"], self.outcomes(answer)), (1, ["confirmed"]))
        self.assert_dead(session.token)
        self.ended(session)

    def test_provider_of_a_session_that_has_no_lease_yet(self):
        session = self.it.open("gh-socket")
        self.assertEqual(self.answer(provider="github_app")["sessions"], 1)
        self.fails("Expired", self.it.get_token, session)

    def test_principal(self):
        session = self.it.open("gh")
        self.fails("NotFound", self.it.revoke, principal=str(NOBODYS_UID))
        self.fails("InvalidParameter", self.it.revoke, principal="root")
        self.fails("InvalidParameter", self.it.revoke, principal="-1")
        self.live(session)
        answer = self.answer(principal=str(os.getuid()))
        self.assertEqual((answer["sessions"], self.outcomes(answer)), (1, ["confirmed"]))
        self.ended(session)
        self.repeated(principal=str(os.getuid()))

    def opened_after(self, session):
        """Another one, of a later second: times are told in seconds."""
        [row] = self.it.leases(session=session.id)
        wait_until(lambda: time.strftime("%FT%TZ", time.gmtime(time.time() - 1)) > row["created"], "time stands still")
        return self.it.open("gh")

    def test_since(self):
        before = self.it.open("gh")
        after = self.opened_after(before)
        [row] = self.it.leases(session=after.id)
        self.assertEqual(self.answer(since="2999-01-01T00:00:00Z")["rows"], [])
        self.live(before, after)
        answer = self.answer(since=row["created"])
        self.assertEqual((answer["sessions"], [line["lease"] for line in answer["rows"]]), (1, [row["lease"]]))
        self.live(before)
        self.ended(after)
        self.assert_alive(before.token)
        self.assert_dead(after.token)
        self.repeated(since=row["created"])
        self.assertEqual(self.answer(since="1970-01-01T00:00:01Z")["sessions"], 1)
        self.ended(before)

    def test_since_ends_the_session_of_what_it_takes_whole(self):
        """It is as old as its first credential, which goes with the second."""
        old = self.it.open("gh", "gh-socket")
        other = self.opened_after(old)
        fresh = self.it.get_token(old, "gh-socket")
        [row] = self.it.leases(session=old.id, profile="gh-socket")
        self.it.revoke(session=other.id)
        answer = self.answer(since=row["created"], profile="gh-socket")
        self.assertEqual((answer["sessions"], self.outcomes(answer)), (1, ["confirmed", "confirmed"]))
        self.assert_dead(old.token)
        self.assert_dead(fresh)
        self.ended(old)

    def test_several_narrow_each_other(self):
        self.it.add_github(self.github, name="second")
        session, key, way = self.it.open("gh"), self.open_key(), self.it.open("way")
        for selector in (
            {"profile": "gh", "secret": "api"},
            {"profile": "gh", "provider": "static"},
            {"session": session.id, "profile": "key"},
            {"session": session.id, "since": "2999-01-01T00:00:00Z"},
            {"secret": "second", "principal": str(os.getuid())},
        ):
            answer = self.answer(**selector)
            self.assertEqual((answer["sessions"], answer["rows"]), (0, []), selector)
        self.live(session, key, way)
        self.assertEqual(self.answer(provider="static", profile="way", principal=str(os.getuid()))["sessions"], 1)
        self.live(session, key)
        self.ended(way)
        self.assertEqual(self.answer(session=session.id, secret="github", since="1970-01-01T00:00:01Z")["sessions"], 1)
        self.ended(session)

    def test_token_with_others(self):
        session = self.it.open("gh")
        selector = {"token_hash": sha256_hex(session.token)}
        self.assertEqual(self.answer(profile="gh-file", **selector)["rows"], [])
        self.assert_alive(session.token)
        self.assertEqual(self.outcomes(self.answer(profile="gh", provider="github_app", **selector)), ["confirmed"])
        self.assert_dead(session.token)
        self.live(session)

    def test_what_else_a_session_has_is_told_too(self):
        session = self.it.open("gh", "gh-file")
        answer = self.answer(profile="gh-file")
        self.assertEqual((answer["sessions"], self.outcomes(answer)), (1, ["confirmed", "confirmed"]))
        self.assertEqual({row["profile"] for row in answer["rows"]}, {"gh", "gh-file"})
        self.assert_dead(session.token)

    def test_a_slip_of_the_pen_is_no_containment(self):
        session = self.it.open("gh")
        for selector in (
            {"profile": "gh-"},
            {"secret": "githib"},
            {"provider": "github"},
            {"session": "s-" + "a" * 16},
            {"secret": "github", "profile": "hg"},
        ):
            self.fails("NotFound", self.it.revoke, **selector)
            self.fails("NotFound", self.it.revoke, dry_run=True, **selector)
        self.live(session)
        done = subprocess.run(
            [BUILD + "/client-lib/cli/mcpcred", "--runtime", self.it.path("runtime"), "revoke", "--profile", "g"],
            capture_output=True, text=True, check=False,
        )
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn("no profile g", done.stderr)

    def test_what_is_not_configured_any_more_is_on_record(self):
        session = self.it.open("gh")
        self.it.call("RemoveSecret", {"name": "github"})
        self.wait_dead(session.token)
        wait_until(lambda: self.count_open(self.it, "revoked") == 1, "it is not confirmed")
        self.repeated(secret="github")
        self.repeated(provider="github_app")
        self.it.write_config("")
        self.it.call("Reload")
        self.repeated(profile="gh")
        self.fails("NotFound", self.it.revoke, profile="gh-socket")

    @unittest.skipIf(os.geteuid(), "needs root")
    def test_another_user_is_refused(self):
        """Even one who gets as far as the socket."""
        session = self.it.open("gh")
        os.chmod(self.it.directory, 0o711)
        os.chmod(self.it.path("runtime"), 0o711)
        os.chmod(self.it.socket, 0o666)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setgroups([])
                os.setresgid(NOBODYS_UID, NOBODYS_UID, NOBODYS_UID)
                os.setresuid(NOBODYS_UID, NOBODYS_UID, NOBODYS_UID)
                self.fails("NotAllowed", self.it.revoke, all=True)
                self.fails("NotAllowed", self.it.revoke, principal=str(NOBODYS_UID))
                status = 0
            finally:
                os._exit(status)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.live(session)
        self.assert_alive(session.token)

    def test_listing_takes_the_same_selectors(self):
        session, key = self.it.open("gh"), self.open_key()
        for selector, expected in (
            ({"session": session.id}, {session.id}),
            ({"provider": "static"}, {key.id}),
            ({"principal": str(os.getuid())}, {session.id, key.id}),
            ({"principal": str(NOBODYS_UID)}, set()),
            ({"since": "2999-01-01T00:00:00Z"}, set()),
            ({"secret": "github", "profile": "gh"}, {session.id}),
        ):
            rows = self.it.rows("ListLeases", "leases", **selector)
            self.assertEqual({row["session"] for row in rows}, expected, selector)


class DryRun(Containing):
    """It says what the run then does, lease by lease."""

    def compare(self, **selector):
        before = (self.it.leases(), self.it.sessions(), self.github.count("revoke"))
        said = self.answer(dry_run=True, **selector)
        self.assertEqual((self.it.leases(), self.it.sessions(), self.github.count("revoke")), before)
        done = self.answer(**selector)
        self.assertEqual(said["sessions"], done["sessions"])

        def asked(answer):
            return {row["lease"]: row["outcome"].replace("confirmed", "pending") for row in answer["rows"]}

        self.assertEqual(asked(said), asked(done))
        return done

    def open_all(self):
        return [self.it.open("gh", "gh-socket"), self.open_key(), self.it.open("way"), self.it.open("way", "gh")]

    def test_all(self):
        self.open_all()
        done = self.compare(all=True)
        self.assertEqual(done["sessions"], 4)
        self.assertEqual(done["totals"], {"none": 2, "confirmed": 2, "pending": 0, "impossible_rotate": 1})

    def test_part_of_what_sessions_have(self):
        sessions = self.open_all()
        done = self.compare(profile="way", provider="static")
        self.assertEqual(self.outcomes(done), ["confirmed", "none", "none"])
        self.ended(*sessions[2:])
        self.live(*sessions[:2])

    def test_one_session(self):
        self.compare(session=self.open_all()[3].id)

    def test_handle(self):
        """With all that is behind it."""
        session = self.it.open("way")
        done = self.compare(token_hash=sha256_hex(session.environment["WAY_KEY"]))
        self.assertEqual(self.outcomes(done), ["none"])
        self.live(session)

    def test_stored_key(self):
        session = self.open_key()
        done = self.compare(token_hash=sha256_hex(KEY))
        self.assertEqual(self.outcomes(done), ["impossible_rotate"])
        self.live(session)


class InFlight(Containing):
    """What comes back from the upstream behind the cutoff is covered by it."""

    def in_flight(self, **selector):
        fault = self.github.fault("mint", "delay", when="after")
        client = self.it.keep(self.it.client(timeout=90))
        client.send("OpenSession", {"grants": [{"profile": "gh"}], "lifeline": "lifetime"})
        self.github.wait("mint", 1, phase="worked")
        self.it.revoke(**selector)
        self.github.release(fault)
        with self.assertRaises(CallError) as caught:
            client.receive()
        self.assertEqual(caught.exception.name, "Revoked")
        wait_until(lambda: self.count_open(self.it, "revoked") == 1, "what came back is not revoked")
        self.assertEqual(self.github.tokens("alive"), [])

    def test_provider(self):
        self.in_flight(provider="github_app")

    def test_principal(self):
        self.in_flight(principal=str(os.getuid()))

    def test_since(self):
        self.in_flight(since="1970-01-01T00:00:01Z")

    def test_combination(self):
        self.in_flight(provider="github_app", profile="gh", principal=str(os.getuid()))


class Upstream(Containing):
    """What the upstreams are asked for."""

    LIMIT = 4  # REVOKE_PARALLEL_DEFAULT

    def records(self):
        return self.github.requests("revoke")

    def test_no_more_at_once_than_it_takes(self):
        sessions = [self.it.open("gh") for _ in range(3 * self.LIMIT)]
        fault = self.github.fault("revoke", "delay", count=0)
        client = self.it.keep(self.it.client())
        client.send("Revoke", {"all": True}, more=True)
        self.github.wait("revoke", self.LIMIT)
        self.github.release(fault)
        for session in sessions:
            self.wait_dead(session.token)
        wait_until(lambda: self.count_open(self.it, "revoked") == len(sessions), "not all are confirmed")
        moments = [(item["time"], 1) for item in self.records()] + [(item["left"], -1) for item in self.records()]
        at_once = most = 0
        for _, change in sorted(moments):
            at_once += change
            most = max(most, at_once)
        self.assertEqual(most, self.LIMIT)

    def test_rate_limit_holds_for_all_of_it(self):
        sessions = [self.it.open("gh") for _ in range(self.LIMIT + 2)]
        self.github.fault("revoke", "rate_limit", count=self.LIMIT, status=429, retry_after=2)
        answer = self.answer(all=True)
        self.assertEqual(answer["sessions"], len(sessions))
        for session in sessions:
            self.wait_dead(session.token)
        wait_until(lambda: self.count_open(self.it, "revoked") == len(sessions), "not all are confirmed")
        limited = [item for item in self.records() if item["status"] == 429]
        others = [item for item in self.records() if item["status"] != 429]
        said = max(item["left"] for item in limited)
        # Those that were under way when the first was told are not held back.
        self.assertTrue(all(item["time"] >= said + 1.9 or item["time"] <= said for item in others), self.records())
        self.assertGreater(max(item["time"] for item in others), said + 1.9)

    def test_pending_until_it_is_confirmed_by_the_next_start(self):
        self.it.close()
        self.it = self.broker(store="sealed-file")
        self.it.add_github(self.github)
        session = self.it.open("gh")
        fault = self.github.fault("revoke", "drop", count=0)
        answer = self.answer(all=True)
        self.assertEqual(answer["totals"]["pending"], 1)
        self.assert_alive(session.token)
        self.it.stop()
        self.github.release(fault)
        self.it.start_sealed(create=False)
        self.wait_dead(session.token)
        wait_until(lambda: self.count_open(self.it, "revoked") == 1, "it is not confirmed")

    def test_an_upstream_that_is_silent_is_left_alone_as_a_whole(self):
        """Not asked once for each of a dozen: a single one finds out that it is back."""
        sessions = [self.it.open("gh") for _ in range(3 * self.LIMIT)]
        fault = self.github.fault("revoke", "drop", count=0)
        answer = self.answer(all=True)
        self.assertEqual(answer["totals"]["pending"], len(sessions))
        self.assertLessEqual(self.github.count("revoke"), self.LIMIT + 2)
        self.github.release(fault)
        for session in sessions:
            self.wait_dead(session.token)


class Killed(Containing):
    store = "sealed-file"

    @unittest.skipIf(os.geteuid(), "needs root")
    def killed_behind_the_cutoff(self, **selector):
        sessions = [self.it.open("gh") for _ in range(3)] + [self.it.open("gh-socket")]
        self.it.audit()  # the file has followed, so that the next sync is the cutoff's
        mark = self.it.log.mark()
        pid = self.it.role_pid("vault")
        client = self.it.keep(self.it.client())
        with KilledBehind(pid, "fdatasync", "state.db-wal") as killed:
            client.send("Revoke", selector, more=True)
        self.assertTrue(killed.done)
        self.it.log.wait("state: ready", mark)
        self.it.wait_ready()
        for session in sessions:
            self.ended(session)
            self.fails("Expired", self.it.get_token, session)
        for session in sessions[:3]:
            self.wait_dead(session.token)
        wait_until(lambda: self.count_open(self.it, "revoked") == 3, "not all are confirmed")
        fresh = self.it.open("gh")
        self.assert_alive(fresh.token)
        self.it.audit()

    def test_all(self):
        self.killed_behind_the_cutoff(all=True)

    def test_provider(self):
        self.killed_behind_the_cutoff(provider="github_app", principal=str(os.getuid()))


if __name__ == "__main__":
    main()
