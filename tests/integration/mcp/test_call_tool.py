#!/usr/bin/python3
"""The exit statuses and answers of call-tool.mjs, with a server that misbehaves."""

import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from mcp_session import McpSession, SCRIPT, SessionEnded  # noqa: E402

MODULES = os.environ.get("MCP_MODULES")
FAKE = ["/usr/bin/python3", os.path.join(HERE, "fake_server.py")]


@unittest.skipUnless(MODULES, "MCP_MODULES does not say where install.sh put the packages")
class CallTool(unittest.TestCase):
    def run_script(self, *options):
        command = ["node", SCRIPT, "--modules", MODULES, *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def status(self, *options):
        return self.run_script(*options).returncode

    def test_usage(self):
        self.assertEqual(self.status(), 2)
        self.assertEqual(self.status("--list"), 2)
        self.assertEqual(self.status("--list", "--lines", "--", *FAKE), 2)
        self.assertEqual(self.status("--absent", "--", *FAKE), 2)
        self.assertEqual(self.status("--tool", "env", "--arguments", "[]", "--", *FAKE), 2)
        self.assertEqual(self.status("--modules", "/nonexistent", "--list", "--", *FAKE), 2)

    def test_server_that_does_not_start(self):
        self.assertEqual(self.status("--list", "--", "true"), 3)
        with self.assertRaises(SessionEnded) as caught:
            McpSession(MODULES, ["/nonexistent"])
        self.assertEqual(caught.exception.status, 3)

    def test_one_call(self):
        self.assertEqual(self.status("--list", "--", *FAKE), 0)
        self.assertEqual(self.status("--tool", "env", "--", *FAKE), 0)
        self.assertEqual(self.status("--tool", "fail", "--", *FAKE), 1)
        self.assertEqual(self.status("--tool", "refuse", "--", *FAKE), 4)
        self.assertEqual(self.status("--tool", "die", "--", *FAKE), 5)

    def test_environment_is_what_was_given(self):
        os.environ["CALL_TOOL_OTHER"] = "x"
        self.addCleanup(os.environ.pop, "CALL_TOOL_OTHER")
        done = self.run_script("--tool", "env", "--env", "CALL_TOOL_GIVEN=1", "--", *FAKE)
        self.assertIn("CALL_TOOL_GIVEN", done.stdout)
        self.assertNotIn("CALL_TOOL_OTHER", done.stdout)

    def test_lines(self):
        with McpSession(MODULES, FAKE) as session:
            self.assertEqual(session.server["name"], "fake")
            self.assertTrue(session.call("fail")["result"]["isError"])
            self.assertIn("refused", session.call("refuse")["error"]["message"])
            self.assertIn("error", session.call("die"))
            self.assertEqual(session.close(), 5)

    def test_lines_that_end(self):
        session = McpSession(MODULES, FAKE)
        self.assertEqual(session.close(), 0)


if __name__ == "__main__":
    unittest.main()
