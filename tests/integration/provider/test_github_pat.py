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


ENDS = ["open", "taken", "dead", "refused"]


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

    def end_all(self, values, process=None, calls_max=12, **upstream):
        """What became of each, and the calls that counted."""
        secrets = [{"secret": value} for value in values]
        process = process or self.provider()
        reply = process.call("RevokeSecrets", upstream=self.upstream(**upstream), secrets=secrets, calls_max=calls_max)
        return [ENDS[item["end"]] for item in reply["ends"]], reply["calls"]

    def end(self, value=None, **options):
        [end], calls = self.end_all([value or self.value], **options)
        return end, calls

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
        self.assertEqual(self.end(), ("dead", 1))
        [report] = self.github.requests("revoke_credentials")
        self.assertIsNone(report["credential_sha256"])
        self.assertEqual(len(self.alive()), 1)
        self.assertTrue(self.verify(other)["checked"])

    def test_fine_grained(self):
        value = self.fine()
        self.assertEqual(self.end(value), ("dead", 1))

    def test_one_that_is_dead_costs_no_report(self):
        self.end()
        self.assertEqual((self.end(), self.reports()), (("dead", 0), 1))

    def test_stray_401_is_not_believed(self):
        self.github.fault("user", "unauthorized")
        self.assertEqual((self.end(), self.alive()), (("dead", 1), []))

    def test_done_there_later(self):
        self.github.admin("set_tokens", lag=2)
        self.assertEqual(self.end(), ("dead", 1))

    def test_taken_and_not_done_within_its_time(self):
        self.github.admin("set_tokens", lag=1000)
        process = self.provider("--ca-file", self.github.ca, "--timeout-ms", "1200")
        self.assertEqual(self.end(process=process), ("taken", 1))

    def test_server_of_ones_own(self):
        self.fails("UNSUPPORTED", self.end, base_url=self.github.enterprise_url)
        self.assertEqual(self.github.requests(), [])

    def test_refusals(self):
        self.github.fault("revoke_credentials", "status", status=422)
        self.assertEqual(self.end(), ("refused", 1))
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
        self.assertEqual((self.end(), self.reports()), (("dead", 0), 1))
        self.fails(HOST_ERROR, self.end, base_url="https://localhost:1")

    def test_nothing_secret_is_printed(self):
        process = self.provider()
        self.end(process=process)
        process.process.wait(5)
        self.assertNotIn(self.value, process.errors())


class Together(Case):
    """One call for many: a list is taken whole or not at all."""

    def many(self, number=32):
        return [self.classic() for _ in range(number)]

    def test_all_in_one_report(self):
        values = self.many()
        self.assertEqual(self.end_all(values), (["dead"] * 32, 1))
        self.assertEqual(self.reports(), 1)
        self.assertEqual(len(self.alive()), 1)

    def test_dead_ones_are_not_reported(self):
        dead, living = self.many(2)
        self.end(dead)
        self.assertEqual(self.end_all([dead, living]), (["dead", "dead"], 1))
        self.assertEqual(self.end_all([dead, living]), (["dead", "dead"], 0))

    def test_one_that_is_not_taken_is_found_and_keeps_none_from_the_others(self):
        values = self.many()
        values[20] = "ghp_" + "x" * 20
        self.github.add_personal_token(values[20], scopes=[])
        ends, calls = self.end_all(values)
        self.assertEqual([number for number, end in enumerate(ends) if end != "dead"], [20])
        self.assertEqual((ends[20], calls, self.reports()), ("refused", 11, 11))

    def test_no_more_calls_than_are_allowed(self):
        values = self.many(8)
        values[0] = "ghp_" + "x" * 20
        self.github.add_personal_token(values[0], scopes=[])
        ends, calls = self.end_all(values, calls_max=2)
        self.assertEqual((set(ends), calls, self.reports()), ({"open"}, 2, 2))

    def test_those_that_live_a_little_longer(self):
        values = self.many(3)
        self.github.admin("set_tokens", lag=1000)
        process = self.provider("--ca-file", self.github.ca, "--timeout-ms", "1500")
        self.assertEqual(self.end_all(values, process=process), (["taken"] * 3, 1))

    def test_slow_looks_leave_time_for_the_report(self):
        values = self.many(3)
        self.github.fault("user", "hang")
        process = self.provider("--ca-file", self.github.ca, "--timeout-ms", "1500")
        self.assertEqual(self.end_all(values, process=process), (["dead"] * 3, 1))

    def test_nothing_to_do_or_to_do_it_with(self):
        self.fails("INVALID_PARAMETER", self.end_all, [])
        self.fails("INVALID_PARAMETER", self.end_all, [self.value], calls_max=0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
