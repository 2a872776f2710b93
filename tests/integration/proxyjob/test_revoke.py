#!/usr/bin/python3
"""When `Revoke` answers, nothing moves any more: no byte reaches the sandbox, and none the upstream."""

import json
import subprocess
import unittest

from proxyjob import CLIENTS, DIRECT, Case, main, time
from harness import wait_until
from job import RUNTIME
from varlink import Client

DOWNLOADS, UPLOADS, SOCKETS = 90, 70, 40
STREAMS = DOWNLOADS + UPLOADS + SOCKETS
SAMPLES = 6
TICKS = 3


class Revoke(Case):
    def start(self):
        command = ["/usr/bin/python3", CLIENTS + "/streams.py", *map(str, (DOWNLOADS, UPLOADS, SOCKETS, TICKS))]
        child = subprocess.Popen(self.command(command, "echo"), stdout=subprocess.PIPE, text=True)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), "open\n")
        return child

    def records(self):
        return [item for item in self.arrived() if item["endpoint"] in ("echo.stream", "echo.upload", "echo.websocket")]

    @unittest.skipUnless(DIRECT, "for the stand-ins alone")
    def test_streams_of_the_stand_ins(self):
        child = self.start()
        self.assertEqual(len(self.records()), STREAMS)
        child.terminate()

    @unittest.skipIf(DIRECT, "there is nothing to revoke")
    def test_with_streams_open(self):
        with Client(RUNTIME + "/broker.sock") as client:
            for sample in range(SAMPLES):
                with self.subTest(sample=sample):
                    self.sample(client, sample)

    def sample(self, client, sample):
        self.mark = len(self.upstreams.requests())
        child = self.start()
        [row] = [line for line in self.sessions() if line["state"] == "live"]
        # Another moment of the streams' interval with each sample.
        arrived = sum(item["sent"] for item in self.records())
        wait_until(lambda: sum(item["sent"] for item in self.records()) > arrived + sample * 100, "the streams stand")
        client.stream("Revoke", {"session": row["session"]})
        replied = time.time()
        said = json.loads(child.stdout.readline())
        self.assertLessEqual(set(said["answers"]), {"revoked", "egress-gone"})
        self.assertLess(said["last"], replied, "the sandbox got a byte after the reply")
        records = self.records()
        self.assertEqual(len(records), STREAMS)
        for item in records:
            self.assertEqual(item["key"], "test")
            self.assertTrue(item["last_received"] or item["endpoint"] == "echo.stream", item)
            if item["last_received"] is not None:
                self.assertLess(item["last_received"], replied, "the upstream got a byte after the reply")
        wait_until(lambda: {item["phase"] for item in self.records()} == {"abandoned"}, "a connection stays open")
        child.kill()


if __name__ == "__main__":
    main(__file__)
