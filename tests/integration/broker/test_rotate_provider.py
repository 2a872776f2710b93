#!/usr/bin/python3
"""Rotation by the provider itself: asked once, and whatever happens to the answer, a value that works is stored."""

import hashlib
import http.client
import os
import signal
import subprocess
import unittest

import test_proxy
from harness import Case, main, wait_until
from profiles import CLOUDFLARE, GITLAB
from varlink import CallError, Closed, sealed_value

STEPS = ["planned", "created", "stored", "verified", "switched", "old_revoked", "done"]

BY_PROXY = """
[profile cf-proxy]
secret = cloudflare
env = CLOUDFLARE_API_TOKEN
allow = GET localhost:{port} /cloudflare/client/v4/zones
addresses = 127.0.0.0/8, ::1/128
slot = bearer
"""


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Rotating(Case):
    config = GITLAB
    vendor = "gitlab"
    profile = "gl"

    def setUp(self):
        super().setUp()
        self.it = self.begin()
        self.first, self.first_id = self.github.add_issued(self.vendor)
        self.add(self.first)

    def begin(self):
        return self.broker(config=self.config.format(port=self.github.port))

    def add(self, value, **more):
        options = {"base_url": getattr(self.github, self.vendor + "_url"), "verify": True, **more}
        return self.it.add(self.vendor, self.vendor, value.encode(), **options)

    def secret(self):
        [row] = self.it.rows("ListSecrets", "secrets")
        return {"rotation": None, "rotated": None, "problem": None, **row}

    def wait_step(self, step):
        wait_until(lambda: self.secret()["rotation"] == step, f"it does not come to {step}: {self.secret()}")

    def alive(self):
        """Which of the secret's own values the upstream accepts."""
        found = self.github.credentials(self.vendor, "alive")
        return [item["id"] for item in found if item["kind"] != "project"]

    def works(self):
        """The stored value is one that the upstream accepts."""
        session = self.it.open(self.profile)
        self.it.revoke(session=session.id)

    def settled(self, generation):
        wait_until(lambda: not self.secret()["rotation"], "the rotation is not ended")
        self.assertEqual(self.secret()["generation"], generation)
        self.works()

    def rotate(self, value=None, **options):
        """All replies."""
        with self.it.client() as client:
            if value is None:
                return client.stream("Rotate", {"name": self.vendor, **options})
            with sealed_value(value.encode()) as sealed:
                return client.stream("Rotate", {"name": self.vendor, **options}, [sealed.fileno()])

    def steps(self, **options):
        return [reply["step"] for reply in self.rotate(**options) if reply["step"] != "waiting"]

    def metrics(self):
        with self.it.client() as client:
            return "".join(reply["text"] for reply in client.stream("Metrics")).splitlines()

    def start(self, **options):
        client = self.it.keep(self.it.client())
        client.send("Rotate", {"name": self.vendor, **options}, more=True)
        return client

    def over(self, client):
        """Its last message."""
        reply = client.receive_message()
        while reply.get("continues"):
            reply = client.receive_message()
        return reply

    making = "gitlab.rotate"

    def asked(self):
        return len(self.github.requests(self.making))

    def reasons(self):
        return [event["reason"] for event in self.it.audit() if event["operation"] == "secret.rotate"]


class Replacing(Rotating):
    """GitLab: making the new one kills the old one."""

    store = "sealed-file"

    def test_rotates_by_itself(self):
        self.assertEqual(self.steps(), STEPS)
        self.settled(2)
        self.assertEqual(len(self.alive()), 1)
        self.assertNotIn(self.first_id, self.alive())
        self.assertEqual(self.reasons(), [step for step in STEPS])

    def test_age_is_told(self):
        checks = {row["id"]: row for row in self.it.rows("Doctor", "checks")}
        self.assertEqual(checks["secret.gitlab"]["status"], "ok")
        self.assertIn("0 days", checks["secret.gitlab"]["summary"])
        lines = self.metrics()
        names = {line.split("{")[0].split()[0] for line in lines if not line.startswith("#")}
        self.assertEqual(names, {line.split()[2] for line in lines if line.startswith("# TYPE")} - {
            "mcpcred_secret_rotation_overdue_seconds"})
        self.assertIn('mcpcred_secret_rotation{secret="gitlab",step="none"} 1', lines)
        # What expires soon, and what has: GitLab's die at a midnight.
        for days, status, word in ((3, "warn", "expires"), (90, "ok", "old")):
            value, _ = self.github.add_issued("gitlab", days=days)
            self.add(value, replace=True)
            checks = {row["id"]: row for row in self.it.rows("Doctor", "checks")}
            self.assertEqual(checks["secret.gitlab"]["status"], status)
            self.assertIn(word, checks["secret.gitlab"]["summary"])

    def test_plan_says_that_no_value_is_needed(self):
        [reply] = self.rotate(plan=True)
        self.assertTrue(reply["made_by_provider"])
        self.assertEqual(self.asked(), 0)

    def test_value_that_is_refused_is_not_rotated(self):
        self.github.admin("kill_issued", vendor="gitlab", id=self.first_id)
        self.assertIn("--paste", self.fails("UpstreamRootInvalid", self.rotate).parameters["remedy"])
        self.assertEqual(self.asked(), 0)
        self.assertIsNone(self.secret()["rotation"])

    def test_refusal_leaves_the_old_in_use(self):
        self.github.fault("gitlab.rotate", "status", status=403, body={"message": "no"})
        self.fails("UpstreamDenied", self.rotate)
        self.settled(1)
        self.assertEqual(self.reasons()[-2:], ["refused", "UpstreamDenied"])

    def test_store_that_cannot_be_written_is_found_out_before(self):
        in_the_way = self.it.path("state", "secrets.sealed.new")
        os.mkdir(in_the_way)
        self.fails("Internal", self.rotate)
        self.assertEqual(self.asked(), 0)
        self.assertIsNone(self.secret()["rotation"])
        os.rmdir(in_the_way)
        self.assertEqual(self.steps(), STEPS)

    def test_store_that_cannot_be_written_later_is_waited_for(self):
        fault = self.github.fault("gitlab.rotate", "delay")
        client = self.start()
        self.github.wait("gitlab.rotate")
        in_the_way = self.it.path("state", "secrets.sealed.new")
        os.mkdir(in_the_way)
        self.github.release(fault)
        wait_until(lambda: self.secret()["problem"], "it does not say what it waits for")
        self.assertEqual(self.secret()["rotation"], "created")
        os.rmdir(in_the_way)
        self.assertEqual(self.over(client)["parameters"]["step"], "done")
        self.settled(2)

    def test_store_that_does_not_answer_is_found_out_before(self):
        pid = self.it.signal_role("keyring", signal.SIGSTOP)
        client = self.start()
        wait_until(lambda: self.it.role_pid("keyring") not in (None, pid), "the keyring is not restarted")
        self.assertIn("error", self.over(client))
        self.assertEqual(self.asked(), 0)
        self.it.wait_ready()
        self.settled(1)


class NothingNew(Rotating):
    """What comes as a new value is one that is in use: it is not taken, and above all not ended."""

    store = "sealed-file"

    def give(self, value, when):
        self.github.fault("gitlab.rotate", "status", status=200, when=when, body={
            "id": 999, "name": "x", "revoked": False, "active": True, "scopes": ["api"], "user_id": 7,
            "created_at": "2026-01-01T00:00:00.000Z", "expires_at": "2099-01-01", "token": value})

    def is_current(self, value, name="gitlab"):
        [match] = self.it.call("ReportLeak", {"hashes": [sha256(value)], "dry_run": True})["matches"]
        self.assertEqual((match["secret"], match["state"]), (name, "current"))

    def test_old_value_that_works(self):
        self.give(self.first, "before")
        self.assertIn("still accepts the old value", self.fails("UpstreamUnknown", self.rotate).message)
        self.settled(1)
        self.assertEqual(self.alive(), [self.first_id])
        self.assertEqual(self.it.leases(state="revoking"), [])
        self.is_current(self.first)

    def test_old_value_that_is_dead(self):
        self.give(self.first, "after")
        self.fails("NeedsHuman", self.rotate)
        self.is_current(self.first)

    def test_value_of_another_secret(self):
        other, number = self.github.add_issued("gitlab")
        self.it.add("other", "gitlab", other.encode(), base_url=self.github.gitlab_url)
        self.give(other, "before")
        self.fails("UpstreamUnknown", self.rotate)
        self.assertEqual(sorted(self.alive()), sorted([self.first_id, number]))
        self.is_current(other, "other")


class LostReply(Rotating):
    def test_lost_reply_of_a_replace_needs_a_human(self):
        self.github.fault("gitlab.rotate", "drop", when="after")
        error = self.fails("NeedsHuman", self.rotate)
        self.assertIn("--paste", error.parameters["remedy"])
        self.assertEqual(self.secret()["rotation"], "needs_human")
        self.assertEqual(self.secret()["generation"], 1)
        # It is never asked again by itself: not when asked to, and not over a restart.
        self.fails("NeedsHuman", self.rotate)
        self.fails("NeedsHuman", self.rotate, abort=True)
        self.it.crash("vault")
        self.it.wait_ready()
        self.assertEqual(self.secret()["rotation"], "needs_human")
        self.assertEqual(self.asked(), 1)
        # And it is loud.
        self.assertIn("needs_human", self.reasons())
        [check] = [row for row in self.it.rows("Doctor", "checks") if row["id"] == "secret.gitlab"]
        self.assertEqual(check["status"], "fail")
        self.assertIn("--paste", check["remedy"])
        self.assertIn('mcpcred_secret_rotation{secret="gitlab",step="needs_human"} 1', self.metrics())

    def test_lost_request_of_a_replace_changes_nothing(self):
        self.github.fault("gitlab.rotate", "drop", when="before")
        self.assertIn("old value", self.fails("UpstreamUnknown", self.rotate).message)
        self.settled(1)
        self.assertEqual(self.asked(), 1)
        self.assertEqual(self.steps(), STEPS)
        self.settled(2)

    def test_request_that_arrives_late_is_not_taken_for_lost(self):
        """The old value is asked for twice, since the first time the request may still be on its way."""
        self.github.fault("gitlab.rotate", "hang", when="before")
        client = self.start()
        self.github.wait("gitlab.rotate")
        before = len(self.github.requests("gitlab.self"))
        self.it.crash("vault")
        self.it.wait_ready()
        wait_until(lambda: not self.secret()["rotation"], "the rotation is not ended")
        self.assertEqual(len(self.github.requests("gitlab.self")), before + 2)
        self.settled(1)
        with self.assertRaises((CallError, Closed)):
            client.receive()
            client.receive()

    def test_upstream_is_away_while_it_is_found_out(self):
        self.github.fault("gitlab.rotate", "drop", when="before")
        away = self.github.fault("gitlab.self", "status", status=503, skip=2, count=0)
        client = self.start()
        self.github.wait("gitlab.self", 4)
        self.fails("Busy", self.rotate)
        self.fails("Busy", self.it.call, "RemoveSecret", {"name": "gitlab"})
        self.assertEqual(self.secret()["rotation"], "planned")
        self.github.release(away)
        self.assertEqual(self.over(client)["error"].rsplit(".", 1)[1], "UpstreamUnknown")
        self.settled(1)
        self.assertEqual(self.asked(), 1)

    def test_old_value_works_after_all(self):
        """A person looks again."""
        self.github.fault("gitlab.rotate", "drop", when="before")
        self.github.fault("gitlab.self", "unauthorized", skip=2)
        self.fails("NeedsHuman", self.rotate)
        self.assertEqual(self.rotate(abort=True)[-1]["step"], "aborted")
        self.settled(1)

    def test_added_anew_where_a_human_is_needed(self):
        self.github.fault("gitlab.rotate", "drop", when="after")
        self.fails("NeedsHuman", self.rotate)
        value, _ = self.github.add_issued("gitlab")
        self.add(value, replace=True)
        self.settled(2)


class Cut(Rotating):
    """kill -9 of the vault."""

    def test_crash_while_the_upstream_is_asked(self):
        """The answer comes to nobody."""
        fault = self.github.fault("gitlab.rotate", "delay", when="after")
        self.start()
        self.github.wait("gitlab.rotate")
        self.it.crash("vault")
        self.github.release(fault)
        self.it.wait_ready()
        self.wait_step("needs_human")
        self.assertEqual(self.asked(), 1)

    def test_crash_after_created_loses_no_value(self):
        fault = self.github.fault("gitlab.rotate", "delay")
        self.start()
        self.github.wait("gitlab.rotate")
        keyring = self.it.signal_role("keyring", signal.SIGSTOP)
        self.github.release(fault)
        self.wait_step("created")
        self.it.crash("vault", wait=False)
        os.kill(keyring, signal.SIGCONT)
        self.it.wait_ready()
        self.settled(2)
        self.assertEqual(self.asked(), 1)
        self.assertEqual(len(self.alive()), 1)

    def test_any_instant(self):
        asked = 0
        for milliseconds in (0, 10, 25, 50, 75, 100, 150):
            generation = self.secret()["generation"]
            client = self.it.client()
            client.send("Rotate", {"name": "gitlab"}, more=True)
            client.socket.settimeout(milliseconds / 1000 or 0.001)
            try:
                while client.receive_message().get("continues"):
                    pass
            except (TimeoutError, CallError, Closed):
                pass
            self.it.crash("vault")
            client.close()
            self.it.wait_ready()
            wait_until(lambda: self.secret()["rotation"] in (None, "needs_human"), "the rotation is not ended")
            self.assertLessEqual(self.asked(), asked + 1)
            asked = self.asked()
            if self.secret()["rotation"]:
                value, _ = self.github.add_issued("gitlab")
                self.add(value, replace=True)
            self.assertIn(self.secret()["generation"], (generation, generation + 1))
            self.works()
        self.it.audit()


@unittest.skipUnless(os.geteuid() == 0, "needs root, to give the state a small file system of its own")
class FullDisk(Rotating):
    """The state cannot be written when the value comes; the keyring, which is elsewhere, takes it."""

    def begin(self):
        broker = self.broker(start=False)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", broker.path("state")], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", broker.path("state")], check=True)
        return broker.start()

    def fill(self):
        with open(self.it.path("state", "filler"), "wb", buffering=0) as file:
            with self.assertRaises(OSError):
                while True:
                    file.write(b"x" * 4096)
        wait_until(self.is_full, "it goes on issuing")

    def is_full(self):
        try:
            self.it.open(self.profile)
        except CallError as error:
            return error.name == "AuditUnavailable"
        return False

    def test_value_is_kept_by_the_keyring(self):
        for crash in False, True:
            generation, asked = self.secret()["generation"], self.asked()
            fault = self.github.fault("gitlab.rotate", "delay")
            client = self.start()
            self.github.wait("gitlab.rotate", asked + 1)
            self.fill()
            self.github.release(fault)
            self.assertEqual(client.receive()["step"], "planned")
            self.assertIn("in the store", client.receive()["message"])
            self.assertEqual(self.secret()["rotation"], "planned")
            if crash:
                self.it.signal_role("vault")
            os.unlink(self.it.path("state", "filler"))
            self.it.wait_ready()
            self.settled(generation + 1)
            self.assertEqual(self.asked(), asked + 1)


class Aborting(Rotating):
    store = "sealed-file"

    def test_abort_of_a_replace_is_refused_once_the_old_is_dead(self):
        away = self.github.fault("gitlab.self", "delay", skip=3)
        client = self.start()
        self.wait_step("stored")
        self.assertIn("can only go", self.fails("Busy", self.rotate, abort=True).message)
        self.github.release(away)
        self.assertEqual(self.over(client)["parameters"]["step"], "done")
        self.settled(2)

    def test_abort_before_the_upstream_is_asked(self):
        away = self.github.fault("gitlab.self", "delay")
        client = self.start()
        self.github.wait("gitlab.self", 2)  # the first one was when it was added
        # There was one, so that whoever aborts it must not be told that there was none.
        self.assertEqual(self.rotate(abort=True)[-1]["step"], "aborted")
        self.github.release(away)
        over = self.over(client)["parameters"]
        self.assertIn("aborted", over["message"])
        self.assertIn("mcpcred rotate gitlab", over["remedy"])
        self.assertEqual(self.asked(), 0)
        self.settled(1)

    def test_abort_while_the_upstream_is_asked(self):
        """Its answer is waited for, since it decides: here nothing was made."""
        away = self.github.fault("gitlab.self", "delay", skip=1)
        client = self.start()
        self.wait_step("planned")
        with self.it.client() as aborting:
            aborting.send("Rotate", {"name": "gitlab", "abort": True}, more=True)
            self.fails("Busy", self.rotate, abort=True)
            self.github.fault("gitlab.rotate", "status", status=403, body={"message": "no"})
            self.github.release(away)
            self.assertEqual(self.over(aborting)["parameters"]["step"], "aborted")
        self.assertIn("error", self.over(client))
        self.settled(1)

    def test_lock_waits_for_what_only_the_vault_has(self):
        fault = self.github.fault("gitlab.rotate", "delay")
        client = self.start()
        self.github.wait("gitlab.rotate")
        self.assertIn("not stored", self.fails("Busy", self.it.call, "Lock").message)
        self.github.release(fault)
        self.assertEqual(self.over(client)["parameters"]["step"], "done")
        self.it.call("Lock")

    def test_locked_in_the_middle_goes_on_when_it_is_open(self):
        away = self.github.fault("gitlab.self", "delay", skip=3)
        client = self.start()
        self.wait_step("stored")
        self.it.call("Lock")
        self.github.release(away)
        self.it.unlock()
        self.settled(2)
        self.over(client)


class Creating(Rotating):
    """Cloudflare: both live, and the old one is ended afterwards."""

    vendor = "cloudflare"
    config = CLOUDFLARE + BY_PROXY
    making = "cloudflare.create"

    def add(self, value, **more):
        return super().add(value, hosts=[f"localhost:{self.github.port}"], **more)

    def raw(self):
        """A session that is handed the value itself."""
        return self.it.open("cf", command=["/x"])

    def works(self):
        session = self.raw()
        value = session.environment["CLOUDFLARE_API_TOKEN"]
        alive = [item["sha256"] for item in self.github.credentials("cloudflare", "alive")]
        self.assertIn(sha256(value), alive)
        self.it.revoke(session=session.id)
        return value

    def ask(self, session):
        connection = test_proxy._ProxyConnection(session, self.github.port)
        handle = session.environment["CLOUDFLARE_API_TOKEN"]
        try:
            connection.request("GET", "/cloudflare/client/v4/zones", headers={"Authorization": f"Bearer {handle}"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def wait_alive(self, count=1):
        wait_until(lambda: len(self.alive()) == count, f"not {count}: {self.alive()}")

    def dying(self):
        """The old values that wait for their end."""
        return [row for row in self.it.leases(state="revoking") if not row["profile"]]


class Created(Creating):
    def test_rotates_by_itself(self):
        replies = self.rotate()
        self.assertEqual([reply["step"] for reply in replies], STEPS)
        self.assertFalse(replies[-1]["pending"])
        self.assertIn("dead", replies[-1]["message"])
        self.assertNotIn(self.first_id, self.alive())
        self.wait_alive()
        self.settled(2)
        self.assertEqual(self.reasons(), STEPS)

    def test_old_value_given_as_the_new_one_stays_alive(self):
        self.github.fault("cloudflare.create", "status", status=200, body={
            "success": True, "errors": [], "messages": [],
            "result": {"id": "0" * 32, "name": "x", "status": "active", "value": self.first}})
        self.fails("UpstreamUnknown", self.rotate)
        self.assertEqual(self.rotate(abort=True)[-1]["step"], "none")
        self.settled(1)
        self.assertEqual(self.alive(), [self.first_id])

    def test_new_value_whose_rights_are_hidden_is_not_used(self):
        value, number = self.github.add_issued("cloudflare", groups=[], zone_groups=["DNS Write"])
        self.github.fault("cloudflare.create", "status", status=200, body={
            "success": True, "errors": [], "messages": [],
            "result": {"id": number, "name": "x", "status": "active", "value": value}})
        self.assertIn("does not say", self.fails("PolicyDenied", self.rotate).message)
        self.assertEqual(sha256(self.works()), sha256(self.first))
        self.assertEqual(self.secret()["generation"], 1)

    def test_handles_survive_ten_rotations(self):
        session = self.it.open("cf-proxy")
        self.assertEqual(self.ask(session), 200)
        for number in range(10):
            self.assertEqual(self.rotate()[-1]["step"], "done")
            self.assertEqual(self.secret()["generation"], number + 2)
            [alive] = self.github.credentials("cloudflare", "alive")

            def uses_the_new():
                return self.ask(session) == 200 and (
                    self.github.requests("cloudflare.zones")[-1]["credential_sha256"] == alive["sha256"]
                )

            wait_until(uses_the_new, "the handle does not stand for the new value")

    def test_old_one_stays_for_who_was_handed_it(self):
        session = self.raw()
        old = session.environment["CLOUDFLARE_API_TOKEN"]
        replies = self.rotate(grace=3600)
        self.assertTrue(replies[-1]["pending"])
        self.assertIn("3600 s", replies[-2]["message"])
        self.assertEqual(self.use(old, "/cloudflare/client/v4/user/tokens/verify"), 200)
        [dying] = self.dying()
        self.assertEqual(dying["attempts"], 0)
        self.assertNotEqual(self.works(), old)

    def test_leak_of_a_former_value_ends_its_grace_and_who_has_it_and_nobody_else(self):
        held, other = self.raw(), self.it.open("cf-proxy")
        old = held.environment["CLOUDFLARE_API_TOKEN"]
        self.rotate(grace=3600)
        new = self.raw()
        [match] = self.leak(old)
        self.assertEqual(match["actions"][:2], ["revoke: done (the former value's grace is over)", "end-session: done (1 session)"])
        self.it.wait_ended(held)
        self.wait_alive()
        self.assertNotIn(self.first_id, self.alive())
        for session in new, other:
            self.assertEqual(self.it.sessions()[session.id]["state"], "live")
        self.assertEqual(self.ask(other), 200)
        self.settled(2)
        # And when nobody has it any more.
        wait_until(lambda: not self.dying(), "it is not confirmed")
        self.it.revoke(session=new.id)
        self.rotate(now=True)
        [match] = self.leak(new.environment["CLOUDFLARE_API_TOKEN"])
        self.assertIn("not in use any more", match["actions"][0])

    def test_leak_of_a_former_value_spares_who_has_another_one(self):
        first = self.raw()
        self.rotate(grace=3600)
        second = self.raw()
        self.rotate(grace=3600)
        [match] = self.leak(second.environment["CLOUDFLARE_API_TOKEN"])
        self.assertEqual(match["actions"][1], "end-session: done (1 session)")
        self.it.wait_ended(second)
        self.assertEqual(self.it.sessions()[first.id]["state"], "live")

    def leak(self, value):
        with self.it.client() as client:
            replies = client.stream("ReportLeak", {"hashes": [sha256(value)], "source": "test"})
        return [match for reply in replies for match in reply["matches"]]

    def test_default_grace_is_for_who_was_handed_it(self):
        self.raw()
        self.assertTrue(self.rotate()[-1]["pending"])
        self.assertEqual(len(self.dying()), 1)

    def test_now_ends_who_was_handed_it(self):
        held, other = self.raw(), self.it.open("cf-proxy")
        replies = self.rotate(now=True)
        self.assertIn("1 session", replies[-2]["message"])
        self.it.wait_ended(held)
        self.assertEqual(self.it.sessions()[other.id]["state"], "live")
        self.wait_alive()
        self.assertEqual(self.ask(other), 200)

    def test_old_one_dies_when_the_upstream_is_back(self):
        away = self.github.fault("cloudflare.delete", "status", status=503, count=0)
        replies = self.rotate()
        self.assertTrue(replies[-1]["pending"])
        self.assertEqual(len(self.alive()), 2)
        self.it.crash("vault")
        self.it.wait_ready()
        self.settled(2)
        self.github.release(away)
        self.wait_alive()
        wait_until(lambda: not self.dying(), "it is not confirmed")

    def test_abort_before_switch_keeps_the_old(self):
        """Made upstream, not in use: it is ended there."""
        away = self.github.fault("cloudflare.verify", "delay", skip=2)
        client = self.start()
        self.wait_step("stored")
        self.assertEqual(len(self.alive()), 2)
        self.assertEqual(self.rotate(abort=True)[-1]["step"], "aborted")
        self.github.release(away)
        self.assertIn("aborted", self.over(client)["parameters"]["message"])
        self.wait_alive()
        self.assertEqual(self.alive(), [self.first_id])
        self.settled(1)

    def test_new_value_that_stays_refused_is_dropped(self):
        self.github.fault("cloudflare.verify", "unauthorized", skip=2, count=5)
        error = self.fails("UpstreamRootInvalid", self.rotate)
        self.assertTrue(error.message)
        self.wait_alive()
        self.assertEqual(self.alive(), [self.first_id])
        self.settled(1)

    def test_new_value_that_is_known_a_little_later_is_used(self):
        self.github.fault("cloudflare.verify", "unauthorized", skip=2)
        self.assertEqual(self.steps(), STEPS)
        self.settled(2)

    def test_remove_waits(self):
        away = self.github.fault("cloudflare.verify", "delay", skip=2)
        client = self.start()
        self.wait_step("stored")
        self.fails("Busy", self.it.call, "RemoveSecret", {"name": "cloudflare"})
        self.github.release(away)
        self.over(client)
        self.it.call("RemoveSecret", {"name": "cloudflare"})


class CreatedLost(Creating):
    def test_lost_reply_is_found_by_its_label(self):
        self.github.fault("cloudflare.create", "drop", when="after")
        self.assertIn("ended", self.fails("UpstreamUnknown", self.rotate).message)
        self.assertEqual(self.alive(), [self.first_id])
        self.settled(1)
        self.assertEqual(self.steps(), STEPS)

    def test_crash_while_the_upstream_is_asked(self):
        fault = self.github.fault("cloudflare.create", "delay", when="after")
        self.start()
        self.github.wait("cloudflare.create")
        self.it.crash("vault")
        self.github.release(fault)
        self.it.wait_ready()
        self.settled(1)
        self.wait_alive()
        self.assertEqual(self.alive(), [self.first_id])

    def test_upstream_is_away_while_it_is_looked_for(self):
        self.github.fault("cloudflare.create", "drop", when="after")
        away = self.github.fault("cloudflare.list", "status", status=503, count=0)
        client = self.start()
        self.github.wait("cloudflare.list", 2)
        self.assertEqual(self.secret()["rotation"], "planned")
        self.assertTrue(self.secret()["problem"])
        self.github.release(away)
        self.assertIn("error", self.over(client))
        self.settled(1)
        self.assertEqual(self.alive(), [self.first_id])

    def test_crash_after_created_loses_no_value(self):
        fault = self.github.fault("cloudflare.create", "delay")
        self.start()
        self.github.wait("cloudflare.create")
        keyring = self.it.signal_role("keyring", signal.SIGSTOP)
        self.github.release(fault)
        self.wait_step("created")
        self.it.crash("vault", wait=False)
        os.kill(keyring, signal.SIGCONT)
        self.it.wait_ready()
        self.settled(2)
        self.wait_alive()

    def test_any_instant(self):
        for milliseconds in (0, 10, 25, 50, 75, 100, 150, 200):
            client = self.it.client()
            client.send("Rotate", {"name": "cloudflare"}, more=True)
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
            self.works()
            self.wait_alive()
        self.it.audit()


class Guided(Rotating):
    """A person makes the value, though the provider could."""

    config = GITLAB

    def test_wider_rights_are_refused(self):
        narrow, token = self.github.add_issued("gitlab", scopes=["api"])
        [told] = [reply["message"] for reply in self.rotate(narrow) if reply["step"] == "verified"]
        self.assertRegex(told, fr"GitLab token .*\({token}\).*no more than the old one")  # whose it is
        wide, _ = self.github.add_issued("gitlab", scopes=["api", "create_runner"])
        error = self.fails("PolicyDenied", self.rotate, wide)
        self.assertIn("create_runner", error.message)
        self.assertIn("--allow-wider", error.parameters["remedy"])
        self.settled(2)
        self.rotate(wide, allow_wider=True)
        self.settled(3)

    def test_another_issuers_token_is_not_sent_to_this_one(self):
        other, _ = self.github.add_issued("cloudflare")
        before = len(self.github.requests("gitlab.self"))
        self.assertIn("another issuer", self.fails("InvalidParameter", self.rotate, other).message)
        self.assertEqual(len(self.github.requests("gitlab.self")), before)
        self.settled(1)

    def test_what_is_pasted_gets_out_of_needs_human(self):
        self.github.fault("gitlab.rotate", "drop", when="after")
        self.fails("NeedsHuman", self.rotate)
        bad = self.first[:-1] + ("0" if self.first[-1] != "0" else "1")
        self.fails("InvalidParameter", self.rotate, bad)
        self.assertEqual(self.secret()["rotation"], "needs_human")
        dead, number = self.github.add_issued("gitlab")
        self.github.admin("kill_issued", vendor="gitlab", id=number)
        self.fails("UpstreamRootInvalid", self.rotate, dead)
        self.assertEqual(self.secret()["rotation"], "needs_human")
        self.assertTrue(self.secret()["problem"])
        good, _ = self.github.add_issued("gitlab")
        self.assertEqual(self.rotate(good)[-1]["step"], "done")
        self.settled(2)

    def test_value_that_is_about_to_be_revoked_is_not_stored_again(self):
        """Its revocation, which nothing takes back, would be that of the value in use."""
        value, number = self.github.add_issued("gitlab")
        self.rotate(value, grace=600)
        for again in self.rotate, lambda value: self.add(value, replace=True):
            self.assertIn("revoke", self.fails("InvalidParameter", again, self.first).message)
        self.settled(2)
        self.assertEqual(sorted(self.alive()), sorted([self.first_id, number]))

    def test_old_value_is_revoked_by_the_provider(self):
        value, number = self.github.add_issued("gitlab")
        replies = self.rotate(value)
        self.assertFalse(replies[-1]["pending"])
        self.assertEqual(self.alive(), [number])


if __name__ == "__main__":
    main()
