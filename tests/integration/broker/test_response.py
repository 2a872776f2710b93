#!/usr/bin/python3
"""What is done about a leak, and what the evidence does not bear: a session can hurt itself, and nobody's secret."""

import base64
import http.client
import json
import os
import random
import string
import subprocess
import zlib

import test_proxy
from harness import BUILD, Case, main, sha256_hex, wait_until
from varlink import SESSION, CallError, Client, sealed_value

MCPCRED = os.path.join(BUILD, "client-lib", "cli", "mcpcred")
KEY, NEW_KEY = "static-" + "key-one-" * 3, "static-" + "key-two-" * 3
ALL = "revoke, end-session, revoke-upstream, rotate, notify"

CONFIG = """
[secret api]
on_leak = {on_secret}
revoke_upstream = yes

[profile api]
secret = api
ttl = 1h
deliver = proxy
env = API_KEY
allow = GET,POST localhost:{port} /static/**
allow = GET other.example /**
addresses = 127.0.0.0/8, ::1/128
slot = bearer
on_leak = {on_profile}
canary = AWS_SECRET_ACCESS_KEY

[profile gh]
secret = github
repositories = octo/hello
permissions = contents:read, issues:read
ttl = 1h
deliver = env
env = GITHUB_TOKEN
canary = SPARE_TOKEN
on_leak = {on_profile}
"""

OTHER = """
[profile other]
secret = api
ttl = 1h
deliver = proxy
env = OTHER_KEY
allow = GET localhost:{port} /other/**
addresses = 127.0.0.0/8, ::1/128
slot = bearer
on_leak = {on_profile}
"""

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def handle_like():
    """What has the form of a handle, with a checksum that fits, and was never issued."""
    payload = "".join(random.choice(DIGITS) for _ in range(32))
    check, digits = zlib.crc32(payload.encode()), ""
    for _ in range(6):
        check, digit = divmod(check, 62)
        digits = DIGITS[digit] + digits
    return test_proxy.PREFIX + payload + digits


class Response(test_proxy.Proxy):
    on_profile, on_secret = ALL, ALL

    def setUp(self):
        super().setUp()
        self.it = self.broker(start=False, config="")
        self.told = self.it.path("told")
        os.mkdir(self.told)
        script = self.it.path("notify.sh")
        with open(script, "w", encoding="ascii") as file:
            # One file a run; it does not end as long as there is a "hold".
            file.write(f"cat > {self.told}/.$$ && mv {self.told}/.$$ {self.told}/$$.json\n"
                       f"while [ -e {self.told}/hold ]; do sleep 0.02; done\n")
        self.it.broker_keys = f"notify = /bin/sh {script}\n"
        self.it.write_config(CONFIG.format(port=self.github.port, on_profile=self.on_profile, on_secret=self.on_secret))
        self.it.start()
        self.it.add_github(self.github)
        self.it.add("api", "static", KEY.encode(), hosts=[f"localhost:{self.github.port}"])
        self.github.add_static_key("one", KEY)

    # -- asking

    def send(self, session, token=None, path="/static/whoami", method="GET", headers=None, body=None):
        """(status, reason header, body), or Nones if the session is gone."""
        try:
            connection = test_proxy._ProxyConnection(session, self.github.port)
        except OSError:
            return None, None, None
        headers = {"User-Agent": "test", **(headers or {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path, headers=headers, body=body)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("x-mcpcred-reason"), answer.read()
        except (OSError, http.client.HTTPException):
            return None, None, None
        finally:
            connection.close()

    def handle(self, session):
        return session.environment["API_KEY"]

    def works(self, session):
        self.assertEqual(self.send(session, self.handle(session))[0], 200)

    def report(self, *values, dry_run=False):
        with self.it.client() as client:
            replies = client.stream("ReportLeak", {"hashes": [sha256_hex(value) for value in values], "source": "test",
                                                   "dry_run": dry_run})
        self.unknown, self.pending = replies[-1]["unknown"], any(reply["pending"] for reply in replies)
        return [match for reply in replies for match in reply["matches"]]

    # -- what came of it

    def incidents(self):
        return self.it.rows("ListIncidents", "incidents", all=True)

    def actions(self, incident):
        """{"revoke": "done"}, without the reasons."""
        return {line.split(":")[0]: line.split()[1] for line in incident["actions"]}

    def wait_incident(self, n=1):
        """The newest of n, once nothing of it is under way any more."""
        def look():
            found = self.incidents()
            busy = [line for row in found for line in row["actions"] if " todo" in line or " begun" in line]
            return found if len(found) == n and not busy else None

        return wait_until(look, f"not {n} incidents: {self.incidents()}")[-1]

    def ended(self, session):
        return self.it.sessions()[session.id]["state"] == "ended"

    def assert_ended(self, session, word):
        row = self.it.wait_ended(session)
        self.assertIn("leak: ", row["end_reason"])
        self.assertIn(word, row["end_reason"])

    def assert_secret_untouched(self):
        """Nothing has been done, or is to be done, about a secret."""
        for row in self.incidents():
            for action in ("rotate", "revoke-upstream"):
                self.assertEqual(self.actions(row).get(action, "skipped"), "skipped", row)
        for row in self.it.rows("ListSecrets", "secrets"):
            self.assertEqual((row["generation"], row.get("rotation")), (1, None))
        self.assertEqual([row for row in self.it.leases() if row["kind"] == "secret"], [])

    def notices(self, n):
        """The documents that the command has had, once there are n."""
        def look():
            found = [name for name in os.listdir(self.told) if name.endswith(".json")]
            return found if len(found) >= n else None

        names = wait_until(look, f"the command has not run {n} times") if n else look() or []
        documents = []
        for name in names:
            with open(os.path.join(self.told, name), encoding="utf-8") as file:
                documents.append(json.load(file))
        self.assertEqual(len(documents), n)
        return documents

    def written(self, operation, reason):
        """In the file, without anybody being asked: that would have it written."""
        with open(self.it.audit_path, encoding="utf-8") as file:
            events = [json.loads(line) for line in file.read().split("\n")[:-1]]
        return [event for event in events if (event["operation"], event.get("reason")) == (operation, reason)]

    def events(self, operation):
        return [event for event in self.it.audit() if event["operation"] == operation]


class Misuse(Response):
    def test_another_sessions_handle_ends_the_session_that_used_it_and_nobody_else(self):
        hostile, victim = self.it.open("api"), self.it.open("api")
        status, reason, _ = self.send(hostile, self.handle(victim))
        self.assertEqual((status, reason), (403, "foreign-handle"))
        self.assert_ended(hostile, "another session")
        row = self.wait_incident()
        self.assertEqual((row["signal"], row["session"], row["state"]), ("foreign_handle", hostile.id, "closed"))
        self.assertEqual(self.actions(row), {"revoke": "done", "end-session": "done", "revoke-upstream": "skipped",
                                             "rotate": "skipped", "notify": "done"})
        self.works(victim)
        self.assert_secret_untouched()
        self.assertEqual({lease["state"] for lease in self.it.leases(session=hostile.id)}, {"revoked"})

    def test_two_hostile_sessions_that_exchange_their_handles_hurt_themselves_alone(self):
        one, two, victim = self.it.open("api"), self.it.open("api"), self.it.open("api")
        first, second = self.handle(one), self.handle(two)
        self.send(one, second)
        self.send(two, first)
        self.it.wait_ended(one)
        self.wait_incident()
        # The first one's handle is dead by then: it can frame nobody.
        self.assertFalse(self.ended(two))
        three = self.it.open("api")
        self.send(two, self.handle(three))
        self.it.wait_ended(two)
        self.wait_incident(2)
        self.works(three)
        self.works(victim)
        self.assert_secret_untouched()

    def test_own_handle_where_none_may_stand_ends_the_session(self):
        for send in (lambda s, h: self.send(s, path="/static/whoami?key=" + h),
                     lambda s, h: self.send(s, method="POST", body="my key is " + h),
                     lambda s, h: self.send(s, headers={"x-any": h})):
            session = self.it.open("api")
            status, reason, _ = send(session, self.handle(session))
            self.assertEqual((status, reason), (403, "handle-place"))
            self.assert_ended(session, "where none may stand")
        self.assertEqual({row["signal"] for row in self.incidents()}, {"wrong_place"})
        self.assert_secret_untouched()

    def test_what_only_looks_like_a_handle_does_nothing(self):
        session = self.it.open("api")
        for _ in range(20):
            self.assertEqual(self.send(session, handle_like())[1], "foreign-handle")
        self.assertEqual(self.send(session, method="POST", body=handle_like())[1], "foreign-handle")
        wait_until(lambda: self.proxy_events(self.it), "no line in the log")
        self.assertIn("nobody's", self.proxy_events(self.it)[0]["detail"])
        self.works(session)
        self.assertEqual(self.incidents(), [])
        self.assertEqual(self.notices(0), [])

    def test_handle_of_a_session_that_is_over_does_nothing(self):
        former, session = self.it.open("api"), self.it.open("api")
        self.it.revoke(session=former.id)
        self.assertEqual(self.send(session, self.handle(former))[1], "foreign-handle")
        wait_until(lambda: self.proxy_events(self.it), "no line in the log")
        self.works(session)
        self.assertEqual(self.incidents(), [])

    def test_what_an_upstream_reflects_is_no_evidence(self):
        session = self.it.open("api")
        for _ in range(3):
            status, _, body = self.send(session, self.handle(session), path="/static/echo")
            self.assertEqual(status, 200)
            self.assertNotIn(KEY.encode(), body)
        wait_until(lambda: self.events("proxy.response"), "it is not in the log")
        self.works(session)
        self.assertEqual(self.incidents(), [])

    def test_misuse_again_in_a_session_that_goes_on_is_the_same_incident(self):
        self.it.write_config(CONFIG.format(port=self.github.port, on_profile="notify", on_secret=ALL))
        self.it.call("Reload")
        session, other = self.it.open("api"), self.it.open("api")
        for _ in range(4):
            self.assertEqual(self.send(session, self.handle(other))[1], "foreign-handle")
        wait_until(lambda: [row["count"] for row in self.incidents()] == [4], f"{self.incidents()}")
        self.assertEqual(self.actions(self.wait_incident()), {"notify": "done"})
        self.assertEqual(len(self.notices(1)), 1)
        self.works(session)

    def test_misuse_of_another_grant_is_not_taken_for_the_same(self):
        """Its profile can ask for more."""
        config = CONFIG.format(port=self.github.port, on_profile="notify", on_secret=ALL)
        self.it.write_config(config + OTHER.format(port=self.github.port, on_profile="end-session"))
        self.it.call("Reload")
        session = self.it.open("api", "other")
        self.send(session, path="/static/whoami?key=" + self.handle(session))
        self.wait_incident(1)
        self.assertFalse(self.ended(session))
        self.send(session, path="/static/whoami?key=" + session.environment["OTHER_KEY"])
        self.assert_ended(session, "where none may stand")
        self.wait_incident(2)


class Canary(Response):
    def canary(self, session, name="AWS_SECRET_ACCESS_KEY"):
        value = session.environment[name]
        self.assertTrue(value.startswith(test_proxy.PREFIX))
        return value

    def test_canary_in_its_sessions_own_proxy_ends_it(self):
        for send in (lambda s, c: self.send(s, c), lambda s, c: self.send(s, headers={"x-amz-security-token": c}),
                     lambda s, c: self.send(s, self.handle(s), method="POST", body="k=" + c)):
            session = self.it.open("api")
            self.works(session)
            self.assertEqual(send(session, self.canary(session))[:2], (403, "foreign-handle"))
            self.assert_ended(session, "canary")
        self.assertEqual({row["signal"] for row in self.incidents()}, {"canary"})
        self.assert_secret_untouched()

    def test_canary_in_another_session_ends_that_one(self):
        one, two = self.it.open("api"), self.it.open("api")
        self.send(two, self.canary(one))
        self.assert_ended(two, "canary")
        self.works(one)

    def test_canary_in_the_place_of_the_sessions_secret_ends_its_session(self):
        session = self.it.open("gh")
        with Client(session.path, interface=SESSION) as client:
            with self.assertRaises(CallError):
                client.call("GetToken", {"session": self.canary(session, "SPARE_TOKEN")})
        self.assert_ended(session, "canary")
        self.wait_dead(session.token)
        self.assert_secret_untouched()

    def test_canary_that_is_reported_ends_its_session(self):
        session, other = self.it.open("api"), self.it.open("api")
        [match] = self.report(self.canary(session))
        self.assertEqual((match["kind"], match["session"]), ("canary", session.id))
        self.assert_ended(session, "canary")
        self.works(other)
        self.assert_secret_untouched()

    def test_profile_plants_a_canary_and_leaves_the_rest_as_it_is(self):
        path = self.it.path("config", "mcpcred.conf")
        text = CONFIG.format(port=self.github.port, on_profile=ALL, on_secret=ALL).replace("canary = SPARE_TOKEN\n", "")
        self.it.write_config(text + "# the end, and no line break")
        with open(path, encoding="utf-8") as file:
            before = file.read()
        os.chmod(path, 0o640)
        self.it.call("Reload")
        self.assertEqual(self.run_command("profile", "gh", "--canary", "OLD_TOKEN")[0], 0)
        with open(path, encoding="utf-8") as file:
            after = file.read()
        self.assertEqual(after.replace("canary = OLD_TOKEN\n", ""), before)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o640)
        self.assertEqual(os.listdir(self.it.path("config")), ["mcpcred.conf"])
        self.assertIn("OLD_TOKEN", self.it.open("gh").environment)
        # A second one, and what the broker does not take: nothing changes.
        for arguments, word in ((("gh", "--canary", "SECOND"), "already"), (("api", "--canary", "API_KEY"), "already"),
                                (("none", "--canary", "X"), "no profile")):
            status, said = self.run_command("profile", *arguments)
            self.assertNotEqual(status, 0)
            self.assertIn(word, said)
        with open(path, "w", encoding="utf-8") as file:
            file.write(after.replace("canary = AWS_SECRET_ACCESS_KEY\n", ""))
        self.it.call("Reload")
        self.assertNotEqual(self.run_command("profile", "api", "--canary", "API_KEY")[0], 0)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), after.replace("canary = AWS_SECRET_ACCESS_KEY\n", ""))

    def run_command(self, *arguments):
        done = subprocess.run([MCPCRED, *arguments, "--runtime", self.it.path("runtime")], capture_output=True, text=True,
                              env={"PATH": "/usr/bin:/bin", "HOME": self.it.path("home")}, check=False)
        return done.returncode, done.stdout + done.stderr


class Notified(Response):
    """Sessions go on, so that one can misuse what it likes."""

    on_profile = on_secret = "notify"

    def misuse(self, n):
        victim = self.it.open("api")
        for _ in range(n):
            self.send(self.it.open("api"), self.handle(victim))
        wait_until(lambda: len(self.incidents()) == n, f"not {n} incidents")

    def test_misuse_does_not_use_up_what_a_real_leak_is_told_with(self):
        self.misuse(11)
        row = self.wait_incident(11)
        self.report(KEY)
        row = self.wait_incident(12)
        self.assertEqual((row["signal"], self.actions(row)), ("report", {"notify": "done"}))
        self.assertIn("often enough", str(self.incidents()[10]["actions"]) + str(self.incidents()[9]["actions"]))

    def test_commands_that_take_their_time_for_misuse_leave_room_for_a_real_leak(self):
        hold = os.path.join(self.told, "hold")
        open(hold, "w", encoding="ascii").close()
        self.misuse(5)
        self.assertEqual(sum("takes its time" in str(row["actions"]) for row in self.incidents()), 3)
        self.report(KEY)
        self.notices(3)
        os.unlink(hold)
        row = self.wait_incident(6)
        self.assertEqual((row["signal"], self.actions(row)), ("report", {"notify": "done"}))
        self.misuse_again()

    def misuse_again(self):
        """What has ended is not counted any more."""
        victim = self.it.open("api")
        self.send(self.it.open("api"), self.handle(victim))
        self.assertEqual(self.actions(self.wait_incident(7)), {"notify": "done"})


class Egress(Response):
    def test_real_value_out_of_a_sandbox_ends_it_and_asks_for_a_rotation_of_the_secret(self):
        session, other = self.it.open("api"), self.it.open("api")
        self.works(session)
        basic = base64.b64encode(f"x:{KEY}".encode()).decode()
        self.assertEqual(self.send(session, headers={"Authorization": "Basic " + basic})[:2], (403, "leaked"))
        self.assert_ended(session, "real credential")
        row = self.wait_incident()
        self.assertEqual((row["signal"], row["secret"], row["generation"], row["state"]), ("egress", "api", 1, "needs_person"))
        self.assertEqual(self.actions(row), {"revoke": "done", "end-session": "done", "revoke-upstream": "skipped",
                                             "rotate": "needs-person", "notify": "done"})
        self.works(other)
        self.assertNotIn(KEY[:12], str(self.it.audit()) + "\n".join(self.it.log.lines) + str(self.notices(1)))


class Guessed(Response):
    def test_a_dictionary_with_a_short_secret_in_it_hurts_the_session_alone(self):
        short = "hunter22" * 2
        for secret, bears in ((short[:15], False), (short, True)):
            self.it.add("api", "static", secret.encode(), hosts=[f"localhost:{self.github.port}"], replace=True)
            self.github.add_static_key(secret, secret)
            session, other = self.it.open("api"), self.it.open("api")
            words = "\n".join("password" + str(number) for number in range(1000))
            answer = self.send(session, self.handle(session), method="POST", body=f"{words}\n{secret}\n{words}".encode())
            self.assertEqual(answer[:2], (403, "leaked"))
            self.assert_ended(session, "real credential")
            row = self.wait_incident(2 if bears else 1)
            self.assertEqual((row["signal"], row["secret"]), ("egress", "api"))
            self.assertEqual(self.actions(row)["rotate"], "needs-person" if bears else "skipped")
            self.works(other)
        self.assertEqual([event["reason"] for event in self.events("proxy.request")], ["guessed", "leaked"])


class Reported(Response):
    def setUp(self):
        super().setUp()
        # What it was added with is known at once; this is for the notes of an earlier version.
        self.assertEqual(self.report("nothing of ours"), [])

    def test_stored_value_cuts_all_that_is_in_use_and_waits_for_a_person(self):
        one, two, other = self.it.open("api"), self.it.open("api"), self.it.open("gh")
        self.works(one)
        [match] = self.report(KEY)
        self.assertEqual((match["kind"], match["secret"], match["state"]), ("secret", "api", "current"))
        self.assertEqual([line.split()[1] for line in match["actions"]][:2], ["done", "done"])
        for session in one, two:
            self.assertTrue(self.ended(session))
        self.assert_alive(other.token)
        row = self.wait_incident()
        self.assertEqual((row["state"], self.actions(row)["rotate"]), ("needs_person", "needs-person"))
        self.assertEqual(self.it.status()["incidents"], 1)
        checks = {check["id"]: check for check in self.it.rows("Doctor", "checks")}
        self.assertEqual(checks["leak." + row["incident"]]["status"], "fail")
        self.assertIn("mcpcred rotate api", checks["leak." + row["incident"]]["remedy"])
        # Again: nothing is done once more, and a session that was opened since goes on.
        late = self.it.open("api")
        [again] = self.report(KEY)
        self.assertEqual(again["incident"], match["incident"])
        self.works(late)
        self.assertEqual(len(self.notices(1)), 1)
        # It closes by itself when the value is another one.
        self.github.add_static_key("two", NEW_KEY)
        self.it.rotate(NEW_KEY.encode(), name="api")
        [row] = self.incidents()
        self.assertEqual((row["state"], self.actions(row)["rotate"], row["count"]), ("closed", "done", 2))

    def test_former_value_is_named_and_hurts_nobody(self):
        session = self.it.open("api")
        self.github.add_static_key("two", NEW_KEY)
        self.it.rotate(NEW_KEY.encode(), name="api")
        [match] = self.report(KEY)
        self.assertEqual((match["secret"], match["state"]), ("api", "old"))
        row = self.wait_incident()
        self.assertEqual(row["state"], "closed")
        self.assertEqual({action: state for action, state in self.actions(row).items() if state != "skipped"},
                         {"notify": "done"})
        self.works(session)

    def test_value_of_a_removed_secret_is_still_named(self):
        self.it.call("RemoveSecret", {"name": "api"})
        [match] = self.report(KEY)
        self.assertEqual((match["secret"], match["state"]), ("api", "old"))

    def test_issued_token_ends_its_lease_and_its_session_and_asks_for_a_rotation_where_the_profile_does(self):
        session, other = self.it.open("gh"), self.it.open("gh")
        [match] = self.report(session.token)
        self.assertEqual((match["kind"], match["session"]), ("credential", session.id))
        self.assert_ended(session, "reported")
        self.wait_dead(session.token)
        self.assert_alive(other.token)
        self.assertEqual(self.actions(self.wait_incident()), {"revoke": "done", "end-session": "done", "revoke-upstream": "skipped",
                                                              "rotate": "needs-person", "notify": "done"})

    def test_dry_run_says_and_does_nothing(self):
        session = self.it.open("gh")
        [match] = self.report(session.token, dry_run=True)
        self.assertNotIn("incident", {key for key, value in match.items() if value})
        self.assertIn("revoke: todo", match["actions"])
        self.assert_alive(session.token)
        self.assertEqual(self.incidents(), [])

    def test_a_report_of_512_values_is_one_look_up_each(self):
        session = self.it.open("gh")
        values = [f"nothing-{number}" for number in range(511)] + [session.token]
        random.shuffle(values)
        self.assertEqual(len(self.report(*values)), 1)
        self.assertEqual(self.unknown, 511)
        self.fails("InvalidParameter", self.it.call, "ReportLeak", {"hashes": ["12"]})

    def test_command_hears_of_it_without_a_value(self):
        session = self.it.open("gh")
        self.report(session.token)
        self.wait_incident()
        [document] = self.notices(1)
        self.assertEqual((document["schema_version"], document["signal"], document["evidence"]), (1, "report", "test"))
        self.assertEqual((document["session"], document["profile"], document["secret"]), (session.id, "gh", "github"))
        states = {item["action"]: item["state"] for item in document["actions"]}
        self.assertEqual((states["revoke"], states["end-session"]), ("done", "done"))
        for text in (session.token, sha256_hex(session.token)):
            self.assertNotIn(text, json.dumps(document))

    def test_only_what_ends_it_is_waited_for_and_not_who_hears_of_it(self):
        """Else the status of `leak report` would depend on how fast a command is."""
        open(os.path.join(self.told, "hold"), "w", encoding="ascii").close()
        [match] = self.report(self.it.open("gh").token)
        self.assertTrue({"notify: begun", "notify: todo"} & set(match["actions"]), match)
        self.assertFalse(self.pending)
        os.unlink(os.path.join(self.told, "hold"))
        self.wait_incident()

    def test_a_person_closes_what_is_open(self):
        self.report(KEY)
        row = self.wait_incident()
        self.it.call("CloseIncident", {"incident": row["incident"]})
        self.assertEqual(self.it.rows("ListIncidents", "incidents"), [])
        self.assertIn("a person", "".join(self.incidents()[0]["actions"]))
        self.fails("NotFound", self.it.call, "CloseIncident", {"incident": "i-none"})

    def test_an_incident_that_closes_by_itself_is_in_the_log_without_another_line(self):
        self.report(KEY)
        self.wait_incident()
        self.github.add_static_key("two", NEW_KEY)
        self.it.rotate(NEW_KEY.encode(), name="api")
        wait_until(lambda: self.written("secret.rotate", "done"), "the rotation is not in the file")
        self.assertEqual(self.incidents()[0]["state"], "closed")
        wait_until(lambda: self.written("leak.rotate", "done"), "what was found is not in the file")


class Crashed(Response):
    def test_what_a_crash_left_is_gone_on_with(self):
        """The command is running when the vault dies: what was done is not done again, and the rest is."""
        open(os.path.join(self.told, "hold"), "w", encoding="ascii").close()
        session = self.it.open("gh")
        self.report(session.token)
        self.notices(1)
        self.it.crash("vault")
        other = self.it.open("gh")
        os.unlink(os.path.join(self.told, "hold"))
        row = self.wait_incident()
        self.assertEqual(self.actions(row)["notify"], "done")
        self.assertEqual(len(self.events("leak.end-session")), 1)
        self.assert_alive(other.token)
        first, second = self.notices(2)
        self.assertEqual(first["incident"], second["incident"])


class Rotated(Response):
    """A provider that makes the new value by itself."""

    def setUp(self):
        super().setUp()
        self.value, _ = self.github.add_issued("gitlab")
        text = CONFIG.format(port=self.github.port, on_profile=ALL, on_secret=ALL)
        self.it.write_config(text + "\n[secret gitlab]\non_leak = rotate, notify\n\n[profile gl]\nsecret = gitlab\n"
                             "repositories = octo/hello\npermissions = api:read\nttl = 1h\ndeliver = env\nenv = GITLAB_TOKEN\n")
        self.it.call("Reload")
        self.it.add("gitlab", "gitlab", self.value.encode(), base_url=self.github.gitlab_url, verify=True)

    def generation(self):
        return {row["name"]: row for row in self.it.rows("ListSecrets", "secrets")}["gitlab"]["generation"]

    def test_leaked_value_is_rotated_and_the_next_leak_in_ten_minutes_is_a_persons(self):
        session = self.it.open("gl")
        [match] = self.report(self.value)
        self.assertEqual((match["kind"], match["state"]), ("secret", "current"))
        wait_until(lambda: self.generation() == 2, "it is not rotated")
        wait_until(lambda: self.incidents()[0]["state"] == "closed", f"{self.incidents()}")
        self.assertEqual(self.actions(self.incidents()[0]), {"rotate": "done", "notify": "done"})
        self.assertFalse(self.ended(session))  # on_leak does not ask for that
        # Another value leaks as well: rotating does not mend that.
        value, _ = self.github.add_issued("gitlab")
        self.it.add("gitlab", "gitlab", value.encode(), base_url=self.github.gitlab_url, replace=True)
        [again] = self.report(value)
        self.assertEqual(again["state"], "current")
        row = self.wait_incident(2)
        self.assertEqual((row["state"], self.generation()), ("needs_person", 3))
        self.assertTrue(any("a moment ago" in line for line in row["actions"]), row)


    def test_what_was_given_up_is_not_reported_as_going_on(self):
        away = self.github.fault("gitlab.self", "status", status=403, count=0)
        [match] = self.report(self.value)
        self.assertTrue(self.pending, match)
        wait_until(lambda: self.written("secret.rotate", "UpstreamDenied"), "the rotation is not given up")
        [again] = self.report(self.value)
        self.assertEqual((again["incident"], self.actions(again)["rotate"]), (match["incident"], "needs-person"))
        self.assertFalse(self.pending, again)
        self.github.release(away)


class Exec(Response):
    def test_exec_says_why_its_session_was_ended(self):
        script = ("import os, sys, socket, time\n"
                  "s = socket.create_connection(('127.0.0.1', int(os.environ['HTTPS_PROXY'].rsplit(':', 1)[1])))\n"
                  "import base64\n"
                  "auth = base64.b64encode(('x:' + os.environ['AWS_SECRET_ACCESS_KEY']).encode()).decode()\n"
                  "s.sendall(f'CONNECT localhost:1 HTTP/1.1\\r\\nHost: localhost:1\\r\\nProxy-Authorization: Basic {auth}\\r\\n\\r\\n'.encode())\n"
                  "sys.stdout.write(s.recv(4096).decode())\n"
                  "while s.recv(4096): pass\n")
        done = subprocess.run([MCPCRED, "exec", "api", "--runtime", self.it.path("runtime"), "--", "python3", "-c", script],
                              capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "HOME": self.it.path("home")},
                              check=False)
        self.assertIn("foreign-handle", done.stdout, done.stderr)
        self.assertIn("the broker has ended this session: a canary was used", done.stderr)
        self.assertIn("mcpcred leak list", done.stderr)


if __name__ == "__main__":
    main()
