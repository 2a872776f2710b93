#!/usr/bin/python3
"""docs/incident-runbook.md as a person follows it: each command is run, and answers in the shape that the page shows."""

import hashlib
import hmac
import http.client
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "broker"))

from harness import BUILD, PROFILES, ROOT, Case, main  # noqa: E402

RUNBOOK = os.path.join(ROOT, "docs", "incident-runbook.md")
CONTAIN = os.path.join(ROOT, "examples", "incident", "contain.sh")
RELAY = os.path.join(ROOT, "examples", "incident", "relay.py")
MARK = "--- the next block ---"
CONFIG = PROFILES + """
[profile api]
secret = api
preset = generic
slot = bearer
allow = GET api.example.com /**
env = API_KEY

[profile raw]
secret = api
deliver = env
env = API_KEY
ttl = 1h
expose_secret = yes
command = /bin/true

[profile gl]
secret = gitlab
repositories = octo/hello
permissions = api:read
ttl = 1h
deliver = env
env = GITLAB_TOKEN
"""


def blocks(path):
    """(commands, expected lines or None) of each block."""
    with open(path, encoding="utf-8") as file:
        found = re.findall(r"^```(sh|text)\n(.*?)^```$", file.read(), re.M | re.S)
    result = []
    for kind, text in found:
        if kind == "sh":
            result.append([text, None])
        else:
            assert result and result[-1][1] is None, "an expected output without its commands"
            result[-1][1] = text.splitlines()
    return result


def pattern(line):
    return ".*".join(re.escape(part) for part in line.split("…"))


class Incident(Case):
    config = CONFIG

    def setUp(self):
        super().setUp()
        self.it = self.ready()
        self.key = "zq9" + "".join(chr(ord("a") + i * 7 % 26) for i in range(29)) + "Q7"
        self.it.add("api", "static", self.key.encode(), hosts=["api.example.com"])
        self.gitlab, _ = self.github.add_issued("gitlab")
        self.it.add("gitlab", "gitlab", self.gitlab.encode(), base_url=self.github.gitlab_url, verify=True)
        self.home = self.it.path("home")
        self.bin = self.it.path("bin")
        os.mkdir(self.bin)
        command = os.path.join(BUILD, "client-lib", "cli", "mcpcred")
        self.script("mcpcred", f'exec {command} --runtime {self.it.path("runtime")} "$@"\n')
        self.environment = {"PATH": self.bin + ":" + os.environ["PATH"], "HOME": self.home, "LC_ALL": "C.UTF-8",
                            "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A",
                            "GIT_COMMITTER_EMAIL": "a@b"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def script(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)

    def run_in_place(self, command, **options):
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False,
                              stdin=options.pop("stdin", subprocess.DEVNULL), **options)

    def contain(self, *arguments, status=None):
        done = self.run_in_place([CONTAIN, *arguments])
        if status is not None:
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertNotIn(self.key, done.stdout + done.stderr)
        return done.stdout

    def generations(self):
        return {row["name"]: row["generation"] for row in self.it.rows("ListSecrets", "secrets")}

    def open_states(self):
        return [row["lease"] for row in self.it.leases() if row["state"] in ("live", "intent")]


class Runbook(Incident):
    def prepare(self):
        """A leak: a session's token is in a file, and in the history of a repository."""
        session = self.it.open("gh", "api")
        app = os.path.join(self.home, "src", "app")
        os.makedirs(app)
        with open(os.path.join(app, "debug.log"), "w", encoding="utf-8") as file:
            file.write(f"token {session.token}\n")
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--no-gpg-sign", "-m", "x"]):
            self.run_in_place(["git", "-C", app, *command]).check_returncode()
        with open(os.path.join(self.home, "leaked.txt"), "w", encoding="utf-8") as file:
            file.write(session.token + "\n")
        path = os.path.join(self.home, "new-key.pem")
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", path, "2048"], check=True, capture_output=True)
        self.github.add_key(path)
        return {"session": session.id}

    def test_every_command_works_and_answers_as_it_says(self):
        yours = self.prepare()
        steps = blocks(RUNBOOK)
        self.assertGreater(len(steps), 15)
        script = ""
        for commands, _ in steps:
            for line in commands.splitlines():
                given = re.match(r"(\w+)=.*# yours", line)
                script += f"{given[1]}={yours[given[1]]}\n" if given and given[1] in yours else line + "\n"
            script += f"echo '{MARK}'\n"
        done = self.run_in_place(["/bin/sh"], stdin=None, input=script)
        answers = done.stdout.split(MARK + "\n")
        self.assertEqual(len(answers), len(steps) + 1, done.stdout + done.stderr)
        for (commands, expected), answer in zip(steps, answers):
            lines = iter(answer.splitlines())
            for line in expected or []:
                self.assertTrue(any(re.fullmatch(pattern(line), got) for got in lines),
                                f"{commands}\nanswers, without {line!r}:\n{answer}\n{done.stderr}")
        for word in ("usage", "Usage", "not found", "syntax"):
            self.assertNotIn(word, done.stderr)
        for secret in (self.key, self.gitlab, "PRIVATE KEY"):
            self.assertNotIn(secret, done.stdout + done.stderr)
        self.assertEqual(self.open_states(), [])
        self.it.audit()


class Contain(Incident):
    def test_a_session_is_contained_and_others_go_on(self):
        bad, good = self.it.open("gh"), self.it.open("gh")
        text = self.contain("session", bad.id, status=0)
        self.assertIn(f"done: revoked (--session {bad.id}): credentials: 1\n      1 confirmed", text)
        self.assert_dead(bad.token)
        self.assert_alive(good.token)
        self.assertEqual(self.generations(), {"api": 1, "github": 1, "gitlab": 1})
        self.assertIn("done: revoked", self.contain("session", bad.id, status=0))  # again
        self.assert_alive(good.token)

    def test_a_key_that_a_session_was_handed_is_to_be_replaced(self):
        bad = self.it.open("raw", command=["/bin/true"])
        for _ in range(2):
            text = self.contain("session", bad.id, status=3)
            self.assertIn("secret api: ", text)
            self.assertIn("mcpcred rotate api --now", text)
        self.it.rotate(self.key[::-1].encode(), name="api")
        self.assertNotIn("to do", self.contain("session", bad.id, status=0))

    def test_a_provider_is_contained_and_its_secrets_replaced_once(self):
        session, other = self.it.open("gl"), self.it.open("gh")
        text = self.contain("provider", "gitlab", status=0)
        self.assertIn("done: replaced secret gitlab", text)
        self.assertEqual(self.generations()["gitlab"], 2)
        self.assertEqual(self.it.sessions()[session.id]["state"], "ended")
        self.assert_alive(other.token)
        self.assertIn("secret gitlab was replaced within the last hour", self.contain("provider", "gitlab", status=0))
        self.assertEqual(self.generations()["gitlab"], 2)

    def test_a_wrong_name_does_not_keep_the_other_secrets_from_being_contained(self):
        session = self.it.open("gl")
        text = self.contain("secret", "absent", "gitlab", "missing", status=1)
        self.assertIn("FAILED: nothing was revoked: There is no secret absent", text)
        self.assertIn("done: replaced secret gitlab", text)
        self.assertEqual(self.it.sessions()[session.id]["state"], "ended")
        self.assertEqual(self.generations(), {"api": 1, "github": 1, "gitlab": 2})

    def test_everything_is_contained_and_what_a_person_has_to_do_is_listed(self):
        sessions = [self.it.open(profile) for profile in ("gh", "gl", "api")]
        text = self.contain("everything", status=3)
        self.assertEqual({self.it.sessions()[item.id]["state"] for item in sessions}, {"ended"})
        self.assertEqual(self.generations(), {"api": 1, "github": 1, "gitlab": 2})
        todo = text[text.index("to do by a person:"):]
        self.assertIn("secret api: ", todo)
        self.assertIn("secret github: In the App's settings", todo)
        self.assertNotIn("gitlab", todo)
        self.assertEqual(self.open_states(), [])

    def test_a_silent_upstream_is_said_and_not_waited_for(self):
        session = self.it.open("gh")
        self.github.fault("revoke", "status", status=503, count=1000)
        text = self.contain("session", session.id, status=8)
        self.assertIn("1 yet to be confirmed by the upstream", text)
        self.assertIn("goes on trying", text)
        self.assertEqual(self.it.sessions()[session.id]["state"], "ended")

    def test_what_fails_is_said(self):
        text = self.contain("session", "s-0123456789abcdef", status=1)
        self.assertIn("FAILED: nothing was revoked", text)
        self.assertIn("mcpcred sessions --all", text)
        usage = self.run_in_place([CONTAIN, "session"])
        self.assertEqual((usage.returncode, usage.stdout), (2, ""))
        self.assertEqual([line.split()[:2] for line in usage.stderr.splitlines()],
                         [["contain.sh", form] for form in ("session", "secret", "provider", "everything")])
        self.it.stop()
        self.assertIn("FAILED", self.contain("everything", status=1))

    def test_without_jq_it_reads_with_python(self):
        session = self.it.open("gh")
        alone = self.it.path("alone")
        os.mkdir(alone)
        for folder in "/bin", "/usr/bin":
            for name in os.listdir(folder):
                if name != "jq" and not os.path.lexists(os.path.join(alone, name)):
                    os.symlink(os.path.join(folder, name), os.path.join(alone, name))
        self.environment["PATH"] = f"{self.bin}:{alone}"
        self.contain("session", session.id, status=0)
        self.contain("everything", status=3)


class Relay(Incident):
    KEY = b"the key of a webhook, of this test"

    def setUp(self):
        super().setUp()
        self.it.add("hook", "webhook", self.KEY)
        self.relay = subprocess.Popen([sys.executable, RELAY, "hook", "0"], env=self.environment, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.end_relay)
        self.port = int(self.relay.stdout.readline().rpartition(":")[2])

    def end_relay(self):
        self.relay.terminate()
        self.relay.wait()
        self.relay.stdout.close()

    def post(self, body, key=KEY, **headers):
        now = str(int(time.time()))
        signature = hmac.new(now.encode() + key, body, hashlib.sha256).hexdigest()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/", body, {"Timestamp": now, "Gitguardian-Signature": "sha256=" + signature, **headers})
        status = connection.getresponse().status
        connection.close()
        return status

    def test_what_is_signed_is_reported_and_nothing_else(self):
        session = self.it.open("gh")
        body = json.dumps({"gitguardian_link": "https://dashboard.example/1", "policy": "Secrets detection",
                           "matches": [{"match": session.token, "type": "apikey"}]}).encode()
        self.assertEqual(self.post(body), 204)
        self.assertEqual(self.post(body, key=b"another"), 401)
        self.assertEqual(self.post(body + b" ", Timestamp="1"), 401)
        self.assertEqual(self.post(b"", **{"Content-Length": str(1 << 30)}), 413)
        self.it.stop()
        self.assertEqual(self.post(body), 503)  # to be tried again


if __name__ == "__main__":
    main()
