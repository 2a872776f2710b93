#!/usr/bin/python3
"""GitLab: project tokens out of a token, and a token that rotates itself, which kills it."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from case import HOST_ERROR, Issued  # noqa: E402

SCOPE = {"repositories": ["octo/tools/deep"], "permissions": {"api": "read"}}
DAY = 86400


class Case(Issued):
    vendor = "gitlab"

    def mint(self, process=None, scope=None, **upstream):
        return self.call("Mint", process, scope=scope or SCOPE, label="l-test", **upstream)

    def rotate(self, process=None, **upstream):
        return self.call("Rotate", process, label="r-test", **upstream)

    def get(self, path, token):
        with self.github.client() as client:
            return client.call("GET", "/gitlab/api/v4" + path, token)


class Minting(Case):
    def test_narrowed_to_what_was_asked(self):
        reply = self.mint()
        self.assertEqual(reply["granted"], {"repositories": ["octo/tools/deep"], "permissions": {"api": "read"}})
        [token] = self.alive("project")
        self.assertEqual((token["details"]["scopes"], token["details"]["access_level"]), (["read_api"], 20))
        self.assertEqual((token["name"], token["details"]["project"]), ("l-test", 12))
        self.assertEqual(reply["upstream_id"], f"12:{token['id']}")
        self.assertEqual(self.get("/projects/12/issues", reply["token"]).status, 200)
        self.assertEqual(self.get("/projects/11/issues", reply["token"]).status, 404)

    def test_expires_at_a_midnight_that_is_at_least_an_hour_away(self):
        expires = self.mint()["expires"] / 1e6
        self.assertEqual(expires % DAY, 0)
        self.assertTrue(3600 <= expires - time.time() <= 25 * 3600, expires)

    def test_levels_are_scopes_and_role(self):
        for permissions, scopes, level in (
            ({"api": "write"}, ["api"], 30),
            ({"api": "admin"}, ["api"], 40),
            ({"repository": "write", "api": "read"}, ["read_api", "write_repository"], 30),
            ({"registry": "write"}, ["read_registry", "write_registry"], 30),
            ({"repository": "read", "registry": "read"}, ["read_registry", "read_repository"], 20),
        ):
            before = {item["id"] for item in self.alive("project")}
            reply = self.mint(scope={"repositories": ["octo/hello"], "permissions": permissions})
            self.assertEqual(reply["granted"]["permissions"], permissions)
            [token] = [item for item in self.alive("project") if item["id"] not in before]
            self.assertEqual((sorted(token["details"]["scopes"]), token["details"]["access_level"]), (scopes, level))

    def test_unscoped_is_refused_before_anything_is_sent(self):
        for scope, field in (
            ({"repositories": [], "permissions": {"api": "read"}}, "scope.repositories"),
            ({"repositories": ["octo/hello", "octo/other"], "permissions": {"api": "read"}}, "scope.repositories"),
            ({"repositories": ["hello"], "permissions": {"api": "read"}}, "scope.repositories"),
            ({"repositories": ["octo/../hello"], "permissions": {"api": "read"}}, "scope.repositories"),
            ({"repositories": ["octo/hello"], "permissions": {}}, "scope.permissions"),
            ({"repositories": ["octo/hello"], "permissions": {"contents": "read"}}, "scope.permissions"),
            ({"repositories": ["octo/hello"], "permissions": {"api": "write", "registry": "admin"}}, "scope.permissions"),
        ):
            self.assertEqual(self.fails("INVALID_PARAMETER", self.mint, scope=scope).field, field)
        self.assertEqual(self.github.requests(), [])

    def test_wider_than_asked_shows_in_what_was_granted(self):
        body = {
            "id": 1, "name": "l-test", "scopes": ["api", "sudo"], "access_level": 50, "expires_at": "2999-01-01", "token": "t" * 20,
        }
        self.github.fault("gitlab.mint", "status", status=201, body=body)
        granted = self.mint()["granted"]["permissions"]
        self.assertEqual(granted, {"api": "admin", "sudo": "admin", "access_level": "admin"})


class Errors(Case):
    def test_wrong_expired_and_revoked_token(self):
        self.fails("UPSTREAM_ROOT_INVALID", self.mint, proof="glpat" + "-" + "x" * 20)
        expired, number = self.github.add_issued("gitlab", days=0)
        self.fails("UPSTREAM_ROOT_INVALID", self.mint, proof=expired)
        self.github.admin("kill_issued", vendor="gitlab", id=self.id)
        self.fails("UPSTREAM_ROOT_INVALID", self.mint)

    def test_without_the_scope(self):
        value, _ = self.github.add_issued("gitlab", scopes=["read_api", "self_rotate"])
        error = self.fails("UPSTREAM_DENIED", self.mint, proof=value)
        self.assertIn("scope api", error.message)

    def test_role_too_low_and_project_unknown(self):
        scope = {"repositories": ["acme/rockets"], "permissions": {"api": "read"}}
        self.fails("UPSTREAM_DENIED", self.mint, scope=scope)
        scope = {"repositories": ["octo/nothing"], "permissions": {"api": "read"}}
        self.fails("UPSTREAM_NO_TARGET", self.mint, scope=scope)

    def test_refused_scope(self):
        self.github.fault("gitlab.mint", "status", status=400, body={"message": "scopes does not have a valid value"})
        self.assertIn("valid value", self.fails("UPSTREAM_BAD_SCOPE", self.mint).message)

    def test_rate_limit(self):
        for endpoint in ("gitlab.project", "gitlab.mint"):
            self.github.fault(endpoint, "status", status=429, headers={"Retry-After": "17"}, body={"message": "Retry later"})
            self.assertEqual(self.fails("UPSTREAM_RATE_LIMITED", self.mint).retry_after, 17)
        self.assertEqual(self.alive("project"), [])

    def test_echoed_credential_is_not_repeated(self):
        self.github.fault("gitlab.mint", "status", status=403, body={"message": "no: " + self.value})
        self.assertNotIn(self.value[:20], self.fails("UPSTREAM_DENIED", self.mint).message)


class Lost(Case):
    """Which replies leave a doubt, and which do not."""

    def lost(self, endpoint, kind, name, process=None, alive=0, **options):
        self.github.fault(endpoint, kind, **options)
        self.fails(name, self.mint, process)
        self.assertEqual(len(self.alive("project")), alive)
        self.assertLessEqual(len(self.github.requests("gitlab.mint")), 1)  # never asked twice

    def test_of_the_mint_it_may_have_happened(self):
        for kind, alive, options in (
            ("drop", 0, {"when": "before"}), ("drop", 1, {"when": "after"}), ("truncate", 1, {}),
            ("status", 0, {"status": 500}), ("status", 1, {"status": 502, "when": "after"}), ("garbage", 0, {}),
            ("error_body", 0, {}), ("status", 0, {"status": 302, "headers": {"Location": "https://localhost:1/"}}),
        ):
            with self.subTest(kind=kind, **options):
                before = len(self.github.requests("gitlab.mint"))
                living = len(self.alive("project"))
                self.github.fault("gitlab.mint", kind, **options)
                self.fails("UPSTREAM_UNKNOWN", self.mint)
                self.assertEqual(len(self.github.requests("gitlab.mint")), before + 1)
                self.assertEqual(len(self.alive("project")), living + alive)

    def test_no_answer_to_the_mint(self):
        self.lost("gitlab.mint", "hang", "UPSTREAM_UNKNOWN", self.quick())

    def test_of_the_look_before_nothing_happened(self):
        for kind, options in (
            ("drop", {"when": "after"}), ("truncate", {}), ("status", {"status": 500}), ("garbage", {}), ("error_body", {}),
        ):
            with self.subTest(kind=kind):
                self.lost("gitlab.project", kind, HOST_ERROR, **options)
        self.assertEqual(self.github.requests("gitlab.mint"), [])

    def test_nobody_listens(self):
        self.fails(HOST_ERROR, self.mint, base_url="https://localhost:1/api/v4")


class Verifying(Case):
    def test_says_what_it_is(self):
        reply = self.call("Verify")
        self.assertTrue(reply["checked"] and reply["rights_known"])
        self.assertEqual((reply["rights"], reply["secret_id"]), (["api"], str(self.id)))
        self.assertEqual(reply["identity"], f"GitLab token mcpcred ({self.id})")
        self.assertEqual(reply["expires"] / 1e6, (int(time.time()) // DAY + 90) * DAY)

    def test_one_that_never_expires(self):
        value, _ = self.github.add_issued("gitlab", days=None)
        self.assertIsNone(self.call("Verify", proof=value)["expires"])

    def test_what_is_missing_is_said(self):
        value, _ = self.github.add_issued("gitlab", scopes=["read_api"])
        self.assertIn("neither", self.call("Verify", proof=value)["identity"])

    def test_dead(self):
        self.github.admin("kill_issued", vendor="gitlab", id=self.id)
        self.fails("UPSTREAM_ROOT_INVALID", self.call, "Verify")

    def test_wrong_address(self):
        self.fails("UPSTREAM_NO_TARGET", self.call, "Verify", base_url=self.github.base_url + "/gitlab/nothing")


class Revoking(Case):
    def revoke(self, token, **upstream):
        process = self.provider()
        return process.call("Revoke", upstream={**self.upstream(**upstream), "proof": None}, token=token)

    def test_revoked_and_probed(self):
        token = self.mint()["token"]
        self.assertEqual(self.revoke(token), {"probed": True})
        self.assertEqual(self.alive("project"), [])
        self.assertEqual(len(self.alive("personal")), 1)

    def test_gone_already(self):
        token = self.mint()["token"]
        self.revoke(token)
        self.assertEqual(self.revoke(token), {"probed": True})

    def test_after_the_root_was_replaced(self):
        token = self.mint()["token"]
        self.github.admin("kill_issued", vendor="gitlab", id=self.id)
        self.assertEqual(self.revoke(token), {"probed": True})

    def test_stray_401_is_not_believed(self):
        token = self.mint()["token"]
        self.github.fault("gitlab.revoke", "unauthorized")
        self.fails("UPSTREAM_UNKNOWN", self.revoke, token)
        self.assertEqual(len(self.alive("project")), 1)

    def test_404_of_a_wrong_address_is_not_believed(self):
        token = self.mint()["token"]
        self.fails("UPSTREAM_UNKNOWN", self.revoke, token, base_url=self.github.base_url + "/gitlab/nothing")

    def test_lost_reply(self):
        token = self.mint()["token"]
        self.github.fault("gitlab.revoke", "drop", when="after")
        self.fails("UPSTREAM_UNKNOWN", self.revoke, token)
        self.assertEqual(self.revoke(token), {"probed": True})

    def test_rate_limited_and_broken(self):
        token = self.mint()["token"]
        self.github.fault("gitlab.revoke", "status", status=429, headers={"Retry-After": "5"})
        self.assertEqual(self.fails("UPSTREAM_RATE_LIMITED", self.revoke, token).retry_after, 5)
        self.github.fault("gitlab.revoke", "status", status=500)
        self.fails("UPSTREAM_UNKNOWN", self.revoke, token)

    def test_the_secret_itself(self):
        upstream = {**self.upstream(), "proof": None}
        reply = self.provider().call("RevokeSecret", upstream=upstream, secret=self.value, secret_id=str(self.id))
        self.assertEqual((reply, self.alive()), ({"probed": True}, []))

    def test_a_value_is_needed(self):
        upstream = {**self.upstream(), "proof": None}
        self.fails("INVALID_PARAMETER", self.provider().call, "RevokeSecret", upstream=upstream, secret_id="1")


class Rotating(Case):
    def test_the_old_one_is_dead_at_once(self):
        reply = self.rotate()
        self.assertEqual(reply["old_secret_id"], str(self.id))
        self.assertEqual(self.ids(), {reply["secret_id"]})
        self.fails("UPSTREAM_ROOT_INVALID", self.call, "Verify")
        verified = self.call("Verify", proof=reply["secret"])
        self.assertEqual((verified["rights"], verified["expires"]), (["api"], reply["expires"]))

    def test_as_long_as_the_old_one_had(self):
        for days, expected in ((90, 90), (1, 1), (365, 365), (None, 365)):
            value, _ = self.github.add_issued("gitlab", days=days)
            expires = self.rotate(proof=value)["expires"] / 1e6
            self.assertEqual(expires, (int(time.time()) // DAY + expected) * DAY)

    def test_self_rotate_is_enough(self):
        value, _ = self.github.add_issued("gitlab", scopes=["read_api", "self_rotate"])
        self.assertTrue(self.rotate(proof=value)["secret"])

    def test_may_not(self):
        value, number = self.github.add_issued("gitlab", scopes=["read_api"])
        self.assertIn("self_rotate", self.fails("UPSTREAM_DENIED", self.rotate, proof=value).message)
        self.assertIn(str(number), self.ids())

    def test_refusals_leave_it_alive(self):
        for status, name in ((400, "UPSTREAM_DENIED"), (403, "UPSTREAM_DENIED"), (404, "UNSUPPORTED"), (405, "UNSUPPORTED")):
            self.github.fault("gitlab.rotate", "status", status=status)
            self.fails(name, self.rotate)
        self.github.fault("gitlab.rotate", "status", status=429, headers={"Retry-After": "9"})
        self.assertEqual(self.fails("UPSTREAM_RATE_LIMITED", self.rotate).retry_after, 9)
        self.assertEqual(self.ids(), {str(self.id)})

    def test_lost_in_the_look_before_nothing_happened(self):
        for kind, options in (("drop", {"when": "after"}), ("status", {"status": 503}), ("truncate", {}), ("error_body", {})):
            self.github.fault("gitlab.self", kind, **options)
            self.fails(HOST_ERROR, self.rotate)
        self.assertEqual(self.github.requests("gitlab.rotate"), [])
        self.assertEqual(self.ids(), {str(self.id)})

    def test_lost_afterwards_it_may_have_happened_and_is_not_asked_again(self):
        for kind, options in (
            ("drop", {"when": "before"}), ("drop", {"when": "after"}), ("truncate", {}), ("status", {"status": 500}),
            ("status", {"status": 502, "when": "after"}), ("garbage", {}), ("error_body", {}),
        ):
            with self.subTest(kind=kind, **options):
                value, _ = self.github.add_issued("gitlab")
                before = len(self.github.requests("gitlab.rotate"))
                self.github.fault("gitlab.rotate", kind, **options)
                self.fails("UPSTREAM_UNKNOWN", self.rotate, proof=value)
                self.assertEqual(len(self.github.requests("gitlab.rotate")), before + 1)

    def test_silence(self):
        self.github.fault("gitlab.rotate", "hang", when="after")
        self.fails("UPSTREAM_UNKNOWN", self.rotate, self.quick())

    def test_a_dead_one_is_never_asked_to_rotate(self):
        # It would take its successors along.
        successor = self.rotate()
        self.fails("UPSTREAM_ROOT_INVALID", self.rotate)
        self.assertEqual(self.ids(), {successor["secret_id"]})
        self.assertEqual(len(self.github.requests("gitlab.rotate")), 1)

    def test_abandon_cannot_be(self):
        self.fails("UNSUPPORTED", self.call, "Abandon", label="r-test")

    def test_nothing_secret_is_printed(self):
        process = self.provider()
        reply = self.rotate(process)
        process.process.wait(5)
        self.assertNotIn(self.value, process.errors())
        self.assertNotIn(reply["secret"], process.errors())


if __name__ == "__main__":
    unittest.main(verbosity=2)
