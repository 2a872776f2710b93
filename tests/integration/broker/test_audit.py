"""The audit log over several files, who watches it, and what other tools get of it."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import unittest

import auditchain
from harness import BUILD, Case, wait_until
from varlink import CallError

MCPCRED = os.path.join(BUILD, "client-lib", "cli", "mcpcred")
JOURNALD = "/lib/systemd/systemd-journald"

CONFIG = """
[profile api]
secret = key
preset = openai
"""
SMALL = "audit_max_size = 32K\n"
HEAD = "ca146ae7c70b411f8ac843c3eaaf6f9e"  # MESSAGE_ID
KEY = "sk-" + "a1B2" * 10


class Audited(Case):
    config = CONFIG

    def setUp(self):
        super().setUp()
        self.it = self.broker(start=False)

    def up(self, keys=""):
        self.it.broker_keys = keys
        self.it.write_config(CONFIG)
        self.it.start()
        self.it.add("key", "static", KEY.encode(), hosts=["api.openai.com"])

    def cli(self, *words, status=0, prefix=(), **options):
        command = [*prefix, MCPCRED, *words, "--runtime", self.it.path("runtime")]
        done = subprocess.run(command, env=self.it.environment, capture_output=True, timeout=60, check=False, **options)
        self.assertEqual(done.returncode, status, (words, done.stdout[-2000:], done.stderr))
        return done.stdout.decode()

    def verify(self, *words, status=0, **options):
        return json.loads(self.cli("audit", "verify", "--json", *words, status=status, **options))

    def doctor(self):
        return next(check for check in self.it.rows("Doctor", "checks") if check["id"] == "audit")

    def sessions_come_and_go(self, n=1):
        for _ in range(n):
            session = self.it.open("api")
            self.it.call("CloseSession", {"session": session.id})

    def files(self):
        names = [name for name in os.listdir(self.it.path("state")) if name.startswith("audit.log.")]
        return sorted(int(name.rsplit(".", 1)[1]) for name in names)

    def fill(self, n):
        """Until the log has so many former files."""
        for _ in range(5000):
            if len(self.files()) >= n:
                return
            self.sessions_come_and_go(5)
        self.fail("the log does not rotate")

    def former(self, index):
        return self.it.path("state", f"audit.log.{self.files()[index]}")


class Files(Audited):
    def test_audit_file_rotates_without_losing_the_chain(self):
        """Over crashes of the vault too; what is cut, or taken away, is named with its file."""
        self.up(SMALL)
        self.fill(1)
        self.it.crash("vault")
        self.fill(3)
        report = self.verify()
        self.assertEqual((report["good"], report["files"], report["lines"]), (True, 4, report["sequence"]))
        everything = self.cli("audit", "show", "--json").splitlines()
        numbers = [json.loads(line)["sequence"] for line in everything]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertEqual(len(self.cli("audit", "tail", "--lines", "200", "--json").splitlines()), 200)

        # cut-file-is-detected
        with open(self.former(1), "rb+") as file:
            whole = file.read()
            file.truncate(len(whole) - 100)
        report = self.verify(status=9)
        self.assertEqual((report["file"], report["reason"]), (self.former(1), "it is cut short"))
        self.assertEqual(report["bad_line"], whole.count(b"\n"))
        with open(self.former(1), "wb") as file:
            file.write(whole)

        # edited-line-is-detected
        with open(self.former(0), "rb") as file:
            first = file.read()
        with open(self.former(0), "wb") as file:
            file.write(first.replace(b"secret.add", b"secret.odd"))
        self.assertEqual(self.verify(status=9)["reason"], "it was edited")
        with open(self.former(0), "wb") as file:
            file.write(first)
        self.verify()

        # deleted-middle-file-is-detected: by doctor, too, which reads no more than each file's end
        self.assertEqual(self.doctor()["status"], "ok")
        with open(self.former(1), "rb") as file:
            middle = file.read()
        name = self.former(1)
        os.unlink(name)
        self.assertIn(f"lines before {os.path.basename(self.former(1))} are missing", self.doctor()["summary"])
        self.verify(status=9)
        with open(name, "wb") as file:
            file.write(middle)
        newest = self.former(-1)
        os.rename(newest, newest + "x")
        self.assertIn("lines before audit.log are missing", self.doctor()["summary"])
        os.rename(newest + "x", newest)
        self.assertEqual(self.doctor()["status"], "ok")

        # what-is-no-file-in-the-place-of-one-is-not-waited-for
        os.rename(newest, newest + "x")
        for make in os.mkfifo, lambda path: os.symlink("/dev/zero", path), os.mkdir:
            make(newest)
            self.assertEqual(self.verify(status=9)["reason"], "lines are missing before it")
            self.cli("audit", "tail", "--lines", "1000", status=0)
            (os.rmdir if os.path.isdir(newest) else os.unlink)(newest)
        os.rename(newest + "x", newest)

        # deleted-old-file-is-detected
        os.unlink(self.former(0))
        self.assertEqual(self.verify(status=9)["reason"], "lines are missing before it")
        text = self.cli("audit", "verify", status=9)
        self.assertIn(f"{self.former(0)}: line 1: lines are missing before it", text)
        self.it.crash("vault")
        self.assertIn("files before it are missing", self.it.status()["audit_state"])

    def test_old_files_are_given_up_by_the_broker_alone(self):
        self.up(SMALL + "audit_keep = 1\n")
        self.fill(1)
        before = self.files()
        for _ in range(5000):
            if self.files() != before:
                break
            self.sessions_come_and_go(5)
        self.assertEqual(len(self.files()), 1)
        report = self.verify()
        self.assertEqual(report["first"], self.files()[0])
        self.assertEqual(self.it.status()["audit_base"], self.files()[0] - 1)
        self.assertIn("audit.delete", self.cli("audit", "show", "--operation", "audit"))
        self.assertIn("the broker gave them up", self.cli("audit", "verify"))
        # slow-watcher-is-told-what-it-lost
        with self.it.client() as client:
            client.send("Watch", {"since": 1}, more=True)
            lost = seen = 0
            while seen + lost < report["sequence"]:
                reply = client.receive()
                lost += reply["lost"]
                seen += len(reply["events"])
        self.assertEqual(lost, self.files()[0] - 1)
        os.unlink(self.former(0))
        self.verify(status=9)


class Limits(Audited):
    def test_file_size_limit_is_an_error_not_a_death(self):
        """Of whom the limit hits: the vault, which writes state and log, and the supervisor, which writes a session's files."""
        self.up()
        for role, pid in (("vault", self.it.role_pid("vault")), ("supervisor", self.it.process.pid)):
            kept = self.it.open("api")
            former = resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            with self.subTest(role), self.assertRaises(CallError) as caught:
                self.it.open("api")
            if role == "vault":
                self.assertEqual(caught.exception.name, "AuditUnavailable")
                # The state's limit, or the log's, where that was still being written.
                self.assertRegex(caught.exception.message, "full|File too large")
            resource.prlimit(pid, resource.RLIMIT_FSIZE, former)
            self.assertEqual([name for name, row in self.it.sessions().items() if row["state"] == "live"], [kept.id], role)
            self.it.open("api")
            self.assertEqual(self.it.role_pid("vault") if role == "vault" else self.it.process.pid, pid)
            self.it.revoke(all=True)
        self.assertTrue(self.verify()["good"])


class End(Audited):
    def test_what_the_vault_asks_for_at_the_end_is_refused(self):
        """A client's open that it comes to when the sessions are gone already."""
        self.up()
        vault, gate = self.it.role_pid("vault"), self.it.role_pid("gate")
        os.kill(vault, signal.SIGSTOP)
        client = self.it.client()
        self.addCleanup(client.close)
        client.send("OpenSession", {"grants": [{"profile": "api"}], "lifeline": "lifetime"})
        with self.it.client() as other:  # what the gate answers by itself: it has read the first one
            other.send("NoSuchMethod", {})
            other.receive_message()
        self.it.process.terminate()
        wait_until(lambda: not os.path.exists(f"/proc/{gate}"), "the gate does not end")
        os.kill(vault, signal.SIGCONT)
        self.assertEqual(self.it.process.wait(10), 0)
        self.assertTrue(self.verify("--state", self.it.path("state"))["good"])


class Watching(Audited):
    def start_watch(self, *words):
        process = subprocess.Popen(
            [MCPCRED, "watch", "--json", *words, "--runtime", self.it.path("runtime")],
            env=self.it.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def until(self, process, last):
        """Each line up to this one."""
        got = []
        while not got or got[-1].get("sequence", 0) < last:
            line = process.stdout.readline()
            if not line:
                self.fail(f"it ended behind {got[-1:]}: {process.stderr.read()}")
            got.append(json.loads(line))
        return got

    def test_watch_misses_nothing_over_a_vault_restart(self):
        self.up(SMALL)
        watch = self.start_watch("--since", "1")
        others = self.start_watch("--since", "1", "--operation", "session.open", "--verdict", "allow")
        for _ in range(3):
            self.sessions_come_and_go(25)
            self.it.crash("vault")
        self.it.crash("gate")
        self.sessions_come_and_go(3)
        last = self.it.status()["audit_sequence"]
        events = self.until(watch, last)
        self.assertEqual([event["sequence"] for event in events], list(range(1, last + 1)))
        self.assertEqual(len(self.files()) > 0, True)
        # What it prints is what the log says.
        for event, line in zip(events, self.cli("audit", "show", "--json").splitlines()):
            line = json.loads(line)
            self.assertEqual((event["operation"], event["verdict"]), (line["operation"], line["verdict"]))
        opened = [event["sequence"] for event in events if event["operation"] == "session.open"]
        self.assertEqual([event["sequence"] for event in self.until(others, opened[-1])], opened)
        # It is nobody's to stop but its own.
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(10), -signal.SIGINT)

    def test_watcher_that_reads_nothing_holds_up_nobody(self):
        """It gets all of it when it reads, past any deadline of other calls."""
        self.up()
        self.sessions_come_and_go(1)
        with self.it.client() as slow, self.it.client() as quick:
            slow.send("Watch", {"since": 1}, more=True)
            quick.send("Watch", {}, more=True)
            self.assertEqual(quick.receive()["events"], [])
            self.sessions_come_and_go(60)
            last = self.it.status()["audit_sequence"]
            seen = []
            while not seen or seen[-1] < last:
                seen += [event["sequence"] for event in quick.receive()["events"]]
            self.assertEqual(seen, list(range(seen[0], last + 1)))
            seen = []
            while not seen or seen[-1] < last:
                reply = slow.receive()
                self.assertEqual(reply["lost"], 0)
                seen += [event["sequence"] for event in reply["events"]]
            self.assertEqual(seen, list(range(1, last + 1)))

    def test_watchers_are_limited_and_let_go(self):
        self.up()
        clients = [self.it.client() for _ in range(33)]
        for client in clients:
            self.addCleanup(client.close)
        for client in clients[:32]:
            client.send("Watch", {}, more=True)
            self.assertTrue(client.receive_message()["continues"])
        self.fails("Busy", clients[32].call, "Watch", {}, more=True)
        clients[0].close()

        def again():
            with self.it.client() as client:
                client.send("Watch", {}, more=True)
                return "error" not in client.receive_message()

        wait_until(again, "the vault does not hear that a watcher is gone")
        self.fails("InvalidParameter", self.it.call, "Watch", {})
        with self.it.client() as client:
            self.fails("NotFound", client.call, "Watch", {"since": 1000000}, more=True)


class Tools(Audited):
    BASE = "activity_id category_uid class_uid type_uid severity_id time metadata actor status_id unmapped".split()
    CLASS = {2004: "finding_info", 3002: "user", 3003: "user", 3004: "entity", 3005: "user privileges", 6003: "api src_endpoint"}

    def test_hash_finds_a_token_in_the_log(self):
        """The key stays in the vault, and the value never leaves the command."""
        self.up()
        handle = self.it.open("api").environment["OPENAI_API_KEY"]
        other = self.it.open("api")
        found = self.cli("audit", "hash", input=handle.encode()).strip()
        self.assertRegex(found, r"^blake2b:[0-9a-f]{32}$")
        self.assertEqual(json.loads(self.cli("audit", "hash", "--json", input=handle.encode()))["token"], found)
        self.assertNotEqual(self.cli("audit", "hash", input=b"x").strip(), found)
        reply = self.it.call("HashToken", {"token_hash": hashlib.sha256(handle.encode()).hexdigest()})
        self.assertEqual(reply["token"], found)
        self.fails("InvalidParameter", self.it.call, "HashToken", {"token_hash": "0" * 63})
        self.assertIsNotNone(other)

    def test_hash_of_a_handle_leads_to_its_session(self):
        """A canary is a handle as well; and of the session no line has the value itself."""
        self.up()
        self.it.write_config(CONFIG + "canary = SPARE_KEY\n")
        self.it.call("Reload")
        session, other = self.it.open("api"), self.it.open("api")
        for name, reason in (("OPENAI_API_KEY", None), ("SPARE_KEY", "canary")):
            handle = session.environment[name]
            found = self.cli("audit", "hash", input=handle.encode()).strip()
            shown = [json.loads(line) for line in self.cli("audit", "show", "--json", "--token", found).splitlines()]
            self.assertEqual([(line["operation"], line["session"], line.get("reason")) for line in shown],
                             [("handle.issue", session.id, reason)])
            self.assertNotIn(handle, self.cli("audit", "show", "--json"))
            leases = [row["lease"] for row in self.it.rows("ListLeases", "leases") if row["session"] == session.id]
            self.assertIn(shown[0]["lease"], leases)
        self.assertNotEqual(session.id, other.id)

    def test_export_has_what_ocsf_requires(self):
        self.up()
        self.sessions_come_and_go(2)
        with self.it.client() as client:
            self.fails("NotFound", client.call, "CloseSession", {"session": "s" + "0" * 17})
        lines = [json.loads(line) for line in self.cli("audit", "show", "--json").splitlines()]
        self.assertEqual(self.cli("audit", "export", "--format", "json"), self.cli("audit", "show", "--json"))
        events = [json.loads(line) for line in self.cli("audit", "export", "--format", "ocsf").splitlines()]
        self.assertEqual(len(events), len(lines))
        for event, line in zip(events, lines):
            for key in self.BASE + self.CLASS[event["class_uid"]].split():
                self.assertIn(key, event)
            self.assertEqual(event["type_uid"], event["class_uid"] * 100 + event["activity_id"])
            self.assertEqual(event["category_uid"], event["class_uid"] // 1000)
            self.assertEqual(event["metadata"]["uid"], str(line["sequence"]))
            self.assertEqual(event["metadata"]["product"]["name"], "mcpcred")
            self.assertEqual(event["unmapped"]["operation"], line["operation"])
            self.assertLess(event["time"], 1 << 45)  # milliseconds
            if event["class_uid"] != 2004:  # which says how far one has come
                self.assertEqual(event["status_id"], 1 if line["verdict"] == "allow" else 2)
        classes = {event["unmapped"]["operation"]: event["class_uid"] for event in events}
        self.assertEqual((classes["session.open"], classes["secret.add"]), (3002, 3004))
        since = lines[-1]["sequence"]
        self.assertEqual(len(self.cli("audit", "export", "--format", "ocsf", "--since", str(since)).splitlines()), 1)
        self.cli("audit", "export", "--format", "cef", status=2)


@unittest.skipUnless(os.geteuid() == 0 and os.access(JOURNALD, os.X_OK), "needs root and systemd-journald")
class Journal(Audited):
    SETUP = """
mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log && mkdir -p /run/systemd/journal /run/log/journal || exit 1
%s
exec "$@"
"""
    DAEMON = """
( setsid %s </dev/null >/dev/null 2>&1 & echo $! >"%s" )
while ! test -S /run/systemd/journal/socket; do sleep 0.02; done
"""

    def up_with(self, daemon):
        pid = self.it.path("journald")
        script = self.SETUP % (self.DAEMON % (JOURNALD, pid) if daemon else "")
        self.it.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
        if daemon:
            self.addCleanup(self.end_journal, pid)  # before the broker's directory goes
        self.up()

    def end_journal(self, path):
        with open(path, encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGTERM)

    def inside(self):
        return ["nsenter", "--mount", f"--target={self.it.process.pid}"]

    def journal(self, *words):
        done = subprocess.run([*self.inside(), "journalctl", "--quiet", "--output=json", *words],
                              stdout=subprocess.PIPE, check=False)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def entry(self, *words):
        return wait_until(lambda: self.journal(*words), f"no entry {words} in the journal")[-1]

    def test_journal_has_events_and_the_head(self):
        self.up_with(daemon=True)
        session = self.it.open("api")
        line = [event for event in self.it.audit() if event["operation"] == "session.open"][-1]
        entry = self.entry(f"MCPCRED_SESSION={session.id}", "MCPCRED_OPERATION=session.open",
                           f"MCPCRED_SEQUENCE={line['sequence']}")
        self.assertEqual((int(entry["MCPCRED_SEQUENCE"]), entry["MCPCRED_HASH"]), (line["sequence"], line["hash"]))
        self.assertEqual((entry["MCPCRED_VERDICT"], entry["SYSLOG_IDENTIFIER"]), (line["verdict"], "mcpcredd"))
        self.assertEqual(len(entry["MESSAGE_ID"]), 32)
        self.entry("MESSAGE_ID=" + HEAD)
        last = self.it.status()["audit_sequence"]
        self.entry(f"MCPCRED_SEQUENCE={last}")
        report = self.verify("--journal", prefix=self.inside())
        self.assertGreaterEqual(report["journal"]["compared"], 3)
        # Who has both the log and the state writes them anew; the journal still knows.
        lines = self.forge()
        report = self.verify("--journal", "--file", self.it.path("forged", "audit.log"), status=1, prefix=self.inside())
        self.assertEqual(report["error"]["code"], "Journal")
        os.rename(self.it.audit_path, self.it.audit_path + ".kept")
        with open(self.it.audit_path, "wb") as file:
            file.writelines(lines)
        report = self.verify("--journal", "--file", self.it.audit_path, status=9, prefix=self.inside())
        self.assertEqual((report["bad_line"], report["journal"]["reason"]), (0, "it is another one in the log"))

    def test_the_head_is_in_the_journal_at_an_orderly_stop(self):
        """Behind it, the log cannot be cut without a trace: not by its last line either."""
        self.up_with(daemon=True)
        self.entry("MESSAGE_ID=" + HEAD)
        self.sessions_come_and_go(3)
        keeps = subprocess.Popen([*self.inside(), "sleep", "300"])  # the journal's namespace, and its end at the latest
        self.addCleanup(keeps.wait)
        self.addCleanup(keeps.kill)
        wait_until(lambda: os.readlink(f"/proc/{keeps.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"), "no nsenter")
        self.it.stop()
        self.inside = lambda: ["nsenter", "--mount", f"--target={keeps.pid}"]
        events = auditchain.read(self.it.audit_path)
        head = self.entry(f"MCPCRED_SEQUENCE={events[-1]['sequence']}", "MESSAGE_ID=" + HEAD)
        self.assertEqual(head["MCPCRED_HASH"], events[-1]["hash"])
        self.entry(f"MCPCRED_SEQUENCE={events[-1]['sequence']}", "MCPCRED_OPERATION=" + events[-1]["operation"])
        state = ("--state", self.it.path("state"))
        self.verify("--journal", *state, prefix=self.inside())
        with open(self.it.audit_path, "rb+") as file:
            file.truncate(file.read().rstrip(b"\n").rfind(b"\n") + 1)
        self.assertTrue(self.verify(*state)["good"])  # by itself it looks like a log
        self.verify("--journal", *state, status=9, prefix=self.inside())

    def forge(self):
        """The same log with another word in it, and a chain that is right."""
        previous, lines = b"0" * 64, []
        with open(self.it.audit_path, "rb") as file:
            for line in file.read().splitlines():
                body = line[: auditchain.TAIL.search(line).start()].replace(b'"allow"', b'"error"')
                body += b',"prev":"' + previous + b'"'
                digest = hashlib.sha256(bytes.fromhex(previous.decode()) + body + b"}").hexdigest().encode()
                lines.append(body + b',"hash":"' + digest + b'"}\n')
                previous = digest
        os.mkdir(self.it.path("forged"))
        with open(self.it.path("forged", "audit.log"), "wb") as file:
            file.writelines(lines)
        return lines

    def test_no_journal_changes_nothing(self):
        self.up_with(daemon=False)
        self.sessions_come_and_go(5)
        self.assertEqual(self.it.status()["audit_state"], "ready")
        self.assertEqual(self.verify("--journal", status=1, prefix=self.inside())["error"]["code"], "Journal")


if __name__ == "__main__":
    unittest.main(verbosity=2)
