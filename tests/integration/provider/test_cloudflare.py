#!/usr/bin/python3
"""Cloudflare: a token that makes its successor, and is deleted by it afterwards."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from case import HOST_ERROR, Issued  # noqa: E402

ACCOUNT = "01a7362d577a6c3019a474fd6f485823"
ZONE = "account.zone.eb78d65290b24279ba6f44721b3ea3c4"
USER = "user.7c5dae5552338874e5053f2534d2767a"
LABEL = "mcpcred-r-test"


class Case(Issued):
    vendor = "cloudflare"

    def rotate(self, process=None, label=LABEL, **upstream):
        return self.call("Rotate", process, label=label, **upstream)

    def end(self, proof=None, **values):
        upstream = {**self.upstream(), "proof": proof}
        return self.provider().call("RevokeSecret", upstream=upstream, **values)

    def abandon(self):
        return self.call("Abandon", label=LABEL)["ended"]

    def asked(self, endpoint):
        return len(self.github.requests("cloudflare." + endpoint))


class Verifying(Case):
    def test_says_what_it_is(self):
        reply = self.call("Verify")
        self.assertEqual(reply["identity"], f"Cloudflare API token mcpcred ({self.id})")
        self.assertEqual((reply["secret_id"], reply["expires"]), (self.id, None))
        self.assertTrue(reply["rights_known"])
        self.assertEqual(reply["rights"], [f"API Tokens Write: {USER}", f"DNS Read: {ZONE}"])

    def test_expiry(self):
        value, _ = self.github.add_issued("cloudflare", seconds=3000)
        self.assertLess(abs(self.call("Verify", proof=value)["expires"] / 1e6 - time.time() - 3000), 10)

    def test_one_that_may_not_look(self):
        value, number = self.github.add_issued("cloudflare", groups=[])
        reply = self.call("Verify", proof=value)
        self.assertIn("cannot be rotated", reply["identity"])
        self.assertEqual((reply["rights_known"], reply["secret_id"]), (False, number))

    def test_of_an_account(self):
        value, number = self.github.add_issued("cloudflare", account=ACCOUNT, groups=["Account API Tokens Write"])
        upstream = {**self.upstream(value), "parameters": {"account_id": ACCOUNT}}
        self.assertEqual(self.provider().call("Verify", upstream=upstream)["secret_id"], number)
        self.fails("UPSTREAM_ROOT_INVALID", self.call, "Verify", proof=value)
        self.assertTrue(self.provider().call("Rotate", upstream=upstream, label=LABEL)["secret"])

    def test_dead_wrong_and_expired(self):
        self.fails("UPSTREAM_ROOT_INVALID", self.call, "Verify", proof="x" * 40)
        value, number = self.github.add_issued("cloudflare")
        self.github.admin("kill_issued", vendor="cloudflare", id=number)
        self.fails("UPSTREAM_ROOT_INVALID", self.call, "Verify", proof=value)
        for body in ({"status": "disabled"}, {"status": "expired"}):
            result = {"success": True, "errors": [], "result": {"id": self.id, **body}}
            self.github.fault("cloudflare.verify", "status", status=200, body=result)
            self.fails("UPSTREAM_ROOT_INVALID", self.call, "Verify")
        self.github.fault("cloudflare.verify", "status", status=400, body={"success": False, "errors": [{"code": 6003}]})
        self.fails("UPSTREAM_ROOT_INVALID", self.call, "Verify")

    def test_a_success_that_says_it_is_none(self):
        self.github.fault("cloudflare.verify", "status", status=200, body={"success": False, "errors": []})
        self.fails("UPSTREAM_UNKNOWN", self.call, "Verify")

    def test_rate_limit(self):
        self.github.fault("cloudflare.verify", "status", status=429, headers={"Retry-After": "300"})
        self.assertEqual(self.fails("UPSTREAM_RATE_LIMITED", self.call, "Verify").retry_after, 300)


class Rotating(Case):
    def test_both_live_and_have_the_same_rights(self):
        reply = self.rotate()
        self.assertEqual(reply["old_secret_id"], self.id)
        self.assertEqual(self.ids(), {self.id, reply["secret_id"]})
        old, new = self.call("Verify"), self.call("Verify", proof=reply["secret"])
        self.assertEqual((old["rights"], new["secret_id"]), (new["rights"], reply["secret_id"]))
        [made] = [item for item in self.alive() if item["id"] == reply["secret_id"]]
        self.assertEqual(made["name"], LABEL)

    def test_restrictions_and_length_of_life_are_kept(self):
        condition = {"request_ip": {"in": ["127.0.0.0/8"]}}
        value, _ = self.github.add_issued("cloudflare", seconds=5000, condition=condition)
        reply = self.rotate(proof=value)
        self.assertLess(abs(reply["expires"] / 1e6 - time.time() - 5000), 10)
        [made] = [item for item in self.alive() if item["id"] == reply["secret_id"]]
        self.assertEqual(made["details"]["condition"], condition)

    def test_without_the_right(self):
        value, _ = self.github.add_issued("cloudflare", groups=["API Tokens Read"])
        self.assertIn("API Tokens Write", self.fails("UPSTREAM_DENIED", self.rotate, proof=value).message)
        self.assertEqual(len(self.alive()), 2)

    def test_refusals(self):
        for status, name in ((400, "UPSTREAM_BAD_SCOPE"), (401, "UPSTREAM_ROOT_INVALID"), (403, "UPSTREAM_DENIED")):
            self.github.fault("cloudflare.create", "status", status=status)
            self.fails(name, self.rotate)
        self.fails("INVALID_PARAMETER", self.rotate, label="x" * 121)
        self.assertEqual(self.ids(), {self.id})

    def test_lost_in_the_look_before_nothing_happened(self):
        for endpoint in ("cloudflare.verify", "cloudflare.get"):
            for kind, options in (("drop", {"when": "after"}), ("status", {"status": 502}), ("truncate", {}), ("error_body", {})):
                # What only reads may be sent again on another connection, by libcurl.
                fault = self.github.fault(endpoint, kind, count=0, **options)
                self.fails(HOST_ERROR, self.rotate)
                self.github.release(fault)
        self.assertEqual((self.asked("create"), self.ids()), (0, {self.id}))

    def test_lost_afterwards_it_may_have_happened_and_is_found_by_its_label(self):
        for kind, made, options in (
            ("drop", 0, {"when": "before"}), ("drop", 1, {"when": "after"}), ("truncate", 1, {}),
            ("status", 0, {"status": 500}), ("status", 1, {"status": 502, "when": "after"}), ("garbage", 0, {}), ("error_body", 0, {}),
        ):
            with self.subTest(kind=kind, **options):
                before = self.asked("create")
                self.github.fault("cloudflare.create", kind, **options)
                self.fails("UPSTREAM_UNKNOWN", self.rotate)
                self.assertEqual(self.asked("create"), before + 1)
                self.assertEqual(self.abandon(), made)
                self.assertEqual(self.ids(), {self.id})

    def test_silence(self):
        self.github.fault("cloudflare.create", "hang", when="after")
        self.fails("UPSTREAM_UNKNOWN", self.rotate, self.quick())

    def test_nothing_secret_is_printed(self):
        process = self.provider()
        reply = self.rotate(process)
        process.process.wait(5)
        self.assertNotIn(self.value, process.errors())
        self.assertNotIn(reply["secret"], process.errors())


class Ending(Case):
    def test_the_old_one_with_the_new_one(self):
        reply = self.rotate()
        ended = self.end(proof=reply["secret"], secret=self.value, secret_id=self.id)
        self.assertEqual((ended, self.ids()), ({"probed": True}, {reply["secret_id"]}))
        again = self.end(proof=reply["secret"], secret=self.value, secret_id=self.id)
        self.assertEqual(again, {"probed": True})

    def test_by_its_id_alone(self):
        reply = self.rotate()
        self.assertEqual(self.end(proof=reply["secret"], secret_id=self.id), {"probed": True})
        self.assertEqual(self.ids(), {reply["secret_id"]})

    def test_by_its_value_alone(self):
        self.assertEqual((self.end(secret=self.value), self.alive()), ({"probed": True}, []))

    def test_without_either(self):
        self.fails("INVALID_PARAMETER", self.end, secret_id=self.id)
        self.fails("INVALID_PARAMETER", self.end, proof=self.value)
        self.fails("INVALID_PARAMETER", self.end, proof=self.value, secret_id="../zones")

    def test_stray_401_is_not_believed(self):
        reply = self.rotate()
        self.github.fault("cloudflare.verify", "unauthorized")
        self.fails("UPSTREAM_UNKNOWN", self.end, proof=reply["secret"], secret=self.value)
        self.github.fault("cloudflare.delete", "unauthorized")
        self.fails("UPSTREAM_ROOT_INVALID", self.end, proof=reply["secret"], secret=self.value)
        self.assertEqual(len(self.alive()), 2)

    def test_stray_404_is_not_believed(self):
        reply = self.rotate()
        self.github.fault("cloudflare.delete", "status", status=404)
        self.fails("UPSTREAM_UNKNOWN", self.end, proof=reply["secret"], secret=self.value)
        self.assertEqual(len(self.alive()), 2)

    def test_lost_reply(self):
        reply = self.rotate()
        self.github.fault("cloudflare.delete", "drop", when="after")
        self.fails("UPSTREAM_UNKNOWN", self.end, proof=reply["secret"], secret=self.value)
        self.assertEqual(self.end(proof=reply["secret"], secret=self.value), {"probed": True})

    def test_rate_limit(self):
        reply = self.rotate()
        self.github.fault("cloudflare.delete", "status", status=429, headers={"Retry-After": "7"})
        error = self.fails("UPSTREAM_RATE_LIMITED", self.end, proof=reply["secret"], secret=self.value)
        self.assertEqual(error.retry_after, 7)


class Abandoning(Case):
    def test_all_of_that_label_and_no_others(self):
        for _ in range(3):
            self.github.add_issued("cloudflare", name=LABEL)
        self.github.add_issued("cloudflare", name=LABEL + "x")
        self.github.add_issued("cloudflare", name=LABEL[:-1])
        self.assertEqual(self.abandon(), 3)
        self.assertEqual(self.abandon(), 0)
        self.assertEqual(len(self.alive()), 3)

    def test_on_later_pages_which_move_up_by_what_is_deleted(self):
        for number in range(120):
            self.github.add_issued("cloudflare", name=LABEL if number in (9, 49, 119) else f"other-{number}")
        self.assertEqual(self.abandon(), 3)
        self.assertEqual(len(self.alive()), 118)

    def test_lost_deletion_is_a_doubt(self):
        self.github.add_issued("cloudflare", name=LABEL)
        self.github.fault("cloudflare.delete", "drop", when="after")
        self.fails("UPSTREAM_UNKNOWN", self.abandon)
        self.github.fault("cloudflare.list", "status", status=500)
        self.fails(HOST_ERROR, self.abandon)


if __name__ == "__main__":
    unittest.main(verbosity=2)
