#!/usr/bin/python3
"""No real credential is in the sandbox: not in memory, environment, arguments or files of what runs there."""

import glob
import json
import os
import subprocess
import unittest

from proxyjob import BASE, CLIENTS, DIRECT, HTTP_CLIENTS, MODULES, Case, bearer, main
from harness import children_of
from mcp_session import McpSession
from residue import Needles, Scanner


def descendants(pid):
    found = []
    for child in children_of(pid):
        found += [child, *descendants(child)]
    return found


@unittest.skipIf(DIRECT, "the client has the credential then")
class Residue(Case):
    def setUp(self):
        super().setUp()
        self.needles = Needles()
        for name, key in self.keys.items():
            self.needles.add(name, key)
        self.scanner = Scanner(self.needles)

    def look(self, launcher):
        """The launcher and what it started, as far as it may be read; says how many memories were."""
        looked = 0
        for pid in [launcher, *descendants(launcher)]:
            try:
                found, read, _ = self.scanner.memory(pid)
            except (PermissionError, FileNotFoundError, ProcessLookupError):
                continue
            self.assertEqual(found, set())
            looked += read > 100_000
            for path in glob.glob(f"/proc/{pid}/root/tmp") + glob.glob(f"/proc/{pid}/root/run"):
                self.assertEqual(self.scanner.files(path), set())
        self.assertEqual(self.scanner.arguments(but={os.getpid()}), set())
        return looked

    def test_a_server_in_node(self):
        session = McpSession(MODULES, self.command(["node", MODULES + "/node_modules/@modelcontextprotocol/server-github/dist/index.js"], "github"))
        self.addCleanup(session.close)
        answer = session.call("get_file_contents", owner="octo", repo="hello", path="README.md")
        self.assertIn("result", answer, answer)
        looked = self.look(session._process.pid)
        if os.geteuid() == 0:
            self.assertGreaterEqual(looked, 3)

    def test_a_client_in_python(self):
        """One that asks for everything that comes back, and holds it."""
        program = (
            "import sys, json, os\n"
            f"sys.path.insert(0, {CLIENTS!r})\n"
            "import requests\n"
            "kept = []\n"
            "for form in ('raw', 'base64', 'hex', 'percent', 'json'):\n"
            f"    kept.append(requests.get('{BASE}/reflect?as=' + form, headers={{'Authorization': 'Bearer ' + os.environ['ECHO_KEY']}}))\n"
            "open('/tmp/kept', 'wb').write(b''.join(answer.content for answer in kept))\n"
            "print('done', flush=True)\n"
            "sys.stdin.read()\n"
        )
        python = HTTP_CLIENTS["requests"][0]
        child = subprocess.Popen(
            self.command([python, "-c", program], "echo"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(child.wait)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stdin.close)
        self.assertEqual(child.stdout.readline(), "done\n")
        looked = self.look(child.pid)
        if os.geteuid() == 0:
            self.assertGreaterEqual(looked, 2)

    def test_the_session_process(self):
        """Not even what serves the sandbox has it."""
        if os.geteuid() != 0:
            self.skipTest("only root can read it")
        script = f'curl -s -H "Authorization: Bearer $ECHO_KEY" {BASE}/reflect; echo; echo done; read line'
        child = subprocess.Popen(
            self.command(["/bin/sh", "-c", script], "echo"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(child.wait)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stdin.close)
        while child.stdout.readline() != "done\n":
            pass
        roles = {pid: name for pid, name in children_of(self.broker.pid).items()}
        self.assertIn("mcpcred-session", roles.values())
        for pid, name in roles.items():
            if name in ("mcpcred-session", "mcpcred-gate"):
                self.assertEqual(self.scanner.memory(pid)[0], set(), name)

    def test_what_is_said(self):
        self.batch("requests", "echo", [{"url": BASE + "/reflect", "headers": bearer()}])
        said = json.dumps(self.audit()) + "".join(self.log.lines)
        for verb in ("sessions", "leases"):
            said += self.good(verb, "--all", "--json")
        self.assertEqual(self.needles.find(said.encode()), set())


if __name__ == "__main__":
    main(__file__)
