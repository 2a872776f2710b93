#!/usr/bin/python3
"""A personal access token of GitHub's: who it is, what it may do, and its end by a report."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from case import Case as BaseCase, HOST_ERROR  # noqa: E402
from standin import Standin  # noqa: E402
from vendors import shapes  # noqa: E402


class Case(BaseCase):
    @classmethod
    def setUpClass(cls):
        cls.github = Standin().start()
        cls.addClassCleanup(cls.github.stop)

    def setUp(self):
        self.github.reset()
        self.value = self.classic()

    def classic(self, scopes=("repo", "read:org"), **options):
        value = shapes.github_classic()
        self.github.add_personal_token(value, scopes=list(scopes), **options)
        return value

    def fine(self, **options):
        value = shapes.github_fine()
        self.github.add_personal_token(value, **options)
        return value

    def upstream(self, proof=None, base_url=None):
        return {"provider": "github_pat", "base_url": base_url or self.github.base_url, "parameters": {}, "proof": proof}

    def verify(self, value=None, **upstream):
        return self.provider().call("Verify", upstream=self.upstream(value or self.value, **upstream))

    def end(self, value=None, process=None, **upstream):
        return (process or self.provider()).call("RevokeSecret", upstream=self.upstream(**upstream), secret=value or self.value)

    def alive(self):
        return self.github.tokens("alive")

    def reports(self):
        return len(self.github.requests("revoke_credentials"))


class Verifying(Case):
    def test_classic_with_its_scopes_and_its_end(self):
        reply = self.verify()
        self.assertEqual((reply["identity"], reply["secret_id"]), ("GitHub user octocat, classic token", None))
        self.assertEqual((reply["rights_known"], reply["rights"]), (True, ["repo", "read:org"]))
        self.assertLess(abs(reply["expires"] / 1e6 - time.time() - 31536000), 60)

    def test_classic_without_scopes_or_end(self):
        reply = self.verify(self.classic(scopes=[], seconds=None))
        self.assertEqual((reply["rights_known"], reply["rights"], reply["expires"]), (True, [], None))

    def test_rights_of_a_fine_grained_one_are_not_known(self):
        reply = self.verify(self.fine(seconds=86400))
        self.assertEqual((reply["rights_known"], reply["rights"]), (False, []))
        self.assertEqual(reply["identity"], "GitHub user octocat, fine-grained token")
        self.assertLess(abs(reply["expires"] / 1e6 - time.time() - 86400), 60)

    def test_dead_denied_and_limited(self):
        self.fails("UPSTREAM_ROOT_INVALID", self.verify, shapes.github_classic())
        self.github.fault("user", "status", status=403, body={"message": "Resource protected by organization SAML enforcement"})
        self.fails("UPSTREAM_DENIED", self.verify)
        self.github.fault("user", "rate_limit", retry_after=17)
        self.assertEqual(self.fails("UPSTREAM_RATE_LIMITED", self.verify).retry_after, 17)
        self.github.fault("user", "error_body")
        self.fails("UPSTREAM_UNKNOWN", self.verify)

    def test_enterprise(self):
        self.assertTrue(self.verify(base_url=self.github.enterprise_url)["checked"])

    def test_what_it_cannot(self):
        upstream = self.upstream(self.value)
        self.fails("UNSUPPORTED", self.provider().call, "Mint", upstream=upstream, scope={}, label="l")
        self.fails("UNSUPPORTED", self.provider().call, "Rotate", upstream=upstream, label="r")


class Reporting(Case):
    def test_reported_without_authentication_and_seen_dead(self):
        other = self.classic()
        self.assertEqual(self.end(), {"probed": True})
        [report] = self.github.requests("revoke_credentials")
        self.assertIsNone(report["credential_sha256"])
        self.assertEqual(len(self.alive()), 1)
        self.assertTrue(self.verify(other)["checked"])

    def test_fine_grained(self):
        value = self.fine()
        self.assertEqual(self.end(value), {"probed": True})

    def test_one_that_is_dead_costs_no_report(self):
        self.end()
        self.assertEqual((self.end(), self.reports()), ({"probed": True}, 1))

    def test_stray_401_is_not_believed(self):
        self.github.fault("user", "unauthorized")
        self.fails("UPSTREAM_UNKNOWN", self.end)
        self.assertEqual(len(self.alive()), 1)

    def test_done_there_later(self):
        self.github.admin("set_tokens", lag=2)
        self.assertEqual(self.end(), {"probed": True})

    def test_taken_and_not_done_within_its_time(self):
        self.github.admin("set_tokens", lag=1000)
        process = self.provider("--ca-file", self.github.ca, "--timeout-ms", "1200")
        self.assertEqual(self.end(process=process), {"probed": False})

    def test_server_of_ones_own(self):
        self.fails("UNSUPPORTED", self.end, base_url=self.github.enterprise_url)
        self.assertEqual(self.github.requests(), [])

    def test_refusals(self):
        self.github.fault("revoke_credentials", "status", status=422)
        self.assertIn("settings", self.fails("UPSTREAM_DENIED", self.end).message)
        self.github.fault("revoke_credentials", "status", status=404)
        self.fails("UNSUPPORTED", self.end)
        self.github.fault("revoke_credentials", "status", status=500)
        self.fails("UPSTREAM_UNKNOWN", self.end)
        self.assertEqual(len(self.alive()), 1)

    def test_sixty_in_an_hour(self):
        for _ in range(60):
            with self.github.client() as client:
                client.call("POST", "/credentials/revoke", None, {"credentials": [shapes.github_classic()]})
        error = self.fails("UPSTREAM_RATE_LIMITED", self.end)
        self.assertTrue(3000 < error.retry_after <= 3601, error.retry_after)
        self.assertEqual(len(self.alive()), 1)

    def test_lost_replies(self):
        self.github.fault("revoke_credentials", "drop", when="after")
        self.fails("UPSTREAM_UNKNOWN", self.end)
        self.assertEqual((self.end(), self.reports()), ({"probed": True}, 1))
        self.fails(HOST_ERROR, self.end, base_url="https://localhost:1")

    def test_nothing_secret_is_printed(self):
        process = self.provider()
        self.end(process=process)
        process.process.wait(5)
        self.assertNotIn(self.value, process.errors())


if __name__ == "__main__":
    unittest.main(verbosity=2)
