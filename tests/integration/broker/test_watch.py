#!/usr/bin/python3
"""Watch at its edges: where what is read again meets what comes, who else listens, and how the command ends."""

import json
import os
import pwd
import re
import signal
import subprocess
import threading
import time

from harness import BUILD, Case, main, wait_until
from varlink import CallError, Client

COMMAND = os.path.join(BUILD, "client-lib", "cli", "mcpcred")
PAGE = 64  # LIMIT_PAGE
MOST = 32  # WATCHERS_PER_UID
TEXTS = ("request", "principal", "session", "profile", "secret", "lease", "operation", "verdict", "reason", "token",
         "detail")


class Follower:
    """One Watch call. `events` are those that came."""

    def __init__(self, broker, **parameters):
        self.client = broker.keep(broker.client())
        self.events, self.lost = [], 0
        self.client.send("Watch", parameters, more=True)

    def page(self):
        reply = self.client.receive()
        self.events += reply["events"]
        self.lost += reply["lost"]
        return self

    def until(self, sequence):
        while not self.events or self.events[-1]["sequence"] < sequence:
            self.page()
        return self

    def numbers(self):
        return [event["sequence"] for event in self.events]


class Watching(Case):
    def setUp(self):
        super().setUp()
        self.it = self.broker()
        self.it.add("api", "static", b"zq9-kept-for-nobody", hosts=["api.example.com"])

    def head(self):
        return self.it.status()["audit_sequence"]

    def make_lines(self, n):
        """At least `n` further ones; the sequence of the last."""
        end = self.head() + n
        with self.it.client() as client:
            while self.head() < end:
                for _ in range(20):
                    client.stream("Revoke", {"all": True})
        return self.head()

    def watch(self, *arguments):
        process = subprocess.Popen([COMMAND, "--runtime", self.it.path("runtime"), "watch", *arguments],
                                   env=self.it.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process


class Lines(Watching):
    def test_since_replays_without_gap_or_duplicate(self):
        last = self.make_lines(5 * PAGE)
        for since in (1, 2, PAGE, PAGE + 1, last - PAGE, last - 1, last):
            follower = Follower(self.it, since=since).until(last)
            self.assertEqual((follower.numbers(), follower.lost), (list(range(since, last + 1)), 0))
        follower = Follower(self.it, since=1)  # it catches up while further ones are written
        last = self.make_lines(2 * PAGE)
        follower.until(last)
        self.assertEqual((follower.numbers(), follower.lost), (list(range(1, last + 1)), 0))

    def test_an_event_says_what_the_line_says(self):
        self.fails("NotFound", self.it.open, "gh")
        last = self.head()
        events = Follower(self.it, since=1).until(last).events
        for event, line in zip(events, self.it.audit(), strict=True):
            for name in TEXTS:
                self.assertEqual(event.get(name), str(line[name]) if name in line else None, (name, line))
            self.assertEqual(event["time"][:19], line["time"][:19])
        self.assertEqual((events[-1]["operation"], events[-1]["reason"]), ("session.open", "NotFound"))

    def test_an_edited_line_is_counted_and_never_shown(self):
        last = self.make_lines(3)
        self.it.wait_status(lambda status: os.path.getsize(self.it.audit_path) > 0)
        with open(self.it.audit_path, "rb") as file:
            text = file.read()
        with open(self.it.audit_path, "r+b") as file:
            file.write(text.replace(b'"secret":"api"', b'"secret":"ape"', 1))
        follower = Follower(self.it, since=1).until(last)
        self.assertEqual(follower.lost, 1)
        self.assertFalse([event for event in follower.events if event.get("secret") == "ape"])


    def test_lines_come_while_there_is_never_a_pause(self):
        """Neither the file nor who follows it waits until everybody is quiet."""
        follower = Follower(self.it).page()
        stop = threading.Event()
        threads = [threading.Thread(target=self.revoke_without_pause, args=(stop,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            end = time.monotonic() + 1
            while time.monotonic() < end:
                follower.page()
            told = len(follower.events)
            behind = self.head() - follower.numbers()[-1]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertLess(behind, told)
        follower.until(self.head())
        self.assertEqual(follower.numbers(), list(range(follower.numbers()[0], self.head() + 1)))

    def revoke_without_pause(self, stop):
        with self.it.client() as client:
            while not stop.is_set():
                client.stream("Revoke", {"all": True})


class Others(Watching):
    def memory(self):
        """Of the gate and the vault, in KiB."""
        total = 0
        for role in ("gate", "vault"):
            with open(f"/proc/{self.it.role_pid(role)}/status", encoding="utf-8") as file:
                total += int(re.search(r"^VmRSS:\s*(\d+)", file.read(), re.M)[1])
        return total

    def test_ten_that_read_nothing_cost_no_memory_and_miss_nothing(self):
        last = self.make_lines(20 * PAGE)  # more than there is room for on the way
        before = self.memory()
        slow = [Follower(self.it, since=1) for _ in range(10)]
        further = self.make_lines(10 * PAGE)
        if "ASAN_OPTIONS" not in os.environ:  # which keeps what was freed
            self.assertLess(self.memory() - before, 6 * 1024)
        for follower in slow:
            follower.until(further)
            self.assertEqual((follower.numbers(), follower.lost), (list(range(1, further + 1)), 0))
        self.assertLess(last, further)

    def test_other_uid_refused(self):
        """Of those whom a broker lets in at all, the owner alone."""
        if os.getuid() != 0:
            self.skipTest("needs root")
        nobody = pwd.getpwnam("nobody").pw_uid
        for path in (self.it.directory, self.it.path("runtime")):
            os.chmod(path, 0o755)
        os.chmod(self.it.socket, 0o666)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setuid(nobody)
                with Client(self.it.socket) as client:
                    client.call("Watch", {"since": 1}, more=True)
                os.write(writing, b"it watches")
            except CallError as error:
                os.write(writing, error.name.encode())
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(pid, 0)
        with os.fdopen(reading) as file:
            self.assertEqual(file.read(), "NotAllowed")

    def test_a_killed_client_is_forgotten(self):
        """By the vault too, of which nothing else would be heard while nothing happens."""
        for _ in range(3):
            before = self.calls_open()
            watching = [self.watch() for _ in range(8)]
            wait_until(lambda: not self.can_have(MOST - 7), "they do not come to watch")
            for process in watching:
                process.kill()
                process.wait()
            # As many as one user may have: none of the former ones is counted any more.
            wait_until(lambda: self.can_have(MOST), "the vault keeps watchers")
            wait_until(lambda before=before: self.calls_open() <= before, "the gate keeps connections")

    def can_have(self, n):
        followers = []
        try:
            for _ in range(n):
                followers.append(Follower(self.it))
                followers[-1].page()
            return True
        except CallError as error:
            self.assertEqual(error.name, "Busy")
            return False
        finally:
            for follower in followers:
                follower.client.close()

    def calls_open(self):
        """Nobody but root may look into a role."""
        if os.geteuid() != 0:
            return 0
        return len(os.listdir(f"/proc/{self.it.role_pid('gate')}/fd"))


class Command(Watching):
    def test_idle_outlives_the_deadline_of_calls(self):
        process = self.watch("--timeout", "1", "--json", "--operation", "secret")
        time.sleep(1.5)  # the deadline has to pass
        self.it.add("later", "static", b"zq9-another", hosts=["api.example.com"])
        self.assertEqual(json.loads(process.stdout.readline())["secret"], "later")
        process.terminate()
        self.assertEqual(process.wait(10), -signal.SIGTERM)
        self.assertEqual(process.stderr.read(), "")  # nor did it have to begin anew

    def test_ends_when_its_reader_is_gone_though_nothing_happens(self):
        process = self.watch("--since", "1", "--operation", "secret", "--json")
        self.assertEqual(json.loads(process.stdout.readline())["secret"], "api")
        process.stdout.close()
        self.assertEqual(process.wait(10), 0)
        self.assertEqual(process.stderr.read(), "")

    def test_fails_at_once_where_no_broker_is(self):
        self.it.stop()
        for words in ((), ("--since", "1")):
            process = self.watch(*words)
            self.assertEqual(process.wait(10), 7)
            self.assertIn("No broker is running", process.stderr.read())

    def test_says_that_the_broker_went_and_came(self):
        process = self.watch("--since", "1", "--json")
        events = [json.loads(process.stdout.readline())]
        for role in ("vault", "gate"):
            self.it.crash(role)
            last = self.make_lines(3)
            while events[-1]["sequence"] < last:
                events.append(json.loads(process.stdout.readline()))
        self.assertEqual([event["sequence"] for event in events], list(range(1, last + 1)))
        self.assertEqual({event["schema_version"] for event in events}, {1})
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10), -signal.SIGINT)
        notes = process.stderr.read()
        self.assertEqual((notes.count("waiting for it to come back"), notes.count("the broker is back")), (2, 2), notes)

    def test_a_person_can_read_it(self):
        process = self.watch("--since", "1", "--secret", "api")
        self.assertRegex(process.stdout.readline(),
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  allow  secret\.add       uid \d+  secret api\b")


if __name__ == "__main__":
    main()
