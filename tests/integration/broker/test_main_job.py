#!/usr/bin/python3
"""The main job: a secret is added, sessions get narrow tokens, and revocation ends them upstream."""

import os
import stat
import time

from harness import PROFILES, Case, main, sha256_hex, wait_until
from varlink import SESSION, Client

STATIC = "mcpcred-test-static-key-" + "0123456789"
MORE = """
[profile key]
secret = api
deliver = env
env = API_KEY
expose_secret = yes
command = /usr/bin/fetch --fast

[profile key-unexposed]
secret = api
deliver = env
env = API_KEY2
command = /usr/bin/fetch

[profile key-unpinned]
secret = api
deliver = env
env = API_KEY3
expose_secret = yes

[profile pinned]
secret = github
repositories = octo/hello
permissions = contents:read
deliver = env
env = GITHUB_TOKEN
command = /usr/bin/server --stdio

[profile other-caller]
secret = github
repositories = octo/hello
permissions = contents:read
deliver = socket
caller_uid = 4242

[profile this-caller]
secret = github
repositories = octo/hello
permissions = contents:read
deliver = socket
caller_uid = %d

[profile unscoped]
secret = github
deliver = socket

[profile brief]
secret = github
repositories = octo/hello
permissions = contents:read
ttl = 60s
deliver = env
env = GITHUB_TOKEN

[profile absent]
secret = nothing
repositories = octo/hello
permissions = contents:read
deliver = socket
"""


class MainJob(Case):
    config = PROFILES + MORE % os.getuid()

    def test_add(self):
        broker = self.broker()
        reply = broker.add_github(self.github)
        self.assertEqual(reply["generation"], 1)
        self.assertIn("standin-app", reply["identity"])
        [row] = broker.rows("ListSecrets", "secrets")
        self.assertEqual((row["name"], row["provider"], row["generation"]), ("github", "github_app", 1))
        self.assertEqual(row["parameters"]["installation_id"], "42")
        self.assertEqual(row["base_url"], self.github.enterprise_url)
        self.fails("Exists", broker.add_github, self.github)
        self.assertEqual(broker.add_github(self.github, replace=True)["generation"], 2)
        broker.audit()

    def test_add_wrong(self):
        broker = self.broker()
        good = {"app_id": "1", "installation_id": "2"}
        add = broker.add
        self.fails("InvalidParameter", add, "x", "github_app", b"no key", parameters=good)
        self.fails("InvalidParameter", add, "x", "github_app", b"no key", parameters={"app_id": "1"})
        self.fails("InvalidParameter", add, "x", "nobody", b"value")
        self.fails("InvalidParameter", add, "Not A Name", "static", b"value", hosts=["h.example"])
        self.fails("InvalidParameter", add, "x", "static", b"value")
        self.fails("InvalidParameter", add, "x", "static", b"", hosts=["h.example"])
        self.fails("InvalidParameter", add, "x", "static", b"two\nlines", hosts=["h.example"])
        self.fails("InvalidParameter", add, "x", "static", b"v" * 20000, hosts=["h.example"])
        self.fails("InvalidParameter", broker.call, "AddSecret", {"name": "x", "provider": "static"})
        self.fails("UpstreamNoTarget", self._add_installation, broker, "999")
        self.assertEqual(broker.rows("ListSecrets", "secrets"), [])

    def _add_installation(self, broker, number):
        parameters = {"app_id": str(self.github.app_id), "installation_id": number}
        broker.add_github(self.github, parameters=parameters)

    def test_env(self):
        broker = self.ready()
        session = broker.open("gh", label="a label")
        self.assert_alive(session.token)
        self.assertEqual(session.grants["gh"]["deliver"], "env")
        [token] = self.github.tokens()
        expected = {"contents": "read", "issues": "read", "metadata": "read"}
        self.assertEqual(token["permissions"], expected)
        self.assertEqual(self.use(session.token, "/api/v3/repos/octo/world"), 404)
        body = {"title": "No"}
        self.assertEqual(self.use(session.token, "/api/v3/repos/octo/hello/issues", "POST", body), 403)
        self.assertEqual(broker.get_token(session), session.token)
        row = broker.sessions()[session.id]
        self.assertEqual((row["label"], row["profiles"], row["state"]), ("a label", ["gh"], "live"))
        [lease] = broker.leases()
        self.assertEqual((lease["state"], lease["session"]), ("live", session.id))
        status = broker.status()
        self.assertEqual((status["sessions"], status["leases"], status["secrets"]), (1, 1, 1))

    def test_file(self):
        broker = self.ready()
        session = broker.open("gh-file")
        path = session.grants["gh-file"]["path"]
        self.assertTrue(path.startswith(session.reply["directory"]))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode) & 0o077, 0)
        with open(path, encoding="ascii") as file:
            token = file.read()
        self.assert_alive(token)
        broker.call("CloseSession", {"session": session.id})
        self.assert_dead(token)
        self.assertFalse(os.path.exists(path))
        self.assertFalse(os.path.exists(session.reply["directory"]))

    def test_socket(self):
        broker = self.ready()
        session = broker.open("gh-socket", want_descriptor=True)
        self.assertEqual(self.github.tokens(), [])
        with Client(fd=session.descriptor, interface=SESSION) as inside, session.connect() as named:
            first = inside.call("GetToken")
            self.assert_alive(first["token"])
            second = named.call("GetToken", {"session": session.secret, "profile": "gh-socket"})
            self.assertEqual(second["token"], first["token"])
            self.fails("PolicyDenied", inside.call, "GetToken", {"profile": "gh"})
        self.assertEqual(len(self.github.tokens()), 1)

    def test_static(self):
        broker = self.broker()
        broker.add("api", "static", STATIC.encode(), hosts=["api.example.org"])
        session = broker.open("key", command=["/usr/bin/fetch", "--fast"])
        self.assertEqual(session.environment["API_KEY"], STATIC)
        self.fails("PolicyDenied", broker.get_token, session)
        answer = broker.revoke(session=session.id)
        self.assertEqual([row["outcome"] for row in answer["credentials"]], ["impossible_rotate"])
        self.assertFalse(answer["pending"])
        checks = {row["id"]: row for row in broker.rows("Doctor", "checks")}
        self.assertEqual(checks["profile.key"]["status"], "warn")
        for profile, lacks in ("key-unexposed", "`expose_secret = yes`"), ("key-unpinned", "`command`"):
            [said] = [row["summary"] for row in broker.rows("Doctor", "checks") if row["id"] == f"profile.{profile}"]
            self.assertIn(f"profile {profile} lacks {lacks}", said)
        with open(broker.audit_path, encoding="utf-8") as file:
            self.assertNotIn(STATIC, file.read())

    def test_several_grants(self):
        broker = self.ready()
        session = broker.open("gh", "gh-file", "gh-socket")
        self.assertEqual(set(session.grants), {"gh", "gh-file", "gh-socket"})
        self.fails("InvalidParameter", broker.get_token, session)
        token = broker.get_token(session, "gh-socket")
        self.assertEqual(len(self.github.tokens("alive")), 3)
        self.assertEqual(self.use(token, "/api/v3/repos/octo/world"), 200)
        self.assertEqual(self.use(session.token, "/api/v3/repos/octo/world"), 404)
        broker.call("CloseSession", {"session": session.id})
        self.assertEqual(self.github.tokens("alive"), [])
        self.fails("InvalidParameter", broker.open, "gh", "gh")
        self.fails("InvalidParameter", broker.open, "gh", "brief")  # both set GITHUB_TOKEN
        self.fails("InvalidParameter", broker.open)

    def test_upstream_gives_less_life(self):
        self.github.set_tokens(lifetime=600)
        broker = self.ready()
        session = broker.open("gh")
        left = time.mktime(time.strptime(session.grants["gh"]["expires"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        self.assertLess(left - time.time(), 605)


class Narrowing(Case):
    config = PROFILES + MORE % os.getuid()

    def setUp(self):
        super().setUp()
        self.it = self.ready()

    def scoped(self, profile, **scope):
        return self.it.open({"profile": profile, "scope": scope})

    def denied(self, name, *arguments, **options):
        before = len(self.it.audit())
        error = self.fails(name, *arguments, **options)
        verdict = "error" if name == "NotFound" else "deny"
        lines = [(event["operation"], event["verdict"], event["reason"]) for event in self.it.audit()[before:]]
        self.assertEqual(lines, [("session.open", verdict, name)])
        self.assertEqual(self.github.tokens(), [])
        self.assertEqual(self.it.leases(), [])
        return error

    def test_narrower(self):
        session = self.scoped("gh-socket", repositories=["octo/world"], permissions={"issues": "read"})
        token = self.it.get_token(session)
        [record] = self.github.tokens()
        self.assertEqual(record["permissions"], {"issues": "read", "metadata": "read"})
        self.assertEqual(self.use(token, "/api/v3/repos/octo/world"), 200)
        self.assertEqual(self.use(token), 404)

    def test_one_member_alone(self):
        session = self.scoped("gh-socket", permissions={"contents": "read"})
        self.it.get_token(session)
        [record] = self.github.tokens()
        self.assertEqual(record["permissions"], {"contents": "read", "metadata": "read"})

    def test_wider_repository_refused(self):
        self.denied("PolicyDenied", self.scoped, "gh", repositories=["octo/plans"])
        self.denied("PolicyDenied", self.scoped, "gh", repositories=["octo/hello", "octo/world"])

    def test_wider_permission_refused(self):
        self.denied("PolicyDenied", self.scoped, "gh", permissions={"contents": "write"})
        self.denied("PolicyDenied", self.scoped, "gh", permissions={"pull_requests": "read"})

    def test_unknown_profile_refused(self):
        self.denied("NotFound", self.it.open, "nowhere")
        self.denied("NotFound", self.it.open, "gh", "nowhere")

    def test_lifetime_longer_than_profile_refused(self):
        self.denied("PolicyDenied", self.it.open, "gh", lifetime=3601)
        self.denied("PolicyDenied", self.it.open, "gh-file", "brief", lifetime=61)

    def test_static_raw_without_expose_refused(self):
        self.it.add("api", "static", STATIC.encode(), hosts=["api.example.org"])
        command = ["/usr/bin/fetch"]
        self.denied("PolicyDenied", self.it.open, "key-unexposed", command=command)
        self.denied("PolicyDenied", self.it.open, "key-unpinned", command=command)

    def test_pinned_command_other_refused(self):
        self.denied("PolicyDenied", self.it.open, "pinned")
        self.denied("PolicyDenied", self.it.open, "pinned", command=["/usr/bin/other", "--stdio"])
        self.denied("PolicyDenied", self.it.open, "pinned", command=["/usr/bin/server"])
        self.denied("PolicyDenied", self.it.open, "pinned", command=["/usr/bin/server", "--stdio", "-x"])
        self.assert_alive(self.it.open("pinned", command=["/usr/bin/server", "--stdio"]).token)

    def test_caller_uid_other_refused(self):
        self.denied("PolicyDenied", self.it.open, "other-caller")
        self.it.open("this-caller")

    def test_profile_without_scope_refused(self):
        self.denied("PolicyDenied", self.it.open, "unscoped")

    def test_secret_absent(self):
        error = self.fails("NotFound", self.it.open, "absent")
        self.assertIn("nothing", error.message)


class Revoking(Case):
    config = PROFILES + MORE % os.getuid()

    def confirmed(self, answer, sessions, credentials):
        self.assertEqual(answer["sessions"], sessions)
        outcomes = [row["outcome"] for row in answer["credentials"]]
        self.assertEqual(outcomes, ["confirmed"] * credentials)
        self.assertFalse(answer["pending"])

    def gone(self, broker, session):
        self.assert_dead(session.token)
        self.fails("Expired", broker.get_token, session)
        self.assertFalse(os.path.exists(session.path))

    def again(self, broker, **selector):
        self.confirmed(broker.revoke(**selector), 0, 0)

    def test_close(self):
        broker = self.ready()
        session, other = broker.open("gh"), broker.open("gh")
        answer = broker.call("CloseSession", {"session": session.id})
        self.assertEqual((answer["sessions"], answer["pending"]), (1, False))
        self.gone(broker, session)
        self.assert_alive(other.token)
        self.assertEqual(broker.call("CloseSession", {"session": session.id})["sessions"], 0)
        self.fails("NotFound", broker.call, "CloseSession", {"session": "s-nobody"})
        ends = [event for event in broker.audit() if event["operation"] == "lease.revoke"]
        self.assertEqual([event["reason"] for event in ends], ["confirmed"])

    def test_revoked_token_refused(self):
        broker = self.ready()
        session, other = broker.open("gh"), broker.open("gh")
        self.confirmed(broker.revoke(session=session.id), 1, 1)
        self.gone(broker, session)
        self.assert_alive(other.token)
        self.again(broker, session=session.id)

    def test_by_profile(self):
        broker = self.ready()
        session, other = broker.open("gh"), broker.open("gh-socket")
        kept = broker.get_token(other)
        self.confirmed(broker.revoke(profile="gh"), 1, 1)
        self.gone(broker, session)
        self.assert_alive(kept)
        self.again(broker, profile="gh")
        self.assert_alive(broker.open("gh").token)  # what is opened afterwards is not covered

    def test_by_secret(self):
        broker = self.ready()
        broker.add_github(self.github, name="second")
        session, other = broker.open("gh"), broker.open("gh-file")
        self.confirmed(broker.revoke(secret="github"), 2, 2)
        self.gone(broker, session)
        self.assertNotEqual(broker.sessions()[other.id]["state"], "live")
        self.again(broker, secret="github")

    def test_by_token(self):
        broker = self.ready()
        session = broker.open("gh")
        selector = {"token_hash": sha256_hex(session.token)}
        self.confirmed(broker.revoke(**selector), 0, 1)
        self.assert_dead(session.token)
        self.assertEqual(broker.sessions()[session.id]["state"], "live")
        fresh = broker.get_token(session)
        self.assertNotEqual(fresh, session.token)
        self.assert_alive(fresh)
        self.assertEqual(broker.revoke(**selector)["credentials"][0]["outcome"], "confirmed")
        self.assert_alive(fresh)
        self.fails("NotFound", broker.revoke, token_hash=sha256_hex("nobody's"))
        self.fails("InvalidParameter", broker.revoke, token_hash="zz")

    def test_all(self):
        broker = self.ready()
        sessions = [broker.open("gh") for _ in range(5)]
        self.confirmed(broker.revoke(all=True), 5, 5)
        for session in sessions:
            self.gone(broker, session)
        self.assertEqual(self.github.tokens("alive"), [])
        self.again(broker, all=True)

    def test_dry_run(self):
        broker = self.ready()
        session = broker.open("gh")
        for selector in ({"session": session.id}, {"profile": "gh"}, {"all": True}, {"secret": "github"}):
            answer = broker.revoke(dry_run=True, **selector)
            self.assertEqual((answer["sessions"], len(answer["credentials"])), (1, 1), selector)
        broker.revoke(dry_run=True, token_hash=sha256_hex(session.token))
        self.assert_alive(session.token)
        self.assertEqual(broker.get_token(session), session.token)

    def test_selector_wrong(self):
        broker = self.ready()
        self.fails("InvalidParameter", broker.revoke)
        self.fails("InvalidParameter", broker.revoke, all=True, profile="gh")
        self.fails("NotFound", broker.revoke, session="s-nobody")

    def test_remove(self):
        broker = self.ready()
        session = broker.open("gh")
        self.assertEqual(broker.call("RemoveSecret", {"name": "github", "dry_run": True})["sessions"], 1)
        self.assert_alive(session.token)
        self.assertEqual(broker.call("RemoveSecret", {"name": "github"})["sessions"], 1)
        self.wait_dead(session.token)
        self.assertEqual(broker.rows("ListSecrets", "secrets"), [])
        self.fails("NotFound", broker.open, "gh")
        self.fails("NotFound", broker.call, "RemoveSecret", {"name": "github"})

    def test_lifetime_is_over(self):
        broker = self.ready()
        session = broker.open("gh", lifetime=1)
        row = broker.wait_ended(session)
        self.assertIn("lifetime", row["end_reason"])
        self.wait_dead(session.token)
        self.gone(broker, session)

    def test_token_is_over_session_goes_on(self):
        self.github.set_tokens(lifetime=30)
        broker = self.ready()
        session = broker.open("gh-socket")
        first = broker.get_token(session)
        self.github.set_tokens(lifetime=3600)
        second = broker.get_token(session)
        self.assertNotEqual(first, second)  # less than a minute was left
        self.assert_alive(second)
        self.assertEqual(broker.get_token(session), second)

    def test_upstream_killed_it_already(self):
        broker = self.ready()
        session = broker.open("gh")
        self.github.kill_token(self.github.tokens()[0]["id"])
        self.confirmed(broker.revoke(session=session.id), 1, 1)

    def test_stop_revokes_or_next_start_does(self):
        broker = self.broker(store="sealed-file")
        broker.add_github(self.github)
        session = broker.open("gh")
        broker.stop()
        broker.start_sealed(create=False)
        self.wait_dead(session.token)
        wait_until(lambda: self.count_open(broker, "revoked") == 1, "the lease is not revoked")
        broker.audit()


if __name__ == "__main__":
    main()
