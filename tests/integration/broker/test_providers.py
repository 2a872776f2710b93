#!/usr/bin/python3
"""The other upstreams through the whole broker: added, used, revoked, and seen dead there."""

import http.client
import os
import sys

import test_proxy
from harness import Case, main, wait_until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
from vendors import shapes  # noqa: E402

CONFIG = """
[profile deep]
secret = gitlab
repositories = octo/tools/deep
permissions = api:write
ttl = 30m
deliver = env
env = GITLAB_TOKEN

[profile deep-proxy]
secret = gitlab
repositories = octo/hello
permissions = api:read
ttl = 30m
env = GITLAB_TOKEN
allow = GET localhost:{port} /gitlab/api/v4/projects/**
addresses = 127.0.0.0/8, ::1/128
slot = bearer

[profile two]
secret = gitlab
repositories = octo/hello, octo/other
permissions = api:read
deliver = socket

[profile pat]
secret = gh
env = GITHUB_TOKEN
allow = GET localhost:{port} /user
addresses = 127.0.0.0/8, ::1/128
slot = bearer

[profile cf]
secret = cf
env = CLOUDFLARE_API_TOKEN
allow = GET localhost:{port} /cloudflare/client/v4/zones
addresses = 127.0.0.0/8, ::1/128
slot = bearer
"""


class Providers(Case):
    def setUp(self):
        super().setUp()
        self.it = self.broker(config=CONFIG.format(port=self.github.port))
        self.host = f"localhost:{self.github.port}"

    def add_gitlab(self, **options):
        value, number = self.github.add_issued("gitlab", **options)
        reply = self.it.add("gitlab", "gitlab", value.encode(), base_url=self.github.gitlab_url, verify=True)
        return value, number, reply

    def ask(self, session, path, token):
        connection = test_proxy._ProxyConnection(session, self.github.port)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "User-Agent": "test"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def alive(self, vendor, kind=None):
        return [item for item in self.github.credentials(vendor, "alive") if kind in (None, item["kind"])]


class GitLab(Providers):
    def test_add_use_revoke(self):
        value, number, reply = self.add_gitlab()
        self.assertEqual(reply["identity"], f"GitLab token mcpcred ({number})")
        session = self.it.open("deep")
        token = session.environment["GITLAB_TOKEN"]
        self.assertNotEqual(token, value)
        self.assertEqual(self.use(token, "/gitlab/api/v4/projects/12/issues", "POST", {"title": "x"}), 201)
        self.assertEqual(self.use(token, "/gitlab/api/v4/projects/11/issues"), 404)
        [lease] = self.it.leases()
        [minted] = self.alive("gitlab", "project")
        self.assertEqual((minted["name"], lease["state"]), (lease["lease"], "live"))
        answer = self.it.revoke(session=session.id)
        self.assertEqual([row["outcome"] for row in answer["credentials"]], ["confirmed"])
        self.assertEqual(self.use(token, "/gitlab/api/v4/projects/12"), 401)
        self.assertEqual(len(self.alive("gitlab", "personal")), 1)
        self.it.audit()

    def test_by_proxy(self):
        value, _, _ = self.add_gitlab()
        session = self.it.open("deep-proxy")
        handle = session.environment["GITLAB_TOKEN"]
        self.assertEqual(self.ask(session, "/gitlab/api/v4/projects/11", handle), 200)
        self.assertEqual(self.ask(session, "/gitlab/api/v4/personal_access_tokens/self", handle), 403)
        [minted] = self.alive("gitlab", "project")
        self.assertEqual(self.github.requests("gitlab.project")[-1]["credential_sha256"], minted["sha256"])
        self.it.revoke(session=session.id)
        self.assertEqual(self.alive("gitlab", "project"), [])

    def test_narrower_and_wider(self):
        self.add_gitlab()
        narrow = {"profile": "deep", "scope": {"permissions": {"api": "read"}}}
        self.it.open(narrow)
        [minted] = self.alive("gitlab", "project")
        self.assertEqual((minted["details"]["scopes"], minted["details"]["access_level"]), (["read_api"], 20))
        wide = {"profile": "deep", "scope": {"permissions": {"api": "admin"}}}
        self.fails("PolicyDenied", self.it.open, wide)
        self.fails("PolicyDenied", self.it.open, "two")

    def test_wider_than_asked_is_revoked_and_delivered_to_nobody(self):
        self.add_gitlab()
        value = shapes.gitlab()
        body = {"id": 1, "name": "x", "scopes": ["api"], "access_level": 40, "expires_at": "2999-01-01", "token": value}
        self.github.fault("gitlab.mint", "status", status=201, body=body)
        self.fails("UpstreamBadScope", self.it.open, "deep")
        self.github.wait("gitlab.revoke", 1)

    def test_lost_reply_is_known_and_delivered_to_nobody(self):
        self.add_gitlab()
        self.github.fault("gitlab.mint", "drop", when="after")
        self.fails("UpstreamUnknown", self.it.open, "deep")
        wait_until(lambda: self.count_open(self.it, "unrecoverable") == 1, "the lease stays an intent")
        self.assertEqual(len(self.github.requests("gitlab.mint")), 1)

    def test_wrong_values_are_refused_before_anybody_is_asked(self):
        value = shapes.gitlab()
        wrong = value[:-1] + ("0" if value[-1] != "0" else "1")
        for bad in (value[:-3], wrong, value + " more", ""):
            error = self.fails("InvalidParameter", self.it.add, "x", "gitlab", bad.encode(), base_url=self.github.gitlab_url, verify=True)
            self.assertNotIn(bad[6:20] or "none", error.message)
        self.assertEqual(self.github.requests(), [])
        self.fails("UpstreamRootInvalid", self.it.add, "x", "gitlab", value.encode(), base_url=self.github.gitlab_url, verify=True)

    def test_the_secret_stays_out_of_what_is_written(self):
        value, _, _ = self.add_gitlab()
        self.it.open("deep")
        with open(self.it.audit_path, encoding="utf-8") as file:
            self.assertNotIn(value, file.read())
        self.assertNotIn(value, "\n".join(self.it.log.lines))


class Stored(Providers):
    def test_personal_access_token(self):
        value = shapes.github_classic()
        self.github.add_personal_token(value, scopes=["repo"])
        self.fails("InvalidParameter", self.it.add, "gh", "github_pat", value.encode(), base_url=self.github.base_url)  # no hosts
        reply = self.it.add("gh", "github_pat", value.encode(), base_url=self.github.base_url, hosts=[self.host], verify=True)
        self.assertEqual(reply["identity"], "GitHub user octocat, classic token")
        session = self.it.open("pat")
        self.assertEqual(self.ask(session, "/user", session.environment["GITHUB_TOKEN"]), 200)
        self.it.revoke(session=session.id)
        self.assertEqual(len(self.github.tokens("alive")), 1)  # a session's end is not the token's

    def test_cloudflare(self):
        value, number = self.github.add_issued("cloudflare")
        reply = self.it.add("cf", "cloudflare", value.encode(), base_url=self.github.cloudflare_url, hosts=[self.host], verify=True)
        self.assertIn(number, reply["identity"])
        session = self.it.open("cf")
        handle = session.environment["CLOUDFLARE_API_TOKEN"]
        self.assertEqual(self.ask(session, "/cloudflare/client/v4/zones", handle), 200)
        self.assertEqual(self.ask(session, "/cloudflare/client/v4/user/tokens", handle), 403)


if __name__ == "__main__":
    main()
