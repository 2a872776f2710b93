#!/usr/bin/python3
"""Upstreams and clients that go wrong: a clear status and reason, and nothing else takes harm."""

import json
import os
import signal
import subprocess
import unittest

from proxyjob import BASE, CLIENTS, DIRECT, Case, bearer, main
from harness import children_of, wait_until

# What an upstream answers, and what its client gets: a status, or one of these words.
BAD, CUT = "502 with a reason", "an error, or less than was promised"
UPSTREAM = {
    "/lie?kind=long": CUT,
    "/lie?kind=short": 200,
    "/lie?kind=both": BAD,
    "/lie?kind=two": BAD,
    "/lie?kind=negative": BAD,
    "/lie?kind=chunk": CUT,
    "/lie?kind=chunk-end": CUT,
    "/lie?kind=garbage": BAD,
    "/lie?kind=http09": BAD,
    "/lie?kind=old": 200,
    "/lie?kind=bare-lf": BAD,
    "/lie?kind=fold": BAD,
    "/lie?kind=split": 200,
    "/close?at=start": BAD,
    "/close?at=head": BAD,
    "/close?at=body": CUT,
    "/big-head?size=300000": BAD,
    "/slow?piece=head&interval=5": 200,
    "/slow?piece=body&interval=5": 200,
    "/trailers": 200,
    "/hints": 200,
    "/status?code=304": 304,
    "/redirect?to=http://169.254.169.254/": 302,
}


@unittest.skipIf(DIRECT, "this is about the proxy")
class Upstream(Case):
    def assert_answer(self, path, wanted, answer):
        status = answer.get("status")
        if wanted == BAD:
            self.assertEqual(status, 502, answer)
            self.assertIn("x-mcpcred-reason", answer["headers"])
        elif wanted == CUT:
            self.assertTrue("error" in answer or status == 502, answer)
        else:
            self.assertEqual(status, wanted, answer)
        self.assertNotIn("forged", answer.get("body", ""))
        self.assertNotIn("x-after", answer.get("headers", {}))

    def test_each(self):
        """Each is followed by a good request, which must not get any of it."""
        good = {"url": BASE + "/whoami", "headers": bearer()}
        ask = [one for path in UPSTREAM for one in ({"url": BASE + path, "headers": bearer()}, good)]
        answers = self.batch("requests", "echo", ask)
        for at, (path, wanted) in enumerate(UPSTREAM.items()):
            with self.subTest(path=path):
                self.assert_answer(path, wanted, answers[2 * at])
                after = answers[2 * at + 1]
                self.assertEqual((after.get("status"), json.loads(after.get("body") or "{}").get("key")), (200, "test"), after)

    def test_an_answer_before_the_end_of_the_upload(self):
        ask = [
            {"url": BASE + "/early?status=413&read=1000", "method": "POST", "size": 8 << 20, "headers": bearer()},
            {"url": BASE + "/whoami", "headers": bearer()},
        ]
        early, after = self.batch("curl", "echo", ask)
        self.assertIn(early.get("status", 413), (413, 502), early)
        self.assertEqual(after["status"], 200)

    def test_a_response_while_the_request_goes_on(self):
        done = self.run_client(["/usr/bin/python3", CLIENTS + "/duplex.py", BASE + "/duplex", "20"], "echo")
        self.assertEqual(done.out, "whole\n")

    def test_expectations(self):
        ask = [
            {"url": f"{BASE}/continue?kind={kind}", "method": "POST", "body": "four", "headers": {**bearer(), "Expect": "100-continue"}}
            for kind in ("yes", "no", "late")
        ]
        yes, no, late = self.batch("curl", "echo", ask)
        self.assertEqual((yes["status"], json.loads(yes["body"])["size"]), (200, 4))
        self.assertEqual(no["status"], 417)
        self.assertEqual((late["status"], json.loads(late["body"])["size"]), (200, 4))

    def test_a_client_that_leaves(self):
        """Its upstream connection ends with it."""
        command = ["curl", "-s", "--max-time", "1", "-H", "X-None: 1", BASE + "/open/never"]
        done = subprocess.run(self.command(command, "echo"), check=False, timeout=60)
        self.assertEqual(done.returncode, 28)
        wait_until(lambda: {item["phase"] for item in self.arrived("echo.never")} == {"abandoned"}, "it stays open")

    def test_a_bomb(self):
        """Is cut at some point, and nobody holds it."""
        script = f'curl -sN -H "Authorization: Bearer $ECHO_KEY" {BASE}/inflate?size=1073741824 | wc -c'
        done = self.run_client(["/bin/sh", "-c", script], "echo")
        self.assertLess(int(done.out), 64 << 20)
        for pid, name in children_of(self.broker.pid).items():
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
            self.assertLess(peak, 64 << 10, name)


@unittest.skipIf(DIRECT, "this is about the proxy")
class Isolation(Case):
    """What happens to one session's processes is its own affair."""

    def setUp(self):
        super().setUp()
        wait_until(lambda: not self.workers("session"), "a session of an earlier test goes on")

    def stream(self, label):
        command = ["/usr/bin/python3", CLIENTS + "/streams.py", "1", "1", "0", "2"]
        child = subprocess.Popen(self.command(command, "echo", ["--label", label]), stdout=subprocess.PIPE, text=True)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), "open\n")
        return child

    def workers(self, role):
        return sorted(pid for pid, name in children_of(self.broker.pid).items() if role.startswith(name.removeprefix("mcpcred-")))

    def sent(self):
        return {item["id"]: item["sent"] for item in self.arrived() if item["endpoint"] == "echo.stream"}

    def assert_goes_on(self, record):
        before = self.sent()[record]
        wait_until(lambda: self.sent()[record] > before + 50, "its stream stands")

    def test_a_session_process_is_killed(self):
        self.stream("first")
        [first] = self.sent()
        old = set(self.workers("session"))
        second = self.stream("second")
        [victim] = set(self.workers("session")) - old
        os.kill(victim, signal.SIGKILL)
        self.assertIn("last", second.stdout.readline())
        self.assert_goes_on(first)

    def test_a_session_process_is_stopped(self):
        self.stream("first")
        [first] = self.sent()
        old = set(self.workers("session"))
        self.stream("second")
        [victim] = set(self.workers("session")) - old
        os.kill(victim, signal.SIGSTOP)
        self.addCleanup(os.kill, victim, signal.SIGCONT)
        self.assert_goes_on(first)
        answer = self.batch("requests", "echo", [{"url": BASE + "/whoami", "headers": bearer()}])[0]
        self.assertEqual(answer["status"], 200)

    def again(self, role):
        """The same client goes on after the process was killed, and trusts nothing new for it."""
        script = (
            'ask() { curl -s -o /dev/null -w "%{http_code}\\n" --retry 20 --retry-all-errors --retry-delay 1 '
            f'-H "Authorization: Bearer $ECHO_KEY" {BASE}/whoami; }}; ask; read line; ask'
        )
        child = subprocess.Popen(
            self.command(["/bin/sh", "-c", script], "echo"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(child.stdin.close)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), "200\n")
        [victim] = self.workers(role)
        pidfd = os.pidfd_open(victim)
        os.kill(victim, signal.SIGKILL)
        os.close(pidfd)
        child.stdin.write("\n")
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), "200\n", "\n".join(self.log.lines))
        self.assertEqual(child.wait(60), 0)

    def test_a_session_process_comes_back(self):
        self.again("session")

    def test_an_egress_comes_back(self):
        self.again("egress")

    def test_a_vault_comes_back(self):
        self.again("vault")

    def test_half_open_handshakes(self):
        """Of one sandbox, many; another's request does not notice."""
        script = (
            "import os, socket, sys\n"
            "kept = []\n"
            "for _ in range(500):\n"
            "    try:\n"
            "        kept.append(socket.create_connection(('echo.example.test', 443), 5))\n"
            "        kept[-1].send(b'\\x16\\x03\\x01')\n"
            "    except OSError:\n"
            "        pass\n"
            "print('open', len(kept), flush=True)\n"
            "sys.stdin.read()\n"
        )
        child = subprocess.Popen(
            self.command(["/usr/bin/python3", "-c", script], "echo"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(child.wait)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stdin.close)
        self.assertIn("open", child.stdout.readline())
        answer = self.batch("requests", "echo", [{"url": BASE + "/whoami", "headers": bearer()}])[0]
        self.assertEqual(answer["status"], 200)


if __name__ == "__main__":
    main(__file__)
