#!/usr/bin/python3
"""`mcpcred leak report` and the signatures of webhooks, against a whole broker."""

import hashlib
import hmac
import json
import os
import socket
import subprocess
import time

from harness import BUILD, PROFILES, Case, main
from varlink import CallError, sealed_value

MCPCRED = os.path.join(BUILD, "client-lib", "cli", "mcpcred")
KEY = "stored-" + "key-" * 8
HOOK = "It's a Secret to Everybody"
CONFIG = PROFILES + """
[profile hooked]
secret = hook
deliver = proxy
slot = bearer
allow = GET hooked.example /**
"""


class Reporting(Case):
    config = CONFIG

    def setUp(self):
        super().setUp()
        self.it = self.ready()
        self.it.add("api", "static", KEY.encode(), hosts=["localhost"])

    def run_leak(self, report, *options):
        """Exit status, and the document of --json."""
        report = report if isinstance(report, bytes) else report.encode()
        environment = {"PATH": "/usr/bin:/bin", "HOME": self.it.path("home")}
        done = subprocess.run([MCPCRED, "leak", "report", "-", "--json", "--runtime", self.it.path("runtime"), *options],
                              input=report, capture_output=True, env=environment, check=False)
        self.output = done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout)

    def assert_unnamed(self, *values):
        """Not even a piece of a value is in what was printed, in the audit log or in the broker's."""
        with open(self.it.audit_path, "rb") as file:
            text = self.output + file.read() + "\n".join(self.it.log.lines).encode()
        for value in values:
            for start in range(len(value) - 11):
                self.assertNotIn(value[start : start + 12].encode(), text)


class Reports(Reporting):
    def setUp(self):
        super().setUp()
        self.it.crash("vault")  # what was stored before is known too

    def test_10000_findings_of_which_three_are_ours_acts_on_the_three_and_names_them_without_printing_them(self):
        first, second, other = self.it.open("gh"), self.it.open("gh"), self.it.open("gh")
        rows = []
        for number in range(10000):
            secret = hashlib.sha256(b"%d" % number).hexdigest()
            rows.append({"RuleID": "generic-api-key", "Match": f'token = "{secret}"', "Secret": secret,
                         "File": f"src/{number}.py", "StartLine": number + 1, "Commit": "c" * 40})
        rows[17].update(Secret=first.token, Match=f'token = "{first.token}"')
        rows[5000].update(Secret=f'API_KEY="{KEY}"', Match=f'export API_KEY="{KEY}"')
        rows[9999].update(Secret=f"https://x-access-token:{second.token}@github.com/o/r", Match="")
        status, document = self.run_leak(json.dumps(rows))
        self.assertIn(status, (0, 8), self.output)
        self.assertEqual((document["findings"], document["matched"], document["unknown"]), (10000, 3, 9997))
        found = {match["places"][0]["place"]: match for match in document["matches"]}
        self.assertEqual(sorted(found), ["src/17.py", "src/5000.py", "src/9999.py"])
        self.assertEqual(found["src/17.py"]["session"], first.id)
        self.assertEqual(found["src/9999.py"]["session"], second.id)
        self.assertEqual((found["src/5000.py"]["kind"], found["src/5000.py"]["secret"]), ("secret", "api"))
        self.assert_unnamed(first.token, second.token, KEY)
        for session in first, second:
            self.wait_dead(session.token)
            self.assertEqual(self.it.wait_ended(session)["state"], "ended")
        self.assert_alive(other.token)  # nobody reported it
        for match in document["matches"]:
            self.assertTrue(match["incident"] and match["actions"], match)
        # Again: what was done is not done twice.
        again = self.run_leak(json.dumps(rows))[1]
        self.assertEqual(sorted(match["incident"] for match in again["matches"]),
                         sorted(match["incident"] for match in document["matches"]))
        self.assert_alive(other.token)

    def test_a_key_in_pem_is_known_in_every_form(self):
        with open(self.github.app_key, encoding="ascii") as file:
            pem = file.read()
        for report in (pem, pem.replace("\n", "\r\n"), f"first\n{pem}last\n", json.dumps([{"RuleID": "k", "Secret": pem}])):
            _, document = self.run_leak(report, "--dry-run")
            self.assertEqual([match["secret"] for match in document["matches"]], ["github"], self.output)

    def test_nothing_of_ours_is_no_match(self):
        self.it.open("gh")
        self.assertEqual(self.run_leak("mcpch_" + "a" * 38 + "\nnothing\n")[0], 0)
        self.assertEqual(self.run_leak("")[0], 0)


def sign(body, key=HOOK, timestamp=""):
    return "sha256=" + hmac.new((timestamp + key).encode(), body, hashlib.sha256).hexdigest()


class Webhooks(Reporting):
    def setUp(self):
        super().setUp()
        self.it.add("hook", "webhook", HOOK.encode())

    def ask(self, body, signature, secret="hook", **more):
        with sealed_value(body) as value:
            parameters = {"secret": secret, "scheme": "github", "signature": signature, **more}
            return self.it.call("VerifyWebhook", parameters, [value.fileno()])["valid"]

    def test_githubs_documented_sample_verifies_and_a_flipped_bit_does_not(self):
        good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        self.assertTrue(self.ask(b"Hello, World!", good))
        self.assertFalse(self.ask(b"Hello, World?", good))
        self.assertFalse(self.ask(b"Hello, World!", good[:-1] + "6"))
        self.assertFalse(self.ask(b"Hello, World!", "sha256="))
        lines = [event for event in self.it.audit() if event["operation"] == "webhook.verify"]
        self.assertEqual([(line["verdict"], line["secret"]) for line in lines], [("deny", "hook")] * 3)

    def test_gitguardian(self):
        signature = sign(b"{}", timestamp="1700000000")
        self.assertTrue(self.ask(b"{}", signature, scheme="gitguardian", timestamp="1700000000"))
        self.assertFalse(self.ask(b"{}", signature, scheme="gitguardian", timestamp="1700000001"))
        self.fails("InvalidParameter", self.ask, b"{}", signature, scheme="gitguardian")
        self.fails("InvalidParameter", self.ask, b"{}", signature, timestamp="1700000000")

    def test_keys_of_anything_else_are_not_tried(self):
        self.fails("PolicyDenied", self.ask, b"{}", sign(b"{}", KEY), secret="api")
        self.fails("NotFound", self.ask, b"{}", sign(b"{}"), secret="nothing")

    def test_the_key_is_for_no_session(self):
        error = self.fails("PolicyDenied", self.it.open, "hooked")
        self.assertIn("webhook", error.message)
        [row] = [row for row in self.it.rows("ListProfiles", "profiles") if row["name"] == "hooked"]
        self.assertIn("webhook", row["problem"])

    def test_a_body_of_megabytes_goes_through_and_a_longer_one_does_not(self):
        # The answer of a key that is not there comes before the body was read.
        body = b"x" * (8 * 1024 * 1024)
        options = ("--webhook-secret", "hook", "--signature")
        self.assertEqual(self.run_leak(body, *options, sign(body))[1]["signature"], "valid")
        self.assertEqual(self.run_leak(body + b"x", *options, sign(body))[0], 5)
        self.assertEqual(self.run_leak(body, "--webhook-secret", "nothing", "--signature", sign(body))[0], 6)
        longer = body * 4 + b"x"
        status, document = self.run_leak(longer, *options, sign(longer))
        self.assertEqual((status, document["error"]["code"]), (2, "InvalidParameter"))

    def test_a_forged_report_does_nothing(self):
        session = self.it.open("gh")
        options = ("--webhook-secret", "hook", "--signature", sign(b"something else"))
        self.assertEqual(self.run_leak(session.token, *options)[0], 5)
        self.assert_alive(session.token)
        self.assertFalse([event for event in self.it.audit() if event["operation"].startswith("leak")])

    def test_an_old_webhook_does_nothing(self):
        session = self.it.open("gh")
        body = json.dumps({"policy": "p", "gitguardian_link": "https://a/b", "matches": [{"match": session.token}]}).encode()
        for age, status in ((1000, 5), (1, None)):
            stamp = str(int(time.time()) - age)
            got, _ = self.run_leak(body, "--webhook-secret", "hook", "--timestamp", stamp, "--signature", sign(body, timestamp=stamp))
            self.assertTrue(got == status or (status is None and got in (0, 8)), self.output)

    def test_a_body_that_never_ends_holds_up_nobody(self):
        ours, theirs = socket.socketpair()
        with ours, self.it.client() as slow:
            with theirs:
                slow.send("VerifyWebhook", {"secret": "hook", "scheme": "github", "signature": sign(b"")}, [theirs.fileno()])
            ours.send(b"a part")
            self.assertTrue(self.ask(b"{}", sign(b"{}")))
            ours.shutdown(socket.SHUT_WR)
            self.assertEqual(slow.receive()["valid"], False)

    def test_what_is_no_stream_socket_is_refused(self):
        read, write = os.pipe()
        os.close(write)
        with self.it.client() as client, self.assertRaises(CallError) as caught:
            client.call("VerifyWebhook", {"secret": "hook", "scheme": "github", "signature": sign(b"")}, [read])
        os.close(read)
        self.assertEqual(caught.exception.name, "InvalidParameter")


if __name__ == "__main__":
    main()
