#!/usr/bin/python3
"""The real server-github, unmodified and sandboxed, against the stand-in.

It gets its token as its users give it one, in GITHUB_PERSONAL_ACCESS_TOKEN.
Needs port 443 of the loopback (low-ports.sh) and the packages (install.sh);
run.sh arranges for both.
"""

import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))

import sandboxed_server  # noqa: E402
from mcp_session import McpSession, SCRIPT  # noqa: E402
from standin import Standin  # noqa: E402

MODULES = os.environ.get("MCP_MODULES")
README = {"owner": "octo", "repo": "hello", "path": "README.md"}
TOKEN = "GITHUB_PERSONAL_ACCESS_TOKEN"


@unittest.skipUnless(MODULES, "MCP_MODULES does not say where install.sh put the packages")
class ServerGithub(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.github = Standin(port=443).start()
        cls.addClassCleanup(cls.github.stop)
        cls.command = sandboxed_server.command(MODULES, cls.github.ca, cls.github.directory)

    def session(self, **narrowing):
        token = self.github.mint(**narrowing)
        session = McpSession(MODULES, self.command, {TOKEN: token})
        self.addCleanup(session.close)
        return session

    def assert_refused(self, answer, text):
        """The server answers a refusal of the API with a JSON-RPC error."""
        self.assertIn("error", answer)
        self.assertIn(text, answer["error"]["message"])

    def test_reads_and_writes(self):
        session = self.session(
            repositories=["hello"], permissions={"contents": "read", "issues": "write"}
        )
        self.assertIn("get_file_contents", session.tools)
        answer = session.call("get_file_contents", **README)
        self.assertIn("Hello from octo/hello", answer["result"]["content"][0]["text"])
        answer = session.call("create_issue", owner="octo", repo="hello", title="From MCP")
        self.assertIn("From MCP", answer["result"]["content"][0]["text"])
        answer = session.call("list_issues", owner="octo", repo="hello")
        self.assertIn("From MCP", answer["result"]["content"][0]["text"])

    def test_narrow_token(self):
        session = self.session(repositories=["hello"], permissions={"contents": "read"})
        other = session.call("get_file_contents", **{**README, "repo": "plans"})
        self.assert_refused(other, "Not Found")
        issue = session.call("create_issue", owner="octo", repo="hello", title="No")
        self.assert_refused(issue, "Resource not accessible by integration")

    def test_revoked_between_two_calls(self):
        session = self.session(repositories=["hello"], permissions={"contents": "read"})
        self.assertIn("result", session.call("get_file_contents", **README))
        self.github.kill_token(self.github.tokens()[-1]["id"])
        self.assert_refused(session.call("get_file_contents", **README), "Bad credentials")

    def test_one_call(self):
        token = self.github.mint(permissions={"contents": "read"})
        options = ["--modules", MODULES, "--env", TOKEN, "--tool", "get_file_contents"]
        done = subprocess.run(
            ["node", SCRIPT, *options, "--arguments", json.dumps(README), "--"]
            + self.command,
            env={**os.environ, TOKEN: token},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Hello from octo/hello", done.stdout)


if __name__ == "__main__":
    unittest.main()
