#!/usr/bin/python3
"""What a sandbox, a session process that was taken over, and an upstream try against the built mcpcred-egress."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from edges import MARKER, SCRUB, SLOTS, Failure  # noqa: E402
from test_egress import BEARER, CREDENTIAL, Case  # noqa: E402


def behave(case, name, behaviour, early=False):
    """Another behaviour of the upstream, for the path /NAME."""

    def run(peer, request):
        behaviour(peer, request)

    run.early = early
    case.upstream.behaviours["/" + name] = run


class Desync(Case):
    """Whoever leaves a connection half way would have the next request, and its credential, read as a body."""

    def answered_early(self, kind, sent):
        def early(peer, request):
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
            self.upstream.release.wait(30)
            peer.send(b"again")
            # What comes now is body, as far as this upstream is concerned.
            while peer.fill() and CREDENTIAL.encode() not in peer.buffer:
                pass
            self.leaked = peer.buffer
            peer.answer(b"stored")

        self.leaked = b""
        behave(self, "early2", early, early=True)
        lane = self.session.lane()
        self.request(lane, "POST", "/early2", body=kind, length=1000 if kind == "length" else None)
        if sent:
            lane.data(b"x" * sent)
        response = lane.response()
        # Now nobody wants the rest of the body, and only the session knows that there was one.
        lane.data(b"x" * (1000 - sent))
        lane.end()
        self.assertEqual(self.ask().status, 200)  # behind what the lane before was sent
        self.upstream.release.set()
        lane.rest(response)
        self.assertEqual(self.ask().status, 200)
        self.assertNotIn(CREDENTIAL.encode(), self.leaked)
        self.assertEqual(self.upstream.connections, 2)

    def test_answered_before_the_body_is_there(self):
        self.answered_early("length", 10)

    def test_answered_before_the_chunks_are_there(self):
        self.answered_early("stream", 10)

    def test_refused_upload_that_is_said_to_be_whole(self):
        """The same, of one that waits for a 100 and is answered without."""
        def no(peer, request):
            peer.answer(b"no", "417 Expectation Failed")
            self.leaked += peer.until(b"\r\n\r\n")

        self.leaked = b""
        behave(self, "no", no, early=True)
        lane = self.session.lane()
        self.request(lane, "POST", "/no", body="length", length=500, expect=True)
        self.assertEqual(lane.whole().status, 417)
        lane.end()
        self.assertEqual(self.ask().status, 200)
        self.assertEqual(self.ask(lane=lane).status, 200)
        self.upstream.wait_end(1)
        self.assertEqual(self.leaked, b"")


class Overrides(Case):
    """A session process that was taken over writes what its HTTP front would have refused."""

    def test_headers_that_override_method_or_path(self):
        for name in ("x-http-method-override", "x-original-url", "x_http_method_override", "x-forwarded-host",
                     "x-rewrite-url", "content_length", "transfer_encoding", "proxy-authorization", "connection",
                     "host", "te", "trailer", "upgrade", "expect", "x-real-ip", "forwarded", "http2-settings"):
            with self.subTest(name):
                self.refused(400, "malformed", headers=(BEARER, (name, "DELETE")))
        self.never_sent()

    def test_methods_that_some_servers_fold(self):
        for method in ("delete", "Delete", "trace", "TRACK", "connect", "head", "GET ", "GE\tT", "G\x01T"):
            with self.subTest(method):
                self.refused(400, "malformed", method=method)
        self.never_sent()


if __name__ == "__main__":
    unittest.main()
