#!/usr/bin/python3
"""What a sandbox, a session process that was taken over, and an upstream try against the built mcpcred-egress."""

import gzip
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from edges import SCRUB, Failure  # noqa: E402
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


class Poison(Case):
    """An upstream (or who makes one misbehave) that wants its bytes to be the answer to another request."""

    EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def poisons(self, head, method="GET", at_once=True):
        """What follows the response whose head this is never answers the next request."""
        def run(peer, _request):
            peer.send(head + (self.EVIL if at_once else b""))
            if not at_once:
                self.upstream.release.wait(30)
                peer.send(self.EVIL)

        behave(self, "poison", run)
        try:
            self.ask(method=method, path="/poison")
        except Failure:
            pass
        self.upstream.release.set()
        if not at_once:
            self.upstream.wait_end(1)  # whoever asks before it comes is answered by it: HTTP/1.1 has no numbers
        for _ in range(3):
            response = self.ask(path="/none")
            self.assertEqual((response.status, response.body), (204, b""))

    def test_behind_a_head_without_body(self):
        for status in ("200 OK", "304 Not Modified", "404 Not Found"):
            for length in (b"Content-Length: 41\r\n", b"Transfer-Encoding: chunked\r\n", b""):
                with self.subTest(status, length=length):
                    self.poisons(b"HTTP/1.1 " + status.encode() + b"\r\n" + length + b"\r\n", "HEAD")

    def test_behind_a_status_without_body(self):
        for status in ("204 No Content", "304 Not Modified"):
            for length in (b"Content-Length: 41\r\n", b"Transfer-Encoding: chunked\r\n", b""):
                with self.subTest(status, length=length):
                    self.poisons(b"HTTP/1.1 " + status.encode() + b"\r\n" + length + b"\r\n")

    def test_behind_what_is_whole(self):
        self.poisons(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.poisons(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        self.poisons(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: a\r\n\r\n")

    def test_a_while_later(self):
        self.poisons(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", at_once=False)

    def test_two_final_heads_behind_a_continue(self):
        self.poisons(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n")

    def test_framing_that_is_read_in_two_ways(self):
        chunks = b"29\r\n" + self.EVIL + b"\r\n0\r\n\r\n"
        for framing in (b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, identity",
                        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding : chunked",
                        b"Transfer-Encoding: xchunked", b"Transfer-Encoding:\x0bchunked", b"Content-Length: 1, 1",
                        b"Content-Length: +1", b"Content-Length: 0x1", b"Content-Length: 01", b"Content-Length: -1",
                        b"Content-Length: 1\r\nContent-Length: 2", b"X: y\r\n Transfer-Encoding: chunked",
                        b"Content-Length: 1\r\nTransfer-Encoding: chunked", b"Content-Length: 18446744073709551617"):
            with self.subTest(framing):
                def run(peer, _request, framing=framing):
                    peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + chunks)

                behave(self, "framing", run)
                self.refused(502, "upstream-malformed", path="/framing")
        self.works()

    def test_chunks_that_are_none(self):
        for chunks in (b"+1\r\na\r\n0\r\n\r\n", b"0x1\r\na\r\n0\r\n\r\n", b"1 \na\r\n0\r\n\r\n", b"1\na\n0\n\n",
                       b"1\r\nab\r\n0\r\n\r\n", b"ffffffffffffffffff\r\na", b"\r\n1\r\na\r\n", b"-1\r\na",
                       b"1;" + b"x" * 100000 + b"\r\na\r\n0\r\n\r\n", b"1;a\nb\r\na\r\n0\r\n\r\n"):
            with self.subTest(chunks[:20]):
                def run(peer, _request, chunks=chunks):
                    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)

                behave(self, "chunks", run)
                with self.assertRaises(Failure) as caught:
                    self.ask(path="/chunks")
                self.assertEqual(caught.exception.reason, "upstream-malformed")
        self.works()


class Reflection(Case):
    """Ways to have the credential come back unread."""

    def reflects(self, answer, *more, **values):
        def run(peer, request):
            text = (request.header("authorization") or "").split(" ")[-1]
            answer(peer, text)

        behave(self, "reflection", run)
        response = self.ask("GET", "/reflection", (BEARER, *more), **values)
        self.assertNotIn(CREDENTIAL, str(response.headers))
        self.assertNotIn(CREDENTIAL.encode(), response.body.replace(b"\0", b""))
        return response

    def test_in_other_charsets(self):
        for charset in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-16"):
            with self.subTest(charset):
                self.reflects(lambda peer, text, charset=charset: peer.answer(
                    f"you sent {text}.".encode(charset), headers=(f"Content-Type: text/plain; charset={charset}",)))

    def test_charset_is_not_the_clients_to_ask_for(self):
        self.ask("GET", "/echo", (BEARER, ("accept-charset", "utf-7"), ("te", "gzip"))[:2])
        self.assertIsNone(self.upstream.requests[0].header("accept-charset"))

    def test_in_hints_reason_and_trailers(self):
        def answer(peer, text):
            peer.send((f"HTTP/1.1 103 Hints\r\nLink: {text}\r\n\r\nHTTP/1.1 200 {text}\r\nX-{text}: 1\r\n"
                       f"Transfer-Encoding: chunked\r\nLocation: https://x/?k={text}\r\n\r\n"
                       f"2;x={text}\r\nok\r\n0\r\nX-T: {text}\r\n\r\n").encode())

        self.assertEqual(self.reflects(answer).body, b"ok")

    def test_as_parts_of_a_range(self):
        def answer(peer, text):
            peer.answer(f"--b\r\nContent-Range: bytes 0-9/99\r\n\r\n{text}\r\n--b--".encode(), "206 Partial Content",
                        ("Content-Type: multipart/byteranges; boundary=b",))

        self.assertIn(b"**", self.reflects(answer).body)

    def test_under_a_coding_that_is_none(self):
        for coding in ("gzip, gzip", "gzip, identity", "x-gzip", "GZIP", "br", "gzip\r\nContent-Encoding: gzip"):
            with self.subTest(coding):
                try:
                    self.reflects(lambda peer, text, coding=coding: peer.answer(
                        text.encode(), headers=(f"Content-Encoding: {coding}",)))
                except Failure as failure:
                    self.assertEqual(failure.reason, "upstream-encoding")


class Dense(Case):
    def test_body_that_becomes_much_and_is_read_slowly(self):
        """More of it came than was taken, until there was no room for it: that was the end of the process."""
        plain = b"".join(os.urandom(40) + bytes(16000) for _ in range(6000))
        body = gzip.compress(plain)
        self.assertGreater(len(body), 300000)
        behave(self, "dense", lambda peer, request: peer.answer(body, headers=("Content-Encoding: gzip",)))
        lane = self.session.lane()
        self.request(lane, path="/dense")
        lane.response()
        seen = 0
        while True:
            letter, data = lane.frame()
            if letter != "D":
                break
            seen += len(data)
            time.sleep(0.001)  # what is slow about it
        self.assertEqual((letter, seen), ("E", len(plain)))
        self.works()


class StrictUpgrade(Case):
    policy = {"websocket": True, "scrub": SCRUB.index("strict")}

    def test_reflected_in_the_handshake(self):
        def run(peer, request):
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-You: " +
                      request.header("authorization").encode() + b"\r\n\r\n")

        behave(self, "ws", run)
        self.refused(502, "scrub", path="/ws", upgrade=True,
                     headers=(BEARER, ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-version", "13")))
        self.report("scrubbed")


if __name__ == "__main__":
    unittest.main()
