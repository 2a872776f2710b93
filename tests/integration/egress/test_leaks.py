#!/usr/bin/python3
"""The real credential in what a session sends: refused, never passed on, and told as a leak."""

import base64
import os
import sys
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from test_egress import BEARER, CREDENTIAL, Case  # noqa: E402
from edges import SCRUB, Failure  # noqa: E402

PLAIN = ("accept", "*/*")


def percent(text):
    return "".join(f"%{ord(character):02X}" for character in text)


class Leaks(Case):
    def leaked(self, *arguments, **values):
        self.refused(403, "leaked", *arguments, **values)
        self.assertIn("real credential", self.report("leaked")["reason"])

    def test_credential_in_the_head_is_refused_and_told(self):
        basic = base64.b64encode(b"x:" + CREDENTIAL.encode()).decode()
        for headers in ([("authorization", "Bearer " + CREDENTIAL)], [("authorization", "Basic " + basic)],
                        [("x-any", "a" + CREDENTIAL + "b")], [BEARER, ("cookie", "t=" + CREDENTIAL.encode().hex())]):
            self.leaked(headers=headers)
            self.vault.cut()
            self.grant()  # another grant, so that the next report is one of its own
        self.never_sent()

    def test_credential_in_the_target_is_refused_and_told(self):
        self.leaked(path="/echo/" + CREDENTIAL, headers=(PLAIN,))
        self.leaked(query="q=" + urllib.parse.quote(base64.b64encode(b"ab" + CREDENTIAL.encode()).decode()))
        self.never_sent()

    def test_credential_in_a_body_is_refused_and_told(self):
        for kind in ("length", "stream"):
            with self.assertRaises(Failure) as caught:
                self.post(b"before " + CREDENTIAL.encode() + b" behind", kind=kind)
            self.assertEqual((caught.exception.status, caught.exception.reason), (403, "leaked"))
        self.assertEqual(self.report("leaked")["kind"], "leaked")
        self.works()
        self.assertNotIn(CREDENTIAL.encode()[:12], b"".join(request.body for request in self.upstream.requests))

    def test_credential_over_the_pieces_of_a_body_never_gets_there_whole(self):
        raw = []

        def listen(peer, request):
            try:
                while peer.fill():
                    pass
            except OSError:
                pass
            raw.append(peer.buffer)
            self.upstream.release.set()

        listen.early = True
        self.upstream.behaviours["/listen"] = listen
        lane = self.session.lane()
        self.request(lane, "POST", "/listen", headers=(PLAIN,), body="stream")
        lane.data(b"x" * 100000)
        for character in CREDENTIAL:
            lane.data(character.encode())
        lane.data(b"y" * 10000)
        with self.assertRaises(Failure) as caught:
            lane.whole()
        self.assertEqual(caught.exception.reason, "leaked")
        self.assertTrue(self.upstream.release.wait(30))
        self.assertEqual(self.report("leaked")["kind"], "leaked")
        # Hard, and before the first byte of it.
        self.assertNotIn(CREDENTIAL[:1].encode() + b"\r\n" + b"1\r\n" + CREDENTIAL[1:2].encode(), raw[0])
        self.assertNotIn(b"\r\n0\r\n", raw[0])
        self.assertNotIn(CREDENTIAL[:4].encode(), raw[0].replace(b"\r\n", b"").replace(b"1", b""))

    def test_it_is_looked_for_where_responses_are_not_scrubbed_too(self):
        self.grant(scrub=SCRUB.index("off"))
        self.leaked(headers=(("x-any", CREDENTIAL),))
        self.never_sent()

    def test_what_is_almost_the_credential_passes(self):
        almost = CREDENTIAL[:-1] + "?"
        self.assertEqual(self.ask(headers=(BEARER, ("x-any", almost))).status, 200)
        for kind in ("length", "stream"):
            self.assertEqual(self.post(almost.encode() * 1000, kind=kind).body, almost.encode() * 1000)

    def test_lines_of_json_pass_as_they_come(self):
        seen = []

        def lines(peer, request):
            seen.append(peer.until(b"}\n\r\n"))
            self.upstream.release.set()
            peer.body(request)
            peer.answer(b"done")

        lines.early = True
        self.upstream.behaviours["/lines"] = lines
        lane = self.session.lane()
        self.request(lane, "POST", "/lines", headers=(PLAIN, ("content-type", "application/x-ndjson")), body="stream")
        lane.data(b'{"a":1}\n')
        self.assertTrue(self.upstream.release.wait(30))  # nothing more has been sent yet
        lane.data(b'{"b":2}\n')
        lane.end()
        self.assertEqual(lane.whole().status, 200)
        self.assertTrue(seen[0].endswith(b'{"a":1'))


if __name__ == "__main__":
    unittest.main()
