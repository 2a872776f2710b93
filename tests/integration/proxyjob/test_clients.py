#!/usr/bin/python3
"""Unmodified clients work in the sandbox, reach nothing else, and cannot give their handle away."""

import hashlib
import json
import subprocess
import unittest

from proxyjob import BASE, CLIENTS, DIRECT, HTTP_CLIENTS, MODULES, PYTHON, Case, bearer, main
from mcp_session import McpSession

SERVERS = f"{MODULES}/node_modules"
SAID = {"once": "You said: one two three", "streamed": "You said: one two three"}


class Http(Case):
    """Each HTTP client does the same, in one sandbox."""

    def works(self, client):
        size = 300_000
        ask = [
            {"url": BASE + "/whoami", "headers": bearer()},
            {"url": BASE + "/upload", "method": "POST", "size": size, "headers": bearer()},
            {"url": f"{BASE}/bytes?size={size}&chunked=1", "headers": bearer()},
            {"url": BASE + "/whoami", "method": "HEAD", "headers": bearer()},
            {"url": BASE + "/status?code=204", "headers": bearer()},
            {"url": BASE + "/redirect?to=https://other.example.test/", "headers": bearer()},
            {"url": BASE + "/stream?interval=1&count=5", "headers": bearer()},
            {"url": BASE + "/cookie", "headers": bearer()},
            {"url": BASE + "/open/whoami"},
        ]
        me, up, down, head, empty, moved, stream, cookie, nobody = self.batch(client, "echo", ask)
        self.assertEqual((me["status"], json.loads(me["body"])["key"]), (200, "test"))
        self.assertEqual(json.loads(up["body"]), {"size": size, "sha256": hashlib.sha256(bytes(size)).hexdigest()})
        self.assertEqual((down["status"], down["size"]), (200, size))
        self.assertEqual((head["status"], head["size"]), (200, 0))
        self.assertEqual((empty["status"], empty["size"]), (204, 0))
        self.assertEqual((moved["status"], moved["headers"]["location"]), (302, "https://other.example.test/"))
        self.assertEqual(stream["body"].count("data: "), 5)
        self.assertEqual("set-cookie" in cookie["headers"], DIRECT)
        self.assertEqual(json.loads(nobody["body"])["place"], None)
        self.assert_clean()

    def is_held(self, client):
        key = "@{ECHO_KEY}"
        ask = [
            ("rule", {"url": BASE + "/denied/whoami", "headers": bearer()}),
            (None, {"url": "https://other.example.test/whoami", "headers": bearer()}),
            (None, {"url": "https://127.0.0.1/whoami", "headers": bearer()}),
            (None, {"url": "http://echo.example.test:8080/whoami", "headers": bearer()}),
            (None, {"url": BASE + "/open/upload", "method": "POST", "body": f"say {key}", "headers": bearer()}),
            ("handle-place", {"url": BASE + "/open/whoami", "headers": {"X-Other": key}}),
            ("handle-place", {"url": BASE + "/open/whoami", "headers": {**bearer(), "User-Agent": key}}),
            ("handle-place", {"url": f"{BASE}/open/whoami?q={key}", "headers": bearer()}),
            ("handle-place", {"url": f"{BASE}/open/{key}", "headers": bearer()}),
            (None, {"url": "https://api.openai.com/v1/models", "headers": bearer()}),
        ]
        answers = self.batch(client, "echo,openai", [request for _, request in ask])
        for (reason, _), answer in zip(ask, answers):
            self.assert_refused(answer, reason)
        self.assert_clean()
        self.assertEqual([item for item in self.arrived() if item["endpoint"].startswith("openai")], [])
        self.assertEqual([item for item in self.arrived("echo.whoami") if item["key"]], [])
        denied = [line for line in self.audit() if line["operation"] == "proxy.request" and line["verdict"] == "deny"]
        self.assertLessEqual({"denied", "misuse"}, {line["reason"] for line in denied}, denied)


for name in HTTP_CLIENTS:
    def works(self, client=name):
        self.works(client)

    def is_held(self, client=name):
        self.is_held(client)

    setattr(Http, f"test_{name}_works", works)
    if not DIRECT:
        setattr(Http, f"test_{name}_is_held", is_held)
del works, is_held


class Sdk(Case):
    def sdk(self, vendor, command, models):
        answer = json.loads(self.run_client(command, vendor).out)
        self.assertEqual({name: answer[name] for name in SAID}, SAID)
        self.assertEqual(answer["models"], models)
        self.assertEqual(answer["denied"], 404 if DIRECT else 403)
        self.assert_clean()
        self.assertEqual(len(self.arrived(vendor + ".unknown")), 1 if DIRECT else 0)

    def test_openai_node(self):
        self.sdk("openai", ["node", CLIENTS + "/sdk_openai.mjs", MODULES], ["gpt-4o-mini", "gpt-4o"])

    def test_openai_python(self):
        self.sdk("openai", [PYTHON, CLIENTS + "/sdk_openai.py"], ["gpt-4o-mini", "gpt-4o"])

    def test_anthropic_node(self):
        self.sdk("anthropic", ["node", CLIENTS + "/sdk_anthropic.mjs", MODULES], ["claude-sonnet-4-5", "claude-3-5-haiku-latest"])

    def test_anthropic_python(self):
        self.sdk("anthropic", [PYTHON, CLIENTS + "/sdk_anthropic.py"], ["claude-sonnet-4-5", "claude-3-5-haiku-latest"])


class GitHub(Case):
    def lines(self, profile, *command):
        return dict(line.split(": ", 1) for line in self.run_client(command, profile).out.splitlines() if ": " in line)

    def pushed(self):
        path = self.upstreams.git_path("octo/hello")
        git = ["git", "-c", "safe.directory=*", "-C", path, "log", "-1", "--format=%H %s", "main"]
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()

    def git(self, profile):
        said = self.lines(profile, CLIENTS + "/git.sh", f"By {profile}")
        self.assertEqual(said["cloned"], "Hello from octo/hello")
        self.assertEqual(self.pushed(), f"{said['pushed']} By {profile}")
        self.assertEqual(said["other"], "refused")
        self.assert_clean()
        self.assertTrue([item for item in self.arrived("git.push") if item["key"]])

    def test_git_with_a_personal_token(self):
        self.git("github")

    @unittest.skipIf(DIRECT, "there is no token yet")
    def test_git_with_an_installation_token(self):
        """Which is minted behind the handle."""
        self.git("app")
        self.assertEqual([token["repositories"] for token in self.upstreams.tokens() if token["permissions"].get("issues") and token["repositories"]][-1], ["hello"])

    def test_gh(self):
        said = self.lines("github", CLIENTS + "/gh.sh")
        self.assertEqual(said["file"], "Hello from octo/hello")
        self.assertEqual(said["issue"], "From-gh")
        self.assertEqual((said["other"], said["token"]), ("refused", "refused"))
        self.assert_clean()
        if not DIRECT:
            self.assertEqual(self.arrived("mint"), [])


class Mcp(Case):
    """Servers that are started by a real MCP client."""

    def server(self, profile, entry):
        session = McpSession(MODULES, self.command(["node", f"{SERVERS}/{entry}"], profile))
        self.addCleanup(session.close)
        return session

    def test_server_github(self):
        session = self.server("github", "@modelcontextprotocol/server-github/dist/index.js")
        answer = session.call("get_file_contents", owner="octo", repo="hello", path="README.md")
        self.assertIn("Hello from octo/hello", answer["result"]["content"][0]["text"], answer)
        self.assertIn("result", session.call("create_issue", owner="octo", repo="hello", title="From MCP"))
        self.assertIn("error", session.call("get_file_contents", owner="octo", repo="plans", path="README.md"))
        self.assert_clean()

    def test_server_brave_search(self):
        session = self.server("brave", "@modelcontextprotocol/server-brave-search/dist/index.js")
        answer = session.call("brave_web_search", query="hello")
        self.assertIn("About hello", answer["result"]["content"][0]["text"], answer)
        self.assert_clean()

    def test_notion_mcp_server(self):
        session = self.server("notion", "@notionhq/notion-mcp-server/bin/cli.mjs")
        answer = session.call("API-get-self")
        self.assertIn("Stand-in", answer["result"]["content"][0]["text"], answer)
        answer = session.call("API-post-search", query="hello")
        self.assertIn("notion.so", answer["result"]["content"][0]["text"], answer)
        self.assert_clean()


if __name__ == "__main__":
    main(__file__)
