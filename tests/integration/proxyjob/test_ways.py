#!/usr/bin/python3
"""Each place for a key, each way in, and what is renewed behind the handle."""

import json
import unittest

from proxyjob import BASE, CLIENTS, DIRECT, PYTHON, Case, main

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# profile: (a request with the key in its slot, what the upstream calls the place, requests with it elsewhere)
SLOTS = {
    "basic": (
        {"url": BASE + "/whoami", "headers": {"Authorization": "Basic @b64{user:@{BASIC_KEY}}"}},
        "basic",
        [
            {"url": BASE + "/open/whoami", "headers": {"Authorization": "Bearer @{BASIC_KEY}"}},
            {"url": BASE + "/open/whoami?key=@{BASIC_KEY}"},
        ],
    ),
    "query": (
        {"url": BASE + "/whoami?a=b&key=@{QUERY_KEY}&c=d"},
        "query",
        [
            {"url": BASE + "/open/whoami?other=@{QUERY_KEY}"},
            {"url": BASE + "/open/whoami?key=@{QUERY_KEY}&key=@{QUERY_KEY}"},
            {"url": BASE + "/open/whoami", "headers": {"Authorization": "Bearer @{QUERY_KEY}"}},
        ],
    ),
    "path": (
        {"url": BASE + "/bot@{PATH_KEY}/whoami"},
        "path",
        [{"url": BASE + "/open/@{PATH_KEY}"}, {"url": BASE + "/open/whoami?key=@{PATH_KEY}"}],
    ),
    "form": (
        {"url": BASE + "/form", "method": "POST", "headers": FORM, "body": "a=b&token=@{FORM_KEY}&c=d+e"},
        "form",
        [
            {"url": BASE + "/open/upload", "method": "POST", "headers": FORM, "body": "other=@{FORM_KEY}"},
            {"url": BASE + "/open/upload", "method": "POST", "headers": {"Content-Type": "text/plain"}, "body": "token=@{FORM_KEY}"},
            {"url": BASE + "/open/whoami?token=@{FORM_KEY}"},
        ],
    ),
}


class Slots(Case):
    def slot(self, profile):
        good, place, elsewhere = SLOTS[profile]
        answers = self.batch("curl", profile, [good, *([] if DIRECT else elsewhere), good])
        for answer in (answers[0], answers[-1]):
            self.assertEqual(answer.get("status"), 200, answer)
            told = json.loads(answer["body"])
            self.assertEqual((told["place"], told["key"]), (place, "test"))
        for answer in answers[1:-1]:
            self.assertEqual(answer.get("status", 403), 403, answer)
        self.assert_clean()
        self.assertEqual({item["key"] for item in self.arrived() if item["endpoint"] != "echo.upload" and item.get("key")}, {"test"})

    def test_basic(self):
        self.slot("basic")

    def test_query(self):
        self.slot("query")

    def test_path(self):
        self.slot("path")

    def test_form(self):
        self.slot("form")


class Ways(Case):
    def sdk(self, vendor, profile):
        said = json.loads(self.run_client([PYTHON, f"{CLIENTS}/sdk_{vendor}.py"], profile).out)
        self.assertEqual((said["once"], said["streamed"]), ("You said: one two three",) * 2)
        self.assert_clean()

    def test_base_url_of_openai(self):
        self.sdk("openai", "openai-url")

    def test_base_url_of_anthropic(self):
        self.sdk("anthropic", "anthropic-url")

    def test_aws(self):
        """Signed anew, as boto3 signs with a secret that is none."""
        said = json.loads(self.run_client([PYTHON, CLIENTS + "/sdk_boto3.py"], "aws").out)
        self.assertEqual(said["account"], "123456789012")
        self.assertEqual(said["objects"], [True] * 4)
        self.assertEqual(said["other"], "NoSuchKey" if DIRECT else "403")
        self.assert_clean()

    def test_websocket(self):
        said = json.loads(self.run_client(["/usr/bin/python3", CLIENTS + "/websocket.py", "ECHO_KEY"], "echo").out)
        self.assertEqual(said, {"status": "101", "echoed": [True] * 4})

    @unittest.skipIf(DIRECT, "this is about the proxy")
    def test_no_websocket_where_the_profile_has_none(self):
        said = json.loads(self.run_client(["/usr/bin/python3", CLIENTS + "/websocket.py", "ECHO_KEY"], "strict").out)
        self.assertNotIn(said["status"], ("101", "426"), said)
        self.assertEqual(self.arrived("echo.websocket"), [])

    @unittest.skipIf(DIRECT, "there is nothing to renew")
    def test_a_token_is_renewed_behind_the_handle(self):
        """While its child goes on asking."""
        self.upstreams.set_tokens(lifetime=5)
        self.addCleanup(self.upstreams.set_tokens, lifetime=3600)
        script = (
            'for n in 1 2 3 4 5 6 7 8 9 10; do curl -s -o /dev/null -w "%{http_code} " -H "Authorization: Bearer $GITHUB_TOKEN" '
            "https://api.github.com/repos/octo/hello; sleep 1; done"
        )
        minted = len(self.upstreams.tokens())
        done = self.run_client(["/bin/sh", "-c", script], "app")
        self.assertEqual(done.out.split(), ["200"] * 10)
        self.assertGreaterEqual(len(self.upstreams.tokens()), minted + 2)
        used = {item["credential_sha256"] for item in self.arrived("repo")}
        self.assertGreaterEqual(len(used), 2)


if __name__ == "__main__":
    main(__file__)
