#!/usr/bin/python3
"""Proves that the stand-in enforces what it says it enforces.

A stand-in that lets things pass makes every test above it worthless. Nothing
here sleeps: time is moved by the admin side, and events are waited for.
"""

import base64
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import certs  # noqa: E402
from ghclient import app_jwt, sign_jwt  # noqa: E402
from standin import AdminError, INTERPRETER, PROGRAM, Standin  # noqa: E402

MINT = "/app/installations/42/access_tokens"


class Case(unittest.TestCase):
    """One stand-in for each class; each test takes its own faults away."""

    options = {}

    @classmethod
    def setUpClass(cls):
        cls.github = Standin(**cls.options).start()
        cls.addClassCleanup(cls.github.stop)

    def setUp(self):
        self.client = self.github.client()
        self.addCleanup(self.client.close)
        self.addCleanup(self.github.release)

    def call(self, *args, **kwargs):
        return self.client.call(*args, **kwargs)

    def status(self, *args, **kwargs):
        return self.call(*args, **kwargs).status

    def token(self, **narrowing):
        return self.github.mint(**narrowing)

    def record(self):
        """The admin side's view of the token that was issued last."""
        return self.github.tokens()[-1]


class AppAuthentication(Case):
    def app_status(self, header=None, **claims):
        now = int(time.time())
        wanted = {"iat": now - 60, "exp": now + 540, "iss": self.github.app_id, **claims}
        return self.status("GET", "/app", sign_jwt(self.github.app_key, wanted, header))

    def test_good_tokens(self):
        now = int(time.time())
        self.assertEqual(self.app_status(), 200)
        self.assertEqual(self.app_status(iss=str(self.github.app_id)), 200)
        self.assertEqual(self.app_status(iss=self.github.client_id), 200)
        self.assertEqual(self.app_status(iat=now - 60, exp=now + 600), 200)

    def test_bad_claims(self):
        now = int(time.time())
        self.assertEqual(self.app_status(exp=now + 700), 401)
        self.assertEqual(self.app_status(iat=now - 300, exp=now + 500), 401)
        self.assertEqual(self.app_status(iat=now - 600, exp=now - 1), 401)
        self.assertEqual(self.app_status(iat=now + 30), 401)
        self.assertEqual(self.app_status(iat=str(now - 60)), 401)
        self.assertEqual(self.app_status(exp=None), 401)
        self.assertEqual(self.app_status(iss=7), 401)

    def test_other_algorithms(self):
        self.assertEqual(self.app_status(header={"alg": "RS512", "typ": "JWT"}), 401)
        self.assertEqual(self.app_status(header={"alg": "none"}), 401)

    def test_damaged_tokens(self):
        good = self.github.jwt()
        for bad in (good[:-4], good + "A", good + "==", good.replace(".", "..", 1), "", "x"):
            self.assertEqual(self.status("GET", "/app", bad), 401, bad)
        self.assertEqual(self.status("GET", "/app"), 401)

    def test_error_body(self):
        answer = self.call("GET", "/app", "x")
        self.assertEqual(answer.json()["status"], "401")
        self.assertIn("documentation_url", answer.json())
        self.assertTrue(answer.headers["Content-Type"].startswith("application/json"))

    def test_other_key(self):
        with tempfile.TemporaryDirectory() as directory:
            key = certs.make_app_key(os.path.join(directory, "other.pem"))
            self.assertEqual(self.status("GET", "/app", app_jwt(key, self.github.app_id)), 401)

    def test_rotation(self):
        with tempfile.TemporaryDirectory() as directory:
            key = certs.make_app_key(os.path.join(directory, "new.pem"))
            with open(key, encoding="ascii") as file:
                self.assertIn("BEGIN RSA PRIVATE" + " KEY", file.read())
            new = app_jwt(key, self.github.app_id)
            fingerprint = self.github.add_key(key)
            self.assertEqual(self.status("GET", "/app", new), 200)
            self.assertEqual(self.status("GET", "/app", self.github.jwt()), 200)
            self.github.remove_key(fingerprint)
            self.assertEqual(self.status("GET", "/app", new), 401)
            self.assertEqual(self.status("GET", "/app", self.github.jwt()), 200)

    def test_jwt_ages_with_the_clock(self):
        self.github.advance_clock(541)
        self.addCleanup(self.github.advance_clock, -541)
        self.assertEqual(self.app_status(), 401)

    def test_installation_token_is_no_jwt(self):
        self.assertEqual(self.status("GET", "/app", self.token()), 401)

    def test_enterprise_base(self):
        answer = self.call("GET", "/api/v3/app", self.github.jwt())
        self.assertEqual(answer.json()["id"], self.github.app_id)


class Installations(Case):
    def test_list_and_pages(self):
        jwt = self.github.jwt()
        first = self.call("GET", "/app/installations?per_page=1", jwt)
        self.assertEqual([item["id"] for item in first.json()], [42])
        path = re.search(r'<https://[^/]+([^>]+)>; rel="next"', first.headers["Link"])[1]
        second = self.call("GET", path, jwt)
        self.assertEqual([item["id"] for item in second.json()], [43])
        self.assertNotIn('rel="next"', second.headers["Link"])

    def test_find(self):
        jwt = self.github.jwt()
        for path in ("/orgs/acme", "/repos/acme/rockets"):
            self.assertEqual(self.call("GET", path + "/installation", jwt).json()["id"], 43)
        self.assertEqual(self.status("GET", "/repos/acme/hello/installation", jwt), 404)

    def test_suspension_blocks_tokens_and_mints(self):
        token, jwt = self.token(), self.github.jwt()
        self.assertEqual(self.status("PUT", "/app/installations/42/suspended", jwt), 204)
        self.assertEqual(self.status("POST", MINT, jwt, {}), 403)
        self.assertEqual(self.status("GET", "/installation/repositories", token), 403)
        self.assertEqual(self.status("DELETE", "/app/installations/42/suspended", jwt), 204)
        self.assertEqual(self.status("GET", "/installation/repositories", token), 200)

    def test_installation_that_shrinks(self):
        token = self.token()
        path = "/repos/octo/hello/issues"
        self.github.set_permissions(42, contents="write", metadata="read")
        self.assertEqual(self.status("GET", path, token), 403)
        self.github.set_permissions(42, contents="write", issues="write", metadata="read")
        self.assertEqual(self.status("GET", path, token), 200)


class Minting(Case):
    def mint_status(self, body, installation=42):
        path = f"/app/installations/{installation}/access_tokens"
        return self.status("POST", path, self.github.jwt(), body)

    def test_answer(self):
        body = {"repositories": ["hello"], "permissions": {"contents": "read"}}
        answer = self.call("POST", MINT, self.github.jwt(), body)
        fields = answer.json()
        self.assertEqual(answer.status, 201)
        self.assertEqual(fields["permissions"], {"contents": "read", "metadata": "read"})
        self.assertEqual(fields["repository_selection"], "selected")
        self.assertEqual([item["full_name"] for item in fields["repositories"]], ["octo/hello"])
        self.assertRegex(fields["expires_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_narrowing_by_id(self):
        body = {"repositories": ["hello"]}
        fields = self.call("POST", MINT, self.github.jwt(), body).json()
        body = {"repository_ids": [fields["repositories"][0]["id"]]}
        fields = self.call("POST", MINT, self.github.jwt(), body).json()
        self.assertEqual([item["name"] for item in fields["repositories"]], ["hello"])

    def test_refusals(self):
        self.assertEqual(self.mint_status({"repositories": ["rockets"]}), 422)
        self.assertEqual(self.mint_status({"repositories": ["octo/hello"]}), 422)
        self.assertEqual(self.mint_status({"repositories": []}), 422)
        self.assertEqual(self.mint_status({"repositories": ["hello"] * 501}), 422)
        self.assertEqual(self.mint_status({"repositories": "hello"}), 422)
        self.assertEqual(self.mint_status({"repository_ids": [1]}), 422)
        self.assertEqual(self.mint_status({"permissions": {"secrets": "read"}}), 422)
        self.assertEqual(self.mint_status({"permissions": {"contents": "admin"}}), 422)
        self.assertEqual(self.mint_status({"permissions": {"contents": ["read"]}}), 422)
        self.assertEqual(self.mint_status([]), 400)
        self.assertEqual(self.mint_status({}, installation=999), 404)
        self.assertEqual(self.mint_status({}, installation="4" * 5000), 404)

    def test_formats(self):
        value = self.token()
        self.assertRegex(value, r"^ghs_1001_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$")
        self.assertTrue(500 < len(value) < 540, len(value))
        classic = self.call(
            "POST", MINT, self.github.jwt(), {}, {"X-GitHub-Stateless-S2S-Token": "disabled"}
        ).json()["token"]
        self.assertRegex(classic, r"^ghs_[A-Za-z0-9]{36}$")
        self.github.set_tokens(token_format="classic")
        self.addCleanup(self.github.set_tokens, token_format="stateless")
        self.assertEqual(len(self.token()), 40)
        self.assertEqual(self.status("GET", "/installation/repositories", classic), 200)


class TokenUse(Case):
    def test_repositories(self):
        token = self.token(repositories=["hello"])
        answer = self.call("GET", "/installation/repositories", token).json()
        self.assertEqual([item["name"] for item in answer["repositories"]], ["hello"])
        self.assertEqual(self.status("GET", "/repos/octo/hello", token), 200)
        self.assertEqual(self.status("GET", "/repos/Octo/HELLO", token), 200)
        self.assertEqual(self.status("GET", "/repos/octo/plans", token), 404)
        self.assertEqual(self.status("GET", "/repos/octo/plans/contents/README.md", token), 404)
        self.assertEqual(self.status("GET", "/repos/acme/rockets", token), 404)

    def test_permission_levels(self):
        path = "/repos/octo/hello/issues"
        reader = self.token(permissions={"issues": "read"})
        self.assertEqual(self.status("GET", path, reader), 200)
        refused = self.call("POST", path, reader, {"title": "No"})
        self.assertEqual(refused.status, 403)
        self.assertEqual(refused.json()["message"], "Resource not accessible by integration")
        self.assertEqual(refused.headers["X-Accepted-GitHub-Permissions"], "issues=write")
        self.assertEqual(self.status("GET", "/repos/octo/hello/contents/README.md", reader), 403)
        writer = self.token(permissions={"issues": "write"})
        made = self.call("POST", path, writer, {"title": "Yes", "body": "text"})
        self.assertEqual(made.status, 201)
        number = made.json()["number"]
        self.assertEqual(self.call("GET", f"{path}/{number}", writer).json()["title"], "Yes")
        self.assertEqual(self.status("POST", path, writer, {"body": "no title"}), 422)

    def test_contents(self):
        token = self.token(permissions={"contents": "read"})
        base = "/repos/octo/hello/contents"
        answer = self.call("GET", base + "/README.md?ref=main", token).json()
        self.assertEqual(answer["encoding"], "base64")
        self.assertTrue(answer["content"].endswith("\n"))
        listing = self.call("GET", base, token).json()
        self.assertEqual([item["type"] for item in listing], ["file", "dir"])
        self.assertEqual(self.call("GET", base + "/src", token).json()[0]["name"], "main.c")
        self.assertEqual(self.status("GET", base + "/absent", token), 404)
        self.assertEqual(self.status("GET", base + "/README.md?ref=other", token), 404)

    def test_ways_to_send_it(self):
        token = self.token()
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        for value, wanted in (("token " + token, 200), ("Basic " + basic, 200), ("Basic !", 401)):
            fields = {"Authorization": value}
            answer = self.call("GET", "/installation/repositories", headers=fields)
            self.assertEqual(answer.status, wanted, value[:7])

    def test_revoked(self):
        token = self.token()
        self.assertEqual(self.status("DELETE", "/installation/token", token), 204)
        self.assertEqual(self.record()["state"], "revoked")
        self.assertEqual(self.status("DELETE", "/installation/token", token), 401)
        self.assertEqual(self.status("GET", "/repos/octo/hello", token), 401)
        self.assertEqual((self.record()["uses"], self.record()["refused"]), (1, 2))

    def test_expired_by_age(self):
        token = self.token()
        self.github.age_tokens(3599)
        self.assertEqual(self.status("GET", "/installation/repositories", token), 200)
        self.github.age_tokens(2)
        self.assertEqual(self.status("GET", "/installation/repositories", token), 401)
        self.assertEqual(self.record()["state"], "expired")
        self.assertEqual(self.status("GET", "/installation/repositories", self.token()), 200)

    def test_expired_by_clock(self):
        token = self.token()
        self.github.advance_clock(3601)
        self.addCleanup(self.github.advance_clock, -3601)
        self.assertEqual(self.status("GET", "/installation/repositories", token), 401)

    def test_lifetime(self):
        self.github.set_tokens(lifetime=30)
        self.addCleanup(self.github.set_tokens, lifetime=3600)
        token = self.token()
        self.github.age_tokens(31)
        self.assertEqual(self.status("GET", "/installation/repositories", token), 401)

    def test_killed_upstream(self):
        token = self.token()
        self.github.kill_token(self.record()["id"])
        self.assertEqual(self.status("GET", "/installation/repositories", token), 401)

    def test_anonymous(self):
        self.assertEqual(self.status("GET", "/repos/octo/hello"), 404)
        self.assertEqual(self.status("GET", "/installation/repositories"), 401)
        answer = self.call("GET", "/rate_limit")
        self.assertEqual(answer.headers["x-ratelimit-limit"], "60")

    def test_rate_limit_headers(self):
        token = self.token()
        before = self.call("GET", "/rate_limit", token).json()["rate"]["remaining"]
        answer = self.call("GET", "/installation/repositories", token)
        self.assertEqual(int(answer.headers["x-ratelimit-remaining"]), before - 1)
        after = self.call("GET", "/rate_limit", token).json()["rate"]["remaining"]
        self.assertEqual(after, before - 1)

    def test_anonymous_limit_is_enforced(self):
        path = "/repos/octo/hello"
        statuses = [self.status("GET", path) for _ in range(61)]
        self.assertEqual(statuses[-1], 403)
        self.github.advance_clock(3600)
        self.addCleanup(self.github.advance_clock, -3600)
        self.assertEqual(self.status("GET", path), 404)

    def test_user_agent_is_mandatory(self):
        answer = self.call("GET", "/app", self.github.jwt(), headers={"User-Agent": None})
        self.assertEqual(answer.status, 403)


class StaticUpstream(Case):
    def test_keys(self):
        value = "key-" + "k" * 20
        self.assertEqual(self.status("GET", "/static/whoami", value), 401)
        self.github.add_static_key("alpha", value)
        self.assertEqual(self.call("GET", "/static/whoami", value).json(), {"name": "alpha"})
        echoed = self.call("POST", "/static/echo", value, {"x": 1}).json()
        self.assertIn(["Authorization", "Bearer " + value], echoed["headers"])
        self.github.remove_static_key("alpha")
        self.assertEqual(self.status("GET", "/static/whoami", value), 401)
        self.assertEqual(self.status("GET", "/static/whoami"), 401)


class Framing(Case):
    def test_chunked_body(self):
        self.client.connection.request(
            "POST",
            MINT,
            iter([b'{"repositories":', b'["hello"]}']),
            {"User-Agent": "t", "Authorization": "Bearer " + self.github.jwt()},
            encode_chunked=True,
        )
        self.assertEqual(self.client.receive().status, 201)
        self.assertEqual(self.record()["repositories"], ["hello"])

    def test_ambiguous_length(self):
        for fields in (
            {"Transfer-Encoding": "chunked", "Content-Length": "5"},
            {"Content-Length": "+5"},
            {"Transfer-Encoding": "gzip"},
        ):
            with self.github.client() as client:
                self.assertEqual(client.call("GET", "/app", headers=fields).status, 400, fields)


class Records(Case):
    def test_no_credential_is_kept(self):
        token = self.token()
        self.call("GET", "/installation/repositories", token)
        text = json.dumps([self.github.requests(), self.github.tokens()])
        self.assertNotIn(token, text)
        request = self.github.requests("repositories")[-1]
        self.assertEqual(request["credential_sha256"], self.record()["sha256"])

    def test_connections(self):
        self.call("GET", "/rate_limit")
        before = self.github.count("connect", "closed")
        self.client.close()
        self.github.wait("connect", before + 1, "closed")

    def test_bad_verbs(self):
        for verb, arguments in (
            ("_installation", {}),
            ("absent", {}),
            ("wait", {"unknown": 1}),
            ("suspend", {"installation": 1}),
            ("fault", {"endpoint": "app", "kind": "absent"}),
            ("fault", {"endpoint": "app", "kind": "drop", "status": 1}),
            ("fault", {"endpoint": "connect", "kind": "status"}),
            ("release", {"id": 999}),
        ):
            with self.assertRaises(AdminError, msg=verb):
                self.github.admin(verb, **arguments)

    def test_wait_gives_up(self):
        with self.assertRaises(TimeoutError):
            self.github.wait("app", 1000, timeout=0)


class Faults(Case):
    def app(self):
        return self.call("GET", "/app", self.github.jwt())

    def send_app(self):
        self.client.send("GET", "/app", self.github.jwt())

    def assert_lost(self, expected=(http.client.RemoteDisconnected, ssl.SSLEOFError)):
        with self.assertRaises(expected):
            self.client.receive()

    def test_delay_before(self):
        arrived, worked = self.github.count("app"), self.github.count("app", "worked")
        fault = self.github.fault("app", "delay")
        self.send_app()
        self.github.wait("app", arrived + 1)
        self.assertEqual(self.github.count("app", "worked"), worked)
        self.github.release(fault)
        self.assertEqual(self.client.receive().status, 200)

    def test_delay_after(self):
        worked = self.github.count("mint", "worked")
        fault = self.github.fault("mint", "delay", when="after")
        self.client.send("POST", MINT, self.github.jwt(), {})
        self.github.wait("mint", worked + 1, "worked")
        self.assertFalse(self.record()["delivered"])
        self.github.release(fault)
        self.assertEqual(self.client.receive().status, 201)

    def test_client_that_leaves_is_seen(self):
        abandoned = self.github.count("app", "abandoned")
        self.github.fault("app", "hang")
        self.send_app()
        self.client.close()
        self.github.wait("app", abandoned + 1, "abandoned")

    def test_hang(self):
        arrived = self.github.count("app")
        fault = self.github.fault("app", "hang")
        self.send_app()
        self.github.wait("app", arrived + 1)
        self.github.release(fault)
        self.assert_lost()

    def test_lost_reply(self):
        issued = len(self.github.tokens())
        self.github.fault("mint", "drop", when="after")
        self.client.send("POST", MINT, self.github.jwt(), {})
        self.assert_lost()
        self.assertEqual(len(self.github.tokens()), issued + 1)
        self.assertEqual((self.record()["state"], self.record()["delivered"]), ("alive", False))

    def test_lost_request(self):
        issued = len(self.github.tokens())
        self.github.fault("mint", "drop")
        self.client.send("POST", MINT, self.github.jwt(), {})
        self.assert_lost()
        self.assertEqual(len(self.github.tokens()), issued)

    def test_reset(self):
        self.github.fault("app", "drop", reset=True)
        self.send_app()
        self.assert_lost(ConnectionResetError)

    def test_count_and_skip(self):
        self.github.fault("app", "status", status=503, count=2, skip=1)
        statuses = [self.app().status for _ in range(4)]
        self.assertEqual(statuses, [200, 503, 503, 200])

    def test_status_after_the_work(self):
        issued = len(self.github.tokens())
        page = "<html>Bad Gateway</html>"
        self.github.fault("mint", "status", when="after", status=502, body=page)
        answer = self.call("POST", MINT, self.github.jwt(), {})
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (502, "text/html"))
        self.assertEqual(len(self.github.tokens()), issued + 1)
        self.assertFalse(self.record()["delivered"])

    def test_error_behind_200(self):
        self.github.fault("app", "error_body")
        answer = self.app()
        self.assertEqual(answer.status, 200)
        self.assertIn("error", answer.json())

    def test_garbage(self):
        self.github.fault("app", "garbage")
        self.send_app()
        with self.assertRaises(http.client.BadStatusLine):
            self.client.receive()

    def test_content_type(self):
        self.github.fault("app", "content_type")
        answer = self.app()
        self.assertEqual(answer.headers["Content-Type"], "text/html")
        self.assertEqual(answer.json()["id"], self.github.app_id)

    def test_truncated(self):
        self.github.fault("mint", "truncate")
        self.client.send("POST", MINT, self.github.jwt(), {})
        with self.assertRaises((http.client.IncompleteRead, ssl.SSLEOFError)):
            self.client.receive()
        self.assertFalse(self.record()["delivered"])

    def test_huge_body(self):
        self.github.fault("app", "huge_body")
        self.send_app()
        response = self.client.connection.getresponse()
        self.assertEqual(int(response.headers["Content-Length"]), 100 << 20)
        self.client.close()
        self.github.fault("app", "huge_body", size=1 << 20)
        with self.github.client() as client:
            self.assertEqual(len(client.call("GET", "/app", self.github.jwt()).body), 1 << 20)

    def test_rate_limits(self):
        self.github.fault("app", "rate_limit", reset=120)
        answer = self.app()
        self.assertEqual((answer.status, answer.headers["x-ratelimit-remaining"]), (403, "0"))
        self.assertGreater(int(answer.headers["x-ratelimit-reset"]), time.time() + 60)
        self.assertIsNone(answer.headers["Retry-After"])
        self.github.fault("app", "rate_limit", status=429, retry_after=7)
        answer = self.app()
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (429, "7"))
        self.github.fault("app", "rate_limit", status=429, retry_after=7, form="date")
        self.assertRegex(self.app().headers["Retry-After"], r"^\w{3}, \d\d \w{3} \d{4} .* GMT$")
        self.github.fault("app", "secondary_limit")
        answer = self.app()
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (403, "60"))
        self.assertNotEqual(answer.headers["x-ratelimit-remaining"], "0")

    def test_unauthorized(self):
        self.github.fault("*", "unauthorized")
        self.assertEqual(self.app().status, 401)
        self.assertEqual(self.app().status, 200)

    def test_connection_that_hangs(self):
        closed = self.github.count("connect", "closed")
        accepted = self.github.count("connect")
        self.github.fault("connect", "hang")
        client = self.github.client(timeout=0.05)
        with self.assertRaises(TimeoutError):
            client.connection.connect()
        client.close()
        self.github.wait("connect", accepted + 1)
        self.github.wait("connect", closed + 1, "closed")

    def test_connection_that_is_refused_late(self):
        self.github.fault("connect", "drop", reset=True)
        with self.assertRaises(OSError):
            self.github.client().connection.connect()


class Life(unittest.TestCase):
    def start(self, directory, *options):
        process = subprocess.Popen(
            [INTERPRETER, PROGRAM, "--dir", directory, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        json.loads(process.stdout.readline())
        return process

    def test_ends_with_its_standard_input(self):
        with tempfile.TemporaryDirectory() as directory:
            process = self.start(directory)
            process.stdin.close()
            self.assertEqual(process.wait(10), 0)

    def test_ends_on_sigterm(self):
        for options in ((), ("--until-signal",)):
            with tempfile.TemporaryDirectory() as directory:
                process = self.start(directory, *options)
                process.terminate()
                self.assertEqual(process.wait(10), 0)


class Certificates(Case):
    options = {"names": ("ghe.example", "127.0.0.1", "localhost")}

    def test_strict_verification(self):
        context = ssl.create_default_context(cafile=self.github.ca)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        for host in ("127.0.0.1", "localhost"):
            connection = http.client.HTTPSConnection(host, self.github.port, context=context)
            connection.connect()
            connection.close()

    def test_names_not_asked_for(self):
        context = ssl.create_default_context(cafile=self.github.ca)
        with socket.create_connection(("127.0.0.1", self.github.port)) as plain:
            with self.assertRaises(ssl.SSLCertVerificationError):
                context.wrap_socket(plain, server_hostname="api.github.com")


if __name__ == "__main__":
    unittest.main()
