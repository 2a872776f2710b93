#!/usr/bin/python3
"""A real MCP client starts the real server-github in a sandbox, through `mcpcred exec`."""

import json
import os
import subprocess
import unittest

from job import (
    CLIENT_ENVIRONMENT, ERROR_DENIED, EXEC_FAILED, HERE, MCPCRED, README, RUNTIME, Case, SessionEnded, main, wait_until,
)
from harness import sha256_hex
from mcp_session import McpSession
import job

SANDBOX = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"]
SHARED = ["--unshare-all", "--share-net", "--die-with-parent"]


class Job(Case):
    """With each of the stores."""

    def test_ends_with_the_session(self):
        session, number, token = self.open_mcp()
        self.assertIn("get_file_contents", session.tools)
        self.assert_reads(session)
        [record] = self.github.tokens("alive")
        self.assertEqual(record["repositories"], ["hello"])
        self.assertEqual(record["permissions"], {"contents": "read", "metadata": "read"})
        self.assertEqual(record["sha256"], sha256_hex(token))
        self.assertEqual(session.close(), 0)
        # The client saw its server end, and the server's end is the session's: `exec` waits for it.
        self.assertEqual(self.use(token), 401)
        self.assertEqual(self.github.tokens("alive"), [])
        [row] = [line for line in self.sessions() if line["session"] == number]
        self.assertEqual(row["state"], "ended")
        self.good("audit", "verify")

    def test_revoked_between_two_calls(self):
        session, number, token = self.open_mcp()
        self.assert_reads(session)
        self.good("revoke", "--session", number)
        self.assertEqual(self.use(token), 401)
        self.assert_refused(session.call("get_file_contents", **README))


class Memory(Job):
    def test_ends_with_its_lifetime(self):
        session, number, token = self.open_mcp("--ttl", "3s")
        self.assert_reads(session)
        before = self.github.count("revoke", "answered")
        self.github.wait("revoke", before + 1, "answered")
        self.assertEqual(self.use(token), 401)
        self.assert_refused(session.call("get_file_contents", **README))
        wait_until(lambda: self.github.tokens("alive") == [], "the token stays alive")

    def test_revoked_by_profile_secret_and_all(self):
        for selector in (["--profile", "github"], ["--secret", "github"], ["--all"]):
            session, _, token = self.open_mcp()
            self.assert_reads(session)
            self.good("revoke", *selector)
            self.assertEqual(self.use(token), 401)
            self.assert_refused(session.call("get_file_contents", **README))
            session.close()

    def test_revoked_by_the_leaked_token(self):
        session, _, token = self.open_mcp()
        self.good("revoke", "--token", "--stdin", stdin=token)
        self.assert_refused(session.call("get_file_contents", **README))

    def test_nothing_wider(self):
        session, _, token = self.open_mcp()
        self.assert_refused(session.call("get_file_contents", **{**README, "repo": "plans"}), "Not Found")
        issue = session.call("create_issue", owner="octo", repo="hello", title="No")
        self.assert_refused(issue, "Resource not accessible by integration")
        self.assertEqual(self.use(token, "/repos/octo/plans/contents/README.md"), 404)
        session.close()
        for options in (["--repo", "octo/plans"], ["--permission", "contents:write"], ["--permission", "issues:read"]):
            done = self.run_command(*self.exec_command("/bin/true", options=options))
            self.assertEqual(done.returncode, EXEC_FAILED, done)
            self.assertTrue(done.stderr)
            self.assertEqual(done.stdout, "")
        # And the client sees a server that does not start, not a token that is too wide.
        with self.assertRaises(SessionEnded):
            McpSession(job.MODULES, self.exec_command(*self.server, options=["--repo", "octo/plans"]))
        self.assertEqual(self.github.tokens("alive"), [])

    def run_command(self, *command):
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)

    def probe(self, *sandbox):
        program = ["/usr/bin/python3", os.path.join(HERE, "probe.py"), MCPCRED, RUNTIME + "/broker.sock"]
        done = self.run_command(*self.exec_command(*sandbox, *program))
        self.assertEqual(done.returncode, 0, done)
        return json.loads(done.stdout)

    def test_inside_the_sandbox(self):
        seen = self.probe(*SANDBOX, *SHARED)
        own = {"GITHUB_PERSONAL_ACCESS_TOKEN", "MCPCRED_FD", "MCPCRED_SESSION", "MCPCRED_SOCK"}
        # bubblewrap itself sets PWD.
        self.assertEqual(set(seen["environment"]) - {"PWD", "LC_CTYPE"}, own | set(CLIENT_ENVIRONMENT))
        self.assertEqual(seen["run"], [])
        self.assertEqual(seen["control"], "No such file or directory")
        self.assertEqual(seen["session_path"], "No such file or directory")
        self.assertFalse(seen["private_key"])
        self.assertEqual(seen["by_descriptor"], {"status": 0, "out": seen["token"], "err": ""})
        self.assertEqual(seen["exec"]["status"], EXEC_FAILED)

    def test_control_socket_in_the_sandbox(self):
        """Also when a launcher puts it there."""
        seen = self.probe(*SANDBOX, "--bind", RUNTIME, "/run/control", *SHARED)
        answer = seen["bound_control"]
        self.assertEqual((answer["status"], answer["out"]), (ERROR_DENIED, sha256_hex("")), answer)
        self.assertIn("another user namespace", answer["err"])

    def test_control_socket_without_a_sandbox(self):
        """The mark of a session is enough to be refused."""
        done = self.run_command(*self.exec_command(MCPCRED, "sessions"))
        self.assertEqual((done.returncode, done.stdout), (ERROR_DENIED, ""), done)
        seen = self.probe()
        self.assertEqual((seen["control"], seen["session_path"]), ("connected", "connected"))
        self.assertEqual(seen["exec"]["status"], EXEC_FAILED)

    def test_two_sessions_are_apart(self):
        first, number, token = self.open_mcp()
        done = self.run_command(*self.exec_command("/bin/sh", "-c", "echo ${#OTHER_TOKEN}", profile="other"))
        self.assertEqual((done.returncode, done.stdout), (0, f"{len(token)}\n"), done)
        self.assert_reads(first)
        self.good("revoke", "--profile", "other")
        self.assert_reads(first)
        self.good("revoke", "--session", number)
        self.assert_refused(first.call("get_file_contents", **README))


class Persistent(Job):
    """The broker is started by the MCP client, whose environment says nothing of a bus."""

    def test_started_by_the_client(self):
        self.stop_broker()
        if self.store == "sealed-file":
            done = subprocess.run(self.exec_command("/bin/true"), capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, EXEC_FAILED)
            self.assertIn("unlock", done.stderr)
            self.unlock()
        session, number, token = self.open_mcp()
        self.assertIn(self.store, self.good("status"))
        self.assert_reads(session)
        self.good("revoke", "--session", number)
        self.assertEqual(self.use(token), 401)


class SealedFile(Persistent):
    store = "sealed-file"


class SecretService(Persistent):
    store = "secret-service"


del Job, Persistent

if __name__ == "__main__":
    main(__file__)
