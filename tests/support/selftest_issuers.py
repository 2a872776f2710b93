#!/usr/bin/python3
"""Proves that the stand-ins of GitLab and Cloudflare enforce what their documentation says, and GitHub's report of
credentials too. Independent of the code under test."""

import datetime
import unittest

from standin import Standin
from vendors import shapes

ZONE = {"com.cloudflare.api.account.zone.eb78d65290b24279ba6f44721b3ea3c4": "*"}
DNS_READ = {"id": "82e64a83756745bbbb1c9c2701bf816b"}


def day(offset):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=offset)).strftime("%Y-%m-%d")


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.github = Standin().start()
        cls.addClassCleanup(cls.github.stop)

    def setUp(self):
        self.github.reset()

    def call(self, method, path, token=None, body=None, **headers):
        with self.github.client() as client:
            return client.call(method, path, token, body, headers)


class GitLab(Case):
    def setUp(self):
        super().setUp()
        self.value, self.id = self.github.add_issued("gitlab")

    def ask(self, method, path, token=None, body=None, **headers):
        return self.call(method, "/gitlab/api/v4" + path, token or self.value, body, **headers)

    def rotate(self, token=None, body=None):
        return self.ask("POST", "/personal_access_tokens/self/rotate", token, body)

    def own(self, token):
        return self.ask("GET", "/personal_access_tokens/self", token).status

    def test_who_asks(self):
        self.assertEqual(self.own("x" * 26), 401)
        self.assertEqual(self.call("GET", "/gitlab/api/v4/personal_access_tokens/self").status, 401)
        headers = {"PRIVATE-TOKEN": self.value}
        self.assertEqual(self.call("GET", "/gitlab/api/v4/personal_access_tokens/self", **headers).status, 200)

    def test_rotation_kills_the_old_one_at_once(self):
        new = self.rotate().json()["token"]
        self.assertEqual((self.own(self.value), self.own(new)), (401, 200))

    def test_rotating_a_dead_one_kills_its_successors_and_nobody_else(self):
        other, _ = self.github.add_issued("gitlab")
        second = self.rotate().json()["token"]
        third = self.rotate(second).json()["token"]
        self.assertEqual(self.rotate().status, 401)
        self.assertEqual((self.own(third), self.own(other)), (401, 200))

    def test_dates(self):
        for wrong in (day(0), day(-1), day(367), "2026-13-01", "tomorrow", day(1) + "T00:00:00Z"):
            self.assertEqual(self.rotate(body={"expires_at": wrong}).status, 400, wrong)
        self.assertEqual(self.rotate(body={"expires_at": day(1)}).json()["expires_at"], day(1))
        value, _ = self.github.add_issued("gitlab", days=0)
        self.assertEqual(self.own(value), 401)

    def test_a_week_where_nothing_is_said(self):
        self.assertEqual(self.rotate().json()["expires_at"], day(7))

    def test_scopes(self):
        value, _ = self.github.add_issued("gitlab", scopes=["read_api"])
        self.assertEqual(self.rotate(value).status, 403)
        body = {"name": "n", "scopes": ["read_api"], "access_level": 20, "expires_at": day(1)}
        self.assertEqual(self.ask("POST", "/projects/11/access_tokens", value, body).status, 403)
        self.assertEqual(self.ask("DELETE", "/personal_access_tokens/self", value).status, 204)

    def test_project_tokens(self):
        good = {"name": "n", "scopes": ["read_api"], "expires_at": day(1)}
        made = self.ask("POST", "/projects/octo%2Ftools%2Fdeep/access_tokens", body=good)
        self.assertEqual((made.status, made.json()["access_level"]), (201, 40))  # the documented default
        token = made.json()["token"]
        self.assertEqual(self.ask("GET", "/projects/12", token).status, 200)
        self.assertEqual(self.ask("GET", "/projects/11", token).status, 404)
        self.assertEqual(self.ask("POST", "/projects/12/access_tokens", token, good).status, 403)
        self.assertEqual(self.ask("POST", "/projects/12/issues", token, {"title": "t"}).status, 403)
        for change in ({"scopes": ["nothing"]}, {"scopes": []}, {"access_level": 35}, {"expires_at": None}, {"name": ""}):
            self.assertEqual(self.ask("POST", "/projects/11/access_tokens", body={**good, **change}).status, 400, change)
        self.assertEqual(self.ask("POST", "/projects/11/access_tokens", body={**good, "access_level": 50}).status, 400)
        self.assertEqual(self.ask("POST", "/projects/13/access_tokens", body=good).status, 403)
        self.assertEqual(self.ask("POST", "/projects/99/access_tokens", body=good).status, 404)


class Cloudflare(Case):
    def setUp(self):
        super().setUp()
        self.value, self.id = self.github.add_issued("cloudflare")
        self.policies = [{"effect": "allow", "resources": ZONE, "permission_groups": [DNS_READ]}]

    def ask(self, method, path, token=None, body=None):
        return self.call(method, "/cloudflare/client/v4" + path, token or self.value, body)

    def make(self, **more):
        return self.ask("POST", "/user/tokens", body={"name": "n", "policies": self.policies, **more})

    def test_a_made_one_has_what_was_asked(self):
        made = self.make().json()["result"]
        self.assertEqual(self.ask("GET", "/user/tokens/verify", made["value"]).json()["result"]["id"], made["id"])
        self.assertEqual(self.ask("GET", "/user/tokens", made["value"]).status, 403)
        self.assertEqual(self.ask("DELETE", "/user/tokens/" + self.id, made["value"]).status, 403)

    def test_deleted_is_dead(self):
        made = self.make().json()["result"]
        self.assertEqual(self.ask("DELETE", "/user/tokens/" + made["id"]).status, 200)
        self.assertEqual(self.ask("GET", "/user/tokens/verify", made["value"]).status, 401)
        self.assertEqual(self.ask("DELETE", "/user/tokens/" + made["id"]).status, 404)

    def test_what_is_refused(self):
        bad_group = [{"effect": "allow", "resources": ZONE, "permission_groups": [{"id": "0" * 32}]}]
        named = [{"effect": "allow", "resources": ZONE, "permission_groups": [{**DNS_READ, "name": "DNS Read"}]}]
        for change in (
            {"name": "x" * 121}, {"policies": []}, {"policies": bad_group}, {"policies": named}, {"expires_on": "tomorrow"},
            {"expires_on": "2020-01-01T00:00:00Z"}, {"condition": {"request.ip": {}}}, {"status": "active"},
        ):
            self.assertEqual(self.make(**change).status, 400, change)

    def test_an_account_is_not_a_user(self):
        account = "01a7362d577a6c3019a474fd6f485823"
        self.assertEqual(self.ask("GET", f"/accounts/{account}/tokens/verify").status, 401)
        self.assertEqual(self.ask("GET", f"/accounts/{account}/tokens").status, 403)


class Reports(Case):
    def report(self, values, **headers):
        return self.call("POST", "/credentials/revoke", None, {"credentials": values}, **headers)

    def test_without_authentication_alone(self):
        value = shapes.github_classic()
        self.github.add_personal_token(value, scopes=[])
        self.assertEqual(self.report([value], Authorization="Bearer " + value).status, 403)
        self.assertEqual(self.report([value]).status, 202)
        self.assertEqual(self.call("GET", "/user", value).status, 401)

    def test_what_is_refused(self):
        for values in ([], ["x"], [shapes.github_classic()] * 1001, [shapes.github_classic("ghs")], "x"):
            self.assertEqual(self.report(values).status, 422)

    def test_values_are_in_no_journal(self):
        value = shapes.github_fine()
        self.report([value])
        self.assertNotIn(value, str(self.github.requests()))


if __name__ == "__main__":
    unittest.main()
