#!/usr/bin/python3
"""The built mcpcred-provider against the stand-in: one process a call, as in the broker."""

import os
import signal
import socket
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))

from case import Case as BaseCase, HOST_ERROR  # noqa: E402
from connect_proxy import ConnectProxy  # noqa: E402
from ghclient import app_jwt, sign_jwt  # noqa: E402
from process import Fault, Gone  # noqa: E402
from standin import Standin  # noqa: E402

SCOPE = {"repositories": ["octo/hello"], "permissions": {"contents": "read"}}


class Case(BaseCase):
    def upstream(self, proof=None, base_url=None, app_id=None, installation=42):
        return {
            "provider": "github_app",
            "base_url": base_url or self.github.base_url,
            "parameters": {
                "app_id": str(app_id or self.github.app_id),
                "installation_id": str(installation),
            },
            "proof": proof or self.github.jwt(),
        }

    def mint(self, process=None, scope=None, **upstream):
        process = process or self.provider()
        return process.call(
            "Mint", upstream=self.upstream(**upstream), scope=scope or SCOPE, label="l-test"
        )

    def verify(self, process=None, **upstream):
        return (process or self.provider()).call("Verify", upstream=self.upstream(**upstream))

    def revoke(self, token, process=None, base_url=None):
        upstream = {**self.upstream(base_url=base_url), "proof": None}
        return (process or self.provider()).call("Revoke", upstream=upstream, token=token)


class Minting(Case):
    def test_narrowed_to_what_was_asked(self):
        reply = self.mint()
        self.assertEqual(reply["granted"]["repositories"], ["octo/hello"])
        self.assertEqual(reply["granted"]["permissions"], {"contents": "read", "metadata": "read"})
        self.assertLess(abs(reply["expires"] / 1e6 - time.time() - 3600), 60)
        self.assertGreater(len(reply["token"]), 300)
        [token] = self.github.tokens("alive")
        self.assertEqual(token["permissions"], {"contents": "read", "metadata": "read"})
        with self.github.client() as client:
            answer = client.call("GET", "/installation/repositories", reply["token"])
        self.assertEqual([item["name"] for item in answer.json()["repositories"]], ["hello"])

    def test_short_tokens_too(self):
        self.github.admin("set_tokens", token_format="classic")
        self.assertEqual(len(self.mint()["token"]), 40)

    def test_client_id_as_app_id(self):
        proof = app_jwt(self.github.app_key, self.github.client_id)
        self.assertTrue(self.mint(proof=proof, app_id=self.github.client_id)["token"])

    def test_enterprise_base_url(self):
        self.mint(base_url=self.github.enterprise_url)
        self.mint(base_url=self.github.enterprise_url + "/")
        targets = [request["target"] for request in self.github.requests("mint")]
        self.assertEqual(targets, ["/api/v3/app/installations/42/access_tokens"] * 2)

    def test_unscoped_is_refused_before_anything_is_sent(self):
        for scope, field in (
            ({"repositories": [], "permissions": {"contents": "read"}}, "scope.repositories"),
            ({"repositories": ["octo/hello"], "permissions": {}}, "scope.permissions"),
            ({"repositories": ["hello"], "permissions": {"contents": "read"}}, "scope.repositories"),
            (
                {"repositories": ["octo/hello", "acme/rockets"], "permissions": {"issues": "read"}},
                "scope.repositories",
            ),
            ({"repositories": ["octo/hello"], "permissions": {"issues": "all"}}, "scope.permissions"),
        ):
            self.assertEqual(self.fails("INVALID_PARAMETER", self.mint, scope=scope).field, field)
        self.assertEqual(self.github.requests(), [])

    def test_what_the_installation_does_not_have(self):
        wide = {"repositories": ["octo/hello"], "permissions": {"administration": "write"}}
        self.fails("UPSTREAM_BAD_SCOPE", self.mint, scope=wide)
        unknown = {"repositories": ["octo/nothing"], "permissions": {"contents": "read"}}
        self.fails("UPSTREAM_BAD_SCOPE", self.mint, scope=unknown)

    def test_another_owner_shows_in_what_was_granted(self):
        scope = {"repositories": ["evil/hello"], "permissions": {"contents": "read"}}
        self.assertEqual(self.mint(scope=scope)["granted"]["repositories"], ["octo/hello"])

    def test_many_repositories(self):
        names = [f"repository-{number}" for number in range(500)]
        world = {
            "app": {"id": 7, "slug": "big", "name": "Big", "owner": "octo"},
            "installations": [
                {"id": 42, "account": "octo", "permissions": {"contents": "read"}, "repositories": names}
            ],
        }
        self.github.stop()
        self.github = Standin(world=world).start()
        self.addCleanup(self.github.stop)
        scope = {"repositories": ["octo/" + name for name in names], "permissions": {"contents": "read"}}
        reply = self.mint(scope=scope)
        self.assertEqual(len(reply["granted"]["repositories"]), 500)


class Errors(Case):
    def test_wrong_key(self):
        with Standin() as other:
            proof = app_jwt(other.app_key, self.github.app_id)
            error = self.fails("UPSTREAM_ROOT_INVALID", self.mint, proof=proof)
            self.assertNotIn(proof, error.message)

    def test_stale_proof(self):
        proof = sign_jwt(self.github.app_key, {"iat": 1, "exp": 2, "iss": self.github.app_id})
        self.fails("UPSTREAM_ROOT_INVALID", self.mint, proof=proof)

    def test_unknown_installation(self):
        self.fails("UPSTREAM_NO_TARGET", self.mint, installation=999)

    def test_suspended_installation(self):
        self.github.admin("suspend", installation=42)
        self.assertIn("suspended", self.fails("UPSTREAM_DENIED", self.mint).message)

    def limited(self, kind, low, high, **options):
        self.github.fault("mint", kind, **options)
        error = self.fails("UPSTREAM_RATE_LIMITED", self.mint)
        self.assertTrue(low <= error.retry_after <= high, error.retry_after)

    def test_rate_limits(self):
        self.limited("rate_limit", 85, 90, reset=90)
        self.limited("rate_limit", 85, 90, reset=90, status=429)
        self.limited("rate_limit", 17, 17, retry_after=17)
        self.limited("rate_limit", 12, 17, retry_after=17, form="date")
        self.limited("secondary_limit", 33, 33, retry_after=33)
        self.limited("secondary_limit", 28, 33, retry_after=33, form="date", status=429)
        self.limited("secondary_limit", 60, 60, retry_after=None)
        self.assertEqual(self.github.tokens(), [])

    def test_rate_limit_of_a_server_whose_clock_is_off(self):
        self.github.admin("advance_clock", seconds=5000)
        proof = app_jwt(self.github.app_key, self.github.app_id, time.time() + 5000)
        self.github.fault("mint", "rate_limit", reset=90)
        error = self.fails("UPSTREAM_RATE_LIMITED", self.mint, proof=proof)
        self.assertLessEqual(error.retry_after, 90)

    def test_denied_is_no_rate_limit(self):
        body = {"message": "Resource not accessible by integration"}
        self.github.fault("mint", "status", status=403, body=body)
        self.assertIn("not accessible", self.fails("UPSTREAM_DENIED", self.mint).message)

    def test_echoed_credential_is_not_repeated(self):
        proof = self.github.jwt()
        body = {"message": "cannot decode " + proof[:60]}
        self.github.fault("mint", "status", status=403, body=body)
        error = self.fails("UPSTREAM_DENIED", self.mint, proof=proof)
        self.assertNotIn(proof[:20], error.message)


class Unknown(Case):
    """It may have happened."""

    def unknown(self, kind, process=None, alive=0, **options):
        self.github.fault("mint", kind, **options)
        self.fails("UPSTREAM_UNKNOWN", self.mint, process)
        self.assertEqual(len(self.github.tokens("alive")), alive)
        self.assertEqual(len(self.github.requests("mint")), 1)  # never asked twice

    def test_server_error(self):
        self.unknown("status", status=500)

    def test_bad_gateway_after_the_work(self):
        self.unknown("status", status=502, body="<html>", when="after", alive=1)

    def test_redirect_is_not_followed(self):
        self.unknown("status", status=307, headers={"Location": "https://localhost:1/"})

    def test_garbage(self):
        self.unknown("garbage")

    def test_error_in_a_200(self):
        self.unknown("error_body")

    def test_dropped_after_the_work(self):
        self.unknown("drop", when="after", alive=1)

    def test_reset_after_the_work(self):
        self.unknown("drop", when="after", reset=True, alive=1)

    def test_dropped_before_the_work(self):
        self.unknown("drop", when="before")

    def test_cut_short(self):
        self.unknown("truncate", alive=1)

    def test_huge_body(self):
        begin = time.monotonic()
        self.unknown("huge_body", status=201)
        self.assertLess(time.monotonic() - begin, 10)

    def test_no_answer(self):
        self.unknown("hang", self.quick())

    def test_another_content_type_is_read_all_the_same(self):
        # The token lives, so to refuse it would leave it to nobody.
        self.github.fault("mint", "content_type")
        self.assertTrue(self.mint()["token"])


class Unreachable(Case):
    """Nothing happened."""

    def test_nobody_listens(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"https://localhost:{free.getsockname()[1]}"
            self.fails(HOST_ERROR, self.mint, base_url=url)

    def test_name_does_not_resolve(self):
        self.fails(HOST_ERROR, self.mint, self.quick(), base_url="https://nowhere.invalid")

    def test_closes_before_tls(self):
        self.github.fault("connect", "drop", count=0)
        self.fails(HOST_ERROR, self.mint)

    def test_silent_before_tls(self):
        self.github.fault("connect", "hang", count=0)
        self.fails(HOST_ERROR, self.mint, self.quick(700))

    def test_unknown_authority(self):
        self.fails(HOST_ERROR, self.mint, self.provider("--timeout-ms", "5000"))

    def test_name_not_in_the_certificate(self):
        self.github.stop()
        self.github = Standin(names=("other.test",)).start()
        self.addCleanup(self.github.stop)
        self.fails(HOST_ERROR, self.mint, base_url=f"https://localhost:{self.github.port}")

    def test_environment_proxy_is_ignored(self):
        environment = {
            "https_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1",
            "ALL_PROXY": "http://127.0.0.1:1", "SSLKEYLOGFILE": "/tmp/no-such-directory/keys",
        }
        process = self.provider("--ca-file", self.github.ca, environment=environment)
        self.assertTrue(self.mint(process)["token"])


    def test_upstream_proxy_is_gone_through(self):
        with ConnectProxy() as proxy:
            process = self.provider("--ca-file", self.github.ca, "--upstream-proxy", proxy.url)
            self.assertTrue(self.mint(process)["token"])
            self.assertEqual(proxy.asked, [f"localhost:{self.github.port}"] * len(proxy.asked))
            self.assertGreater(len(proxy.asked), 0)


class Verifying(Case):
    def test_says_who_it_is(self):
        reply = self.verify()
        self.assertTrue(reply["checked"])
        self.assertEqual(
            reply["identity"], f"GitHub App standin-app ({self.github.app_id}), installed on octo"
        )

    def test_suspended(self):
        self.github.admin("suspend", installation=42)
        self.assertIn("suspended", self.verify()["identity"])

    def test_wrong_key_installation_and_app(self):
        with Standin() as other:
            proof = app_jwt(other.app_key, self.github.app_id)
            self.fails("UPSTREAM_ROOT_INVALID", self.verify, proof=proof)
        self.fails("UPSTREAM_NO_TARGET", self.verify, installation=999)
        self.fails("UPSTREAM_ROOT_INVALID", self.verify, proof=self.github.jwt(), app_id=4711)

    def test_static_cannot_be_asked(self):
        upstream = {"provider": "static", "parameters": {}}
        reply = self.provider().call("Verify", upstream=upstream)
        self.assertEqual((reply["identity"], reply["checked"], reply["rights_known"]), (None, False, False))


class Revoking(Case):
    def test_revoked_and_probed(self):
        token = self.mint()["token"]
        self.assertEqual(self.revoke(token), {"probed": True})
        self.assertEqual(self.github.tokens("alive"), [])
        self.assertEqual(len(self.github.requests("repositories")), 1)

    def test_enterprise(self):
        token = self.mint()["token"]
        self.assertEqual(self.revoke(token, base_url=self.github.enterprise_url), {"probed": True})

    def test_gone_already(self):
        token = self.mint()["token"]
        self.revoke(token)
        self.assertEqual(self.revoke(token), {"probed": True})

    def test_expired(self):
        token = self.mint()["token"]
        self.github.admin("age_tokens", seconds=4000)
        self.assertEqual(self.revoke(token), {"probed": True})

    def test_stray_401_is_not_believed(self):
        token = self.mint()["token"]
        self.github.fault("revoke", "unauthorized")
        self.fails("UPSTREAM_UNKNOWN", self.revoke, token)
        self.assertEqual(len(self.github.tokens("alive")), 1)

    def test_404_of_a_wrong_address_is_not_believed(self):
        token = self.mint()["token"]
        self.fails("UPSTREAM_UNKNOWN", self.revoke, token, base_url=self.github.base_url + "/nothing")

    def test_lost_reply(self):
        token = self.mint()["token"]
        self.github.fault("revoke", "drop", when="after")
        self.fails("UPSTREAM_UNKNOWN", self.revoke, token)
        self.assertEqual(self.revoke(token), {"probed": True})

    def test_probe_that_fails_leaves_it_unprobed(self):
        token = self.mint()["token"]
        self.github.fault("repositories", "status", status=503)
        self.assertEqual(self.revoke(token), {"probed": False})

    def test_slow_to_get_around(self):
        token = self.mint()["token"]
        self.github.fault("repositories", "status", status=200, body={"total_count": 0})
        self.assertEqual(self.revoke(token), {"probed": True})
        self.assertEqual(len(self.github.requests("repositories")), 2)

    def test_rate_limited(self):
        token = self.mint()["token"]
        self.github.fault("revoke", "rate_limit", retry_after=5)
        self.assertEqual(self.fails("UPSTREAM_RATE_LIMITED", self.revoke, token).retry_after, 5)

    def test_server_error(self):
        token = self.mint()["token"]
        self.github.fault("revoke", "status", status=500)
        self.fails("UPSTREAM_UNKNOWN", self.revoke, token)

    def test_nobody_listens(self):
        self.fails(HOST_ERROR, self.revoke, "ghs_" + "x" * 36, base_url="https://localhost:1")

    def test_static_cannot(self):
        upstream = {"provider": "static", "parameters": {}}
        call = self.provider().call
        self.fails("UNSUPPORTED", call, "Revoke", upstream=upstream, token="x")
        call = self.provider().call
        self.fails("UNSUPPORTED", call, "Mint", upstream=upstream, scope=SCOPE, label="l")


class Process(Case):
    def test_ends_after_one_call(self):
        process = self.provider()
        self.verify(process)
        self.assertEqual(process.process.wait(5), 0)

    def test_ends_with_the_supervisor(self):
        process = self.provider()
        process.attach()
        process.supervisor.close()
        self.assertEqual(process.process.wait(5), 0)

    def hung(self):
        self.github.fault("mint", "hang")
        process = self.provider()
        process.send("Mint", upstream=self.upstream(), scope=SCOPE, label="l-test")
        self.github.wait("mint")
        return process

    def test_ends_with_the_vault_in_the_middle_of_a_request(self):
        process = self.hung()
        process.vault.close()
        self.assertEqual(process.process.wait(5), 0)

    def test_ends_with_the_supervisor_in_the_middle_of_a_request(self):
        process = self.hung()
        process.supervisor.close()
        self.assertEqual(process.process.wait(5), 0)

    def test_ends_at_a_signal_in_the_middle_of_a_request(self):
        process = self.hung()
        process.process.terminate()
        self.assertEqual(process.process.wait(5), -signal.SIGTERM)

    def test_only_the_vault_is_served(self):
        with self.assertRaises(Fault):
            self.provider().attach(peer=1)

    def test_unknown_provider_and_parameters(self):
        upstream = {**self.upstream(), "provider": "nothing"}
        self.fails("UNSUPPORTED", self.provider().call, "Verify", upstream=upstream)
        for change, field in (
            ({"parameters": {"app_id": "1"}}, "parameters.installation_id"),
            ({"parameters": {"app_id": "1", "installation_id": "42/../43"}}, "parameters.installation_id"),
            ({"parameters": {"app_id": "1", "installation_id": "42", "x": "1"}}, "parameters.x"),
            ({"base_url": "http://localhost"}, "base_url"),
            ({"base_url": "https://user@localhost"}, "base_url"),
        ):
            upstream = {**self.upstream(), **change}
            error = self.fails("INVALID_PARAMETER", self.provider().call, "Verify", upstream=upstream)
            self.assertEqual(error.field, field)
        self.assertEqual(self.github.requests(), [])

    def test_proof_with_a_line_end_is_not_sent(self):
        self.fails("INVALID_PARAMETER", self.verify, proof="a\r\nX-Evil: injected")
        self.fails("INVALID_PARAMETER", self.verify, proof="a b")
        self.assertEqual(self.github.requests(), [])

    def test_malformed_frame_ends_it_quietly(self):
        process = self.provider()
        process.attach()
        process.vault.send(b"\xff" * 100)
        self.assertEqual(process.process.wait(5), 0)
        self.assertRaises(Gone, process.receive, "Mint")

    def test_missing_ca_file(self):
        process = self.provider("--ca-file", "/nonexistent")
        self.assertEqual(process.process.wait(5), 1)
        self.assertIn("/nonexistent", process.errors())


if __name__ == "__main__":
    unittest.main(verbosity=2)
