#!/usr/bin/python3
"""The built mcpcred-egress between a vault and sessions that are played, and an upstream that misbehaves."""

import os
import socket
import ssl
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from edges import MARKER, SCRUB, SLOTS, Closed, Egress, Failure, Fault, Lane, Session, Vault  # noqa: E402
from upstream import Upstream  # noqa: E402

WAIT = 30  # seconds: bounds a test that hangs, never measured
# Put together here, so that nothing in the tree looks like a credential.
CREDENTIAL = "sk-" + "".join(chr(ord("a") + i * 7 % 26) for i in range(24))
OTHER = "sk-" + "".join(chr(ord("A") + i * 5 % 26) for i in range(24))
BEARER = ("authorization", "Bearer " + MARKER)


class Case(unittest.TestCase):
    arguments = ()
    policy = {}

    def setUp(self):
        self.upstream = Upstream()
        self.addCleanup(self.upstream.stop)
        self.egress = self.start(*self.arguments)
        self.vault = self.egress.vault()
        self.session = self.egress.session()
        self.grant()

    def start(self, *arguments, **options):
        egress = Egress("--ca-file", self.upstream.ca, *arguments, **options)
        self.addCleanup(self.stop, egress)
        return egress

    def stop(self, egress):
        """Whatever a test did to it, it ends in order and has nothing to complain of."""
        self.assertEqual(egress.stop(), 0)
        said = [line for line in egress.errors().splitlines() if "RUNS WITHOUT SECCOMP" not in line]
        self.assertEqual(said, [])

    def authority(self):
        return f"localhost:{self.upstream.port}"

    def grant(self, session="s-1", credential=CREDENTIAL, hosts=None, vault=None, expires=None, **policy):
        values = {
            "slot": SLOTS.index("bearer"), "allow": [f"* {self.authority()} /**"], "addresses": ["127.0.0.0/8"],
            "scrub": SCRUB.index("mask"), "websocket": False, "cookies": False, **self.policy, **policy}
        (vault or self.vault).grant(
            session, hosts=hosts or [self.authority()], policy=values, credential=credential, expires=expires)

    def request(self, lane, method="GET", path="/echo", headers=(BEARER,), **values):
        values = {"host": "localhost", "port": self.upstream.port, **values}
        lane.request(method, path, headers, **values)

    def ask(self, method="GET", path="/echo", headers=(BEARER,), lane=None, **values):
        lane = lane or self.session.lane()
        self.request(lane, method, path, headers, **values)
        return lane.whole()

    def post(self, data, path="/echo", lane=None, method="POST", kind="length", **values):
        lane = lane or self.session.lane()
        length = len(data) if kind == "length" else None
        self.request(lane, method, path, body=kind, length=length, **values)
        lane.data(data)
        lane.end()
        return lane.whole()

    def refused(self, status, reason, *arguments, **values):
        with self.assertRaises(Failure) as caught:
            self.ask(*arguments, **values)
        self.assertEqual((caught.exception.status, caught.exception.reason), (status, reason))
        return caught.exception

    def never_sent(self):
        self.assertEqual(self.upstream.requests, [])

    def report(self, kind):
        report = self.vault.report()
        self.assertEqual(report["kind"], kind, report)
        self.assertEqual(report["count"], 1)
        return report

    def works(self):
        self.assertEqual(self.ask().status, 200)


class Requests(Case):
    def test_credential_takes_the_markers_place(self):
        self.assertEqual(self.ask().status, 200)
        [request] = self.upstream.requests
        self.assertEqual(request.header("authorization"), "Bearer " + CREDENTIAL)
        self.assertEqual(request.header("host"), self.authority())
        self.assertNotIn(MARKER.encode(), request.raw)

    def test_without_a_marker_nothing_is_put_in(self):
        self.ask(headers=())
        self.assertIsNone(self.upstream.requests[0].header("authorization"))

    def test_query_and_headers_pass(self):
        self.ask(query="a=1&b=%2F", headers=(BEARER, ("x-one", "1"), ("x-one", "2"), ("accept", "a/b")))
        request = self.upstream.requests[0]
        self.assertEqual(request.target, "/echo?a=1&b=%2F")
        self.assertEqual([value for name, value in request.headers if name == "x-one"], ["1", "2"])
        self.assertEqual(request.header("accept"), "a/b")

    def test_body_with_a_length(self):
        self.assertEqual(self.post(b"hello").body, b"hello")
        self.assertEqual(self.upstream.requests[0].header("content-length"), "5")

    def test_body_in_chunks(self):
        self.assertEqual(self.post(b"hello", kind="stream").body, b"hello")
        self.assertEqual(self.upstream.requests[0].header("transfer-encoding"), "chunked")

    def test_empty_bodies(self):
        self.assertEqual(self.post(b"", kind="stream").body, b"")
        self.assertEqual(self.post(b"").body, b"")
        self.assertEqual(self.ask("POST").body, b"")
        self.assertEqual(self.upstream.requests[2].header("content-length"), "0")

    def test_connection_is_used_again(self):
        lane = self.session.lane()
        for _ in range(5):
            self.ask(lane=lane)
        self.ask()
        self.assertEqual(self.upstream.connections, 1)

    def test_ranges_and_encodings_are_not_passed_on(self):
        self.ask(headers=(BEARER, ("range", "bytes=0-1"), ("if-range", '"x"'), ("accept-encoding", "br, zstd")))
        request = self.upstream.requests[0]
        self.assertIsNone(request.header("range"))
        self.assertIsNone(request.header("if-range"))
        self.assertEqual(request.header("accept-encoding"), "identity")

    def test_upload_and_download_of_many_bytes(self):
        data = os.urandom(3 << 20)
        lane = self.session.lane()
        self.request(lane, "PUT", body="stream")
        sender = threading.Thread(target=lambda: (lane.data(data), lane.end()))
        sender.start()
        response = lane.whole()
        sender.join(WAIT)
        self.assertEqual(response.body, data)

    def test_other_slots(self):
        cases = (
            ("basic", {}, {"headers": (("authorization", "Basic git:" + MARKER),)}, "authorization"),
            ("header", {"slot_name": "x-api-key"}, {"headers": (("x-api-key", MARKER),)}, "x-api-key"),
            ("query", {"slot_name": "key"}, {"headers": (), "query": "a=b&key=" + MARKER}, None),
            ("path", {"slot_prefix": "bot"}, {"headers": (), "path": f"/bot{MARKER}/getMe"}, None),
        )
        for kind, policy, values, header in cases:
            with self.subTest(kind):
                self.grant(slot=SLOTS.index(kind), **policy)
                self.ask(**values)
                request = self.upstream.requests[-1]
                sent = request.header(header) if header else request.target
                if kind == "basic":
                    sent = __import__("base64").b64decode(sent.split(" ")[1]).decode()
                self.assertIn(CREDENTIAL, sent)
                self.assertNotIn(MARKER, sent)

    def test_form(self):
        self.grant(slot=SLOTS.index("form"), slot_name="token")
        form = ("content-type", "application/x-www-form-urlencoded")
        for kind in ("length", "stream"):
            data = b"a=1&token=" + MARKER.encode() + b"&b=2"
            self.assertEqual(self.post(data, kind=kind, headers=(form,)).status, 200)
            self.assertEqual(self.upstream.requests[-1].body, f"a=1&token={CREDENTIAL}&b=2".encode())


class Refusals(Case):
    def test_other_host_refused(self):
        self.grant(hosts=["api.example.com"], allow=[f"* {self.authority()} /**"])
        self.refused(403, "host")
        report = self.report("misuse")
        self.assertEqual((report["session"], report["host"], report["path"]), ("s-1", "localhost", "/echo"))
        self.never_sent()
        self.ask(headers=())  # that it may go there at all is another matter

    def test_other_port_refused(self):
        self.grant(hosts=["localhost"])
        self.refused(403, "host")
        self.never_sent()

    def test_form_to_another_host_refused(self):
        self.grant(hosts=["api.example.com"], slot=SLOTS.index("form"), slot_name="token")
        with self.assertRaises((Failure, Closed)):
            self.post(b"token=" + MARKER.encode(), headers=(("content-type", "application/x-www-form-urlencoded"),))
        for request in self.upstream.requests:
            self.assertNotIn(CREDENTIAL.encode(), request.body)

    def test_marker_outside_slot_refused(self):
        self.refused(403, "handle-place", headers=(("x-other", MARKER),))
        self.report("denied")
        self.refused(403, "handle-place", headers=(), query="key=" + MARKER)
        self.refused(403, "handle-place", headers=(), path="/" + MARKER)
        self.never_sent()

    def test_marker_in_another_form_refused(self):
        for value in (f"Digest {MARKER}", f"Bearer {MARKER}x", f"Bearer x{MARKER}", f"Bearer  {MARKER} "):
            with self.assertRaises(Failure) as caught:
                self.ask(headers=(("authorization", value),))
            self.assertIn(caught.exception.status, (400, 403), value)
        self.never_sent()

    def test_two_markers_refused(self):
        self.refused(403, "handle-place", headers=(BEARER, BEARER))
        self.refused(403, "handle-place", headers=(BEARER, ("x-other", MARKER)))
        self.refused(403, "handle-place", query="a=" + MARKER)
        self.never_sent()

    def test_private_address_refused(self):
        self.grant(addresses=[])
        self.refused(403, "address")
        self.report("denied")
        self.grant(addresses=["10.0.0.0/8", "127.0.0.2"])
        self.refused(403, "address")
        self.assertEqual(self.upstream.connections, 0)
        self.grant(addresses=["127.0.0.1"])
        self.works()

    def test_denied_path_refused(self):
        self.grant(deny=[f"* {self.authority()} /admin/**"])
        self.refused(403, "rule", path="/admin/users")
        self.assertIn("/admin/**", self.report("denied")["reason"])
        self.works()

    def test_what_no_rule_allows_refused(self):
        self.grant(allow=[f"GET {self.authority()} /echo"])
        self.refused(403, "rule", "DELETE")
        self.refused(403, "rule", path="/other")
        self.refused(403, "rule", host="elsewhere.example.com", headers=())
        self.refused(403, "rule", port=443, headers=())
        self.never_sent()
        self.works()

    def test_no_rule_of_an_unmarked_request_either(self):
        self.grant(allow=[f"GET {self.authority()} /echo"])
        self.refused(403, "rule", path="/other", headers=())
        self.never_sent()

    def test_what_is_not_canonical_is_refused(self):
        for values in (
            {"path": "/a/../b"}, {"path": "//a"}, {"path": "/%41"}, {"path": "/a%2fb"}, {"path": "/a?b"},
            {"path": "echo"}, {"path": "/a b"}, {"path": "/a\\b"}, {"query": "a#b"}, {"query": "a b"},
            {"host": "LOCALHOST"}, {"host": "localhost."}, {"host": "127.0.0.1"}, {"host": "0x7f.1"}, {"host": "a_b"},
            {"host": "localhost:1"}, {"host": ""}, {"port": 0}, {"port": 65536}, {"method": "CONNECT"},
            {"method": "TRACE"}, {"method": "GE T"}, {"method": ""},
            {"headers": (("Host", "x"),)}, {"headers": (("host", "x"),)}, {"headers": (("content-length", "1"),)},
            {"headers": (("transfer-encoding", "chunked"),)}, {"headers": (("connection", "x"),)},
            {"headers": (("x-a\r\nx-b", "1"),)}, {"headers": (("x-a", "1\r\nx-b: 2"),)}, {"headers": (("", "1"),)},
            {"headers": (("x-a", "\x02"),)}, {"headers": (("proxy-authorization", "x"),)},
            {"length": 5},
        ):
            with self.subTest(values):
                with self.assertRaises(Failure) as caught:
                    self.ask(**{"headers": (), **values})
                self.assertEqual(caught.exception.reason, "malformed")
        self.never_sent()
        self.report("refused")

    def test_lane_is_usable_after_a_refusal(self):
        lane = self.session.lane()
        self.refused(403, "handle-place", headers=(BEARER, BEARER), lane=lane)
        self.assertEqual(self.ask(lane=lane).status, 200)

    def test_websocket_needs_the_profile(self):
        self.refused(403, "websocket", path="/websocket", upgrade=True)
        self.never_sent()

    def test_reports_are_counted(self):
        for _ in range(50):
            self.refused(403, "handle-place", headers=(("x-other", MARKER),))
        self.report("denied")
        self.assertEqual(self.vault.report()["count"], 49)


class Limits(Case):
    def test_rate(self):
        self.grant(rate=2, rate_seconds=3600)
        self.works()
        self.works()
        self.assertGreater(self.refused(429, "rate").retry_after, 1000)
        self.report("denied")

    def test_uses_are_counted_over_grants(self):
        self.grant(max_uses=2)
        self.works()
        self.grant(max_uses=2)
        self.works()
        self.refused(429, "max-uses")
        self.assertEqual(len(self.upstream.requests), 2)

    def test_body(self):
        self.grant(max_body=10)
        self.assertEqual(self.post(b"0123456789").status, 200)
        lane = self.session.lane()
        self.request(lane, "POST", body="length", length=11)
        with self.assertRaises(Failure) as caught:
            lane.whole()
        self.assertEqual((caught.exception.status, caught.exception.reason), (413, "max-body"))
        self.assertEqual(len(self.upstream.requests), 1)

    def test_body_of_unknown_length(self):
        self.grant(max_body=100000)
        self.assertEqual(self.post(b"x" * 100000, kind="stream").status, 200)
        with self.assertRaises(Failure) as caught:
            self.post(b"x" * 100001, kind="stream")
        self.assertEqual(caught.exception.reason, "max-body")
        self.assertEqual(len(self.upstream.requests), 1)

    def test_concurrent(self):
        self.grant(concurrent=2)
        lanes = [self.session.lane() for _ in range(2)]
        for lane in lanes:
            self.request(lane, path="/pause")
            lane.response()
        self.refused(429, "concurrent")
        lanes[0].close()
        self.upstream.release.set()
        self.works()

    def test_lanes_of_a_session_are_limited_and_others_go_on(self):
        lanes = [self.session.lane() for _ in range(256)]
        with self.assertRaises(Fault) as caught:
            self.session.lane()
        self.assertEqual(caught.exception.name, "BUSY")
        other = self.egress.session("s-2")
        self.grant("s-2", OTHER)
        self.assertEqual(self.ask(lane=other.lane()).status, 200)
        lanes.pop().close()
        self.assertEqual(self.ask(lane=lanes[0]).status, 200)
        for lane in lanes:
            lane.close()


class Responses(Case):
    def fails(self, reason, path, status=502):
        self.refused(status, reason, path=path)
        self.works()

    def test_without_body(self):
        response = self.ask(path="/none")
        self.assertEqual((response.status, response.kind, response.body), (204, "none", b""))

    def test_head(self):
        response = self.ask("HEAD", path="/head")
        self.assertEqual((response.status, response.kind, response.length, response.body), (200, "length", 5000, b""))
        self.ask("HEAD", path="/head")
        self.assertEqual(self.upstream.connections, 1)

    def test_chunked_without_trailers(self):
        response = self.ask(path="/chunked")
        self.assertEqual((response.kind, response.body), ("stream", b"one two three"))
        self.assertIsNone(response.header("x-trailer"))
        self.ask()
        self.assertEqual(self.upstream.connections, 1)

    def test_until_close(self):
        response = self.ask(path="/until-close")
        self.assertEqual((response.kind, response.body), ("stream", b"to the end"))
        self.works()

    def test_too_short(self):
        lane = self.session.lane()
        for path, body in (("/short", b"less"), ("/short-chunks", b"hello")):
            self.request(lane, path=path)
            response = lane.response()
            with self.assertRaises(Failure) as caught:
                lane.rest(response)
            self.assertEqual(caught.exception.reason, "upstream-truncated")
            self.assertIn(response.body, body)
        self.assertEqual(self.ask(lane=lane).status, 200)

    def test_too_long_never_answers_the_next(self):
        lane = self.session.lane()
        self.assertEqual(self.ask(path="/long", lane=lane).body, b"ok")
        self.assertEqual(self.ask(path="/echo", lane=lane).body, b"")
        self.assertEqual(self.upstream.connections, 2)

    def test_two_lengths(self):
        self.fails("upstream-malformed", "/both-lengths")

    def test_garbage(self):
        self.fails("upstream-malformed", "/garbage")

    def test_huge_head(self):
        self.fails("upstream-malformed", "/huge-head")

    def test_closed_without_an_answer(self):
        self.fails("upstream-closed", "/close")
        self.fails("upstream-closed", "/reset")

    def test_bad_upgrade(self):
        self.fails("upstream-malformed", "/bad-upgrade")

    def test_hints_are_dropped(self):
        self.assertEqual(self.ask(path="/hints").body, b"final")
        self.fails("upstream-malformed", "/many-hints")

    def test_redirect_not_followed(self):
        response = self.ask(path="/redirect")
        self.assertEqual(response.status, 302)
        self.assertEqual(response.header("location"), f"https://localhost:{self.upstream.port}/echo")
        self.assertEqual(len(self.upstream.requests), 1)

    def test_headers_that_are_not_the_clients_are_dropped(self):
        response = self.ask(path="/headers")
        self.assertEqual(sorted(response.headers), [("etag", '"1"'), ("x-kept", "yes")])
        self.grant(cookies=True)
        self.assertEqual(self.ask(path="/headers").header("set-cookie"), "a=b")

    def test_unauthorized_is_reported(self):
        self.assertEqual(self.ask(path="/unauthorized").status, 401)
        self.report("unauthorized")
        self.ask(path="/unauthorized", headers=())
        self.assertEqual(self.vault.reports_now(), [])

    def test_events_come_without_delay(self):
        lane = self.session.lane()
        self.request(lane, path="/events")
        self.assertEqual(lane.response().kind, "stream")
        self.assertEqual(lane.expect("D"), b"data: one\n\n")
        self.assertTrue(lane.is_quiet())
        self.upstream.release.set()
        self.assertEqual(lane.expect("D"), b"data: two\n\n")
        lane.expect("E")

    def test_slow_reader_holds_up_nobody_else_and_loses_nothing(self):
        size = 6 << 20
        slow = self.session.lane()
        self.request(slow, path="/big", query=f"size={size}")
        response = slow.response()
        for _ in range(20):
            self.works()
        got = slow.rest(response).body
        self.assertEqual(len(got), size)
        self.assertEqual(self.ask(path="/big", query=f"size={size}").body, got)

    def test_slow_reader_of_what_is_compressed_loses_nothing(self):
        """More comes at a time than what of it is undone and taken, again and again."""
        lane = self.session.lane()
        self.request(lane, path="/gzip_big", headers=(BEARER, ("accept-encoding", "gzip")))
        got = lane.rest(lane.response()).body
        self.assertEqual(len(got), (24 << 20) // 9 * 9)
        self.works()

    def test_memory_stays_small_with_a_slow_reader(self):
        lanes = []
        for _ in range(8):
            lanes.append(self.session.lane())
            self.request(lanes[-1], path="/stream")
            lanes[-1].response()
        for _ in range(10):
            self.works()
        with open(f"/proc/{self.egress.process.pid}/status", encoding="ascii") as file:
            [resident] = [int(line.split()[1]) for line in file if line.startswith("VmRSS:")]
        if "RUNS WITHOUT SECCOMP" not in self.egress.errors():  # sanitizers need more
            self.assertLess(resident, 40 * 1024)  # KiB
        for lane in lanes:
            lane.close()


class Uploads(Case):
    def test_continue(self):
        lane = self.session.lane()
        self.request(lane, "PUT", path="/continue", body="length", length=5, expect=True)
        lane.expect("C")
        lane.data(b"hello")
        lane.end()
        self.assertEqual(lane.whole().body, b"hello")

    def test_continue_refused(self):
        lane = self.session.lane()
        self.request(lane, "PUT", path="/no-continue", body="length", length=5, expect=True)
        self.assertEqual(lane.whole().status, 417)
        lane.end()  # without its body, and without having been asked
        self.assertEqual(self.ask(lane=lane).status, 200)

    def test_upstream_that_does_not_know_expect(self):
        lane = self.session.lane()
        self.request(lane, "PUT", body="length", length=5, expect=True)
        lane.expect("C")
        lane.data(b"hello")
        lane.end()
        self.assertEqual(lane.whole().body, b"hello")

    def test_client_that_does_not_wait(self):
        lane = self.session.lane()
        self.request(lane, "PUT", body="length", length=5, expect=True)
        lane.data(b"hello")
        lane.end()
        self.assertEqual(lane.whole().body, b"hello")

    def test_answered_before_the_upload_ends(self):
        lane = self.session.lane()
        self.request(lane, "PUT", path="/early", body="length", length=100 << 20)
        lane.data(b"x" * 1000)
        response = lane.whole()
        self.assertEqual((response.status, response.body), (413, b"too much"))
        self.upstream.wait_end(1)
        lane.data(b"x" * (1 << 20))  # taken, and thrown away
        lane.end()
        self.assertEqual(self.ask(lane=lane).status, 200)

    def test_shorter_than_promised_is_never_whole(self):
        lane = self.session.lane()
        self.request(lane, "PUT", body="length", length=10)
        lane.data(b"hello")
        lane.end()
        self.assertRaises(Closed, lane.frame)
        self.upstream.wait_end(1)
        self.never_sent()

    def test_longer_than_promised_is_cut(self):
        lane = self.session.lane()
        self.request(lane, "PUT", body="length", length=3)
        lane.data(b"hello")
        self.assertRaises(Closed, lane.frame)
        self.never_sent()

    def test_session_that_gives_up_cuts_the_upload(self):
        lane = self.session.lane()
        self.request(lane, "PUT", body="stream")
        lane.data(b"hello")
        self.upstream.wait(lambda: self.upstream.connections == 1, "a connection")
        lane.close()
        self.upstream.wait_end(1)
        self.never_sent()

    def test_frames_out_of_order_cut_the_lane_alone(self):
        for frames in ("D", "E", "QQ", "QD", "QE", "C", "R", "X", "F"):
            lane = self.session.lane()
            for frame in frames:
                if frame == "Q":
                    self.request(lane, path="/pause")
                else:
                    try:
                        lane.send(frame, b"x" if frame in "DF" else b"")
                    except BrokenPipeError:
                        break
            with self.assertRaises((Closed, AssertionError), msg=frames):
                while True:
                    letter, _ = lane.frame()
                    self.assertIn(letter, "RD")
            self.works()

    def test_malformed_frames_cut_the_lane_alone(self):
        for data in (b"Q", b"Q\x01", b"Q" + b"\xff" * 100, b"D", b"Exx", b"\0"):
            lane = self.session.lane()
            lane.sock.send(data)
            self.assertRaises(Closed, lane.frame)
        self.works()


class Stale(Case):
    def test_stale_connection_retried_once(self):
        """Closed at the moment when the request comes: once more, and not twice."""
        lane = self.session.lane()
        self.assertEqual(self.ask(path="/echo", lane=lane).status, 200)
        first = iter((True, False))
        self.upstream.behaviours["/flaky"] = lambda peer, request: (
            self.upstream.do_close(peer, request) if next(first) else peer.answer(b"second"))
        self.assertEqual(self.ask(path="/flaky", lane=lane).body, b"second")
        self.assertEqual(self.upstream.connections, 2)
        self.refused(502, "upstream-closed", path="/close", lane=lane)
        self.assertEqual([r.path for r in self.upstream.requests].count("/close"), 2)

    def test_new_connection_is_not_retried(self):
        self.refused(502, "upstream-closed", path="/close")
        self.assertEqual(len(self.upstream.requests), 1)

    def test_post_is_never_sent_twice(self):
        lane = self.session.lane()
        self.works()
        with self.assertRaises(Failure):
            self.post(b"pay", path="/close", lane=lane)
        self.refused(502, "upstream-closed", "POST", path="/close")
        self.assertEqual([r.method for r in self.upstream.requests].count("POST"), 2)

    def test_connection_that_the_upstream_closed_is_not_used(self):
        lane = self.session.lane()
        for _ in range(3):
            self.assertEqual(self.ask(path="/once", lane=lane).body, b"once")
            self.upstream.wait_end(self.upstream.connections)
        self.assertEqual(self.post(b"pay", lane=lane).status, 200)
        self.assertEqual(self.upstream.connections, 4)


class Timeouts(Case):
    arguments = ("--head-timeout-ms", "400", "--stall-timeout-ms", "400", "--idle-timeout-ms", "400",
                 "--connect-timeout-ms", "2000")

    def test_silent_upstream(self):
        self.refused(504, "timeout", path="/silent")
        self.upstream.release.set()
        self.works()

    def test_head_that_stops_half_way(self):
        self.refused(504, "timeout", path="/half-head")

    def test_body_that_stops(self):
        lane = self.session.lane()
        self.request(lane, path="/pause")
        response = lane.response()
        with self.assertRaises(Failure) as caught:
            lane.rest(response)
        self.assertEqual(caught.exception.reason, "idle")

    def test_upload_that_stops(self):
        lane = self.session.lane()
        self.request(lane, "PUT", body="stream")
        lane.data(b"hello")
        with self.assertRaises(Failure) as caught:
            lane.whole()
        self.assertEqual(caught.exception.reason, "stalled")

    def test_upload_that_nobody_reads(self):
        lane = self.session.lane()
        self.request(lane, "PUT", path="/deaf", body="stream")
        lane.sock.setblocking(False)
        with self.assertRaises((BlockingIOError, BrokenPipeError)):
            while True:
                lane.send("D", b"x" * 60000)
                time.sleep(0.001)
        lane.sock.settimeout(WAIT)
        with self.assertRaises((Failure, Closed)) as caught:
            lane.whole()
        if isinstance(caught.exception, Failure):
            self.assertEqual(caught.exception.reason, "stalled")

    def test_host_that_accepts_and_says_nothing(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        port = silent.getsockname()[1]
        self.grant(hosts=[f"localhost:{port}"], allow=[f"* localhost:{port} /**"])
        self.refused(504, "connect", port=port)

    def test_nobody_there(self):
        gone = socket.create_server(("127.0.0.1", 0))
        port = gone.getsockname()[1]
        gone.close()
        self.grant(allow=[f"* localhost:{port} /**"])
        self.refused(502, "unreached", port=port, headers=())

    def test_name_that_does_not_resolve(self):
        self.grant(allow=["* does-not-exist.invalid /**"])
        with self.assertRaises(Failure) as caught:
            self.ask(host="does-not-exist.invalid", port=443, headers=())
        self.assertIn(caught.exception.reason, ("name", "connect"))


class Certificates(Case):
    def test_another_authority_is_refused(self):
        other = Upstream()
        self.addCleanup(other.stop)
        self.grant(hosts=[f"localhost:{other.port}"], allow=[f"* localhost:{other.port} /**"])
        self.refused(502, "tls", port=other.port)
        self.assertEqual(other.requests, [])

    def test_another_name_is_refused(self):
        other = Upstream(("api.example.com",))
        self.addCleanup(other.stop)
        egress = Egress("--ca-file", other.ca)
        self.addCleanup(self.stop, egress)
        vault, session = egress.vault(), egress.session()
        self.grant(vault=vault, hosts=[f"localhost:{other.port}"], allow=[f"* localhost:{other.port} /**"])
        self.refused(502, "tls", port=other.port, lane=session.lane())
        self.assertEqual(other.requests, [])

    def test_old_tls_is_refused(self):
        self.upstream.context.minimum_version = ssl.TLSVersion.TLSv1
        self.upstream.context.maximum_version = ssl.TLSVersion.TLSv1_1
        self.upstream.context.set_ciphers("ALL:@SECLEVEL=0")
        self.refused(502, "tls")

    def test_tls_1_2_and_1_3(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.upstream.context.maximum_version = version
            self.grant()
            self.works()


class Scrubbing(Case):
    FORMS = ("plain", "base64", "urlsafe", "hex", "percent", "json", "html", "gzip", "deflate", "split")

    def test_reflected_in_each_form(self):
        for form in self.FORMS:
            with self.subTest(form):
                response = self.ask(path="/reflect/" + form, headers=(BEARER, ("accept-encoding", "gzip")))
                self.assertNotIn(CREDENTIAL.encode(), response.body)
                self.assertIsNone(response.header("content-encoding"))
                body = response.body
                self.assertTrue(body.startswith(b"before ") and body.endswith(b" after"), body)
                self.assertIn(b"****", body)

    def test_reflected_is_reported(self):
        self.ask(path="/reflect/plain")
        self.report("scrubbed")

    def test_reflected_in_headers(self):
        response = self.ask(path="/reflect/header")
        self.assertEqual(response.header("x-reflected"), "*" * len(CREDENTIAL))
        self.assertNotIn(CREDENTIAL, repr(response.headers))
        self.report("scrubbed")

    def test_strict_cuts(self):
        self.grant(scrub=SCRUB.index("strict"))
        for form in self.FORMS:
            with self.subTest(form):
                lane = self.session.lane()
                self.request(lane, path="/reflect/" + form)
                response = None
                with self.assertRaises(Failure) as caught:
                    response = lane.response()
                    lane.rest(response)
                self.assertEqual(caught.exception.reason, "scrub")
                body = response.body if response else b""
                self.assertTrue(body.startswith(b"before ") or not body)
                self.assertLess(len(body), len(b"before ") + 4)  # what stands before it in Base64's first letters
        self.refused(502, "scrub", path="/reflect/header")
        self.works()

    def test_strict_refuses_what_it_cannot_read(self):
        self.ask(path="/reflect/brotli")
        self.grant(scrub=SCRUB.index("strict"))
        self.refused(502, "scrub", path="/reflect/brotli")

    def test_off(self):
        self.grant(scrub=SCRUB.index("off"))
        self.assertIn(CREDENTIAL.encode(), self.ask(path="/reflect/plain").body)
        response = self.ask(path="/gzip", headers=(("accept-encoding", "gzip"), ("range", "bytes=0-")))
        self.assertEqual(response.header("content-encoding"), "gzip")
        self.assertEqual(self.upstream.requests[-1].header("range"), "bytes=0-")

    def test_gzip_is_undone(self):
        response = self.ask(path="/gzip", headers=(BEARER, ("accept-encoding", "gzip, deflate, br")))
        self.assertEqual(self.upstream.requests[-1].header("accept-encoding"), "gzip")
        self.assertEqual((response.kind, response.body), ("stream", b"some text " * 50000))
        self.assertEqual(self.ask(path="/gzip").kind, "length")
        self.assertEqual(self.upstream.connections, 1)

    def test_bomb_costs_little(self):
        lane = self.session.lane()
        self.request(lane, path="/bomb")
        response = lane.response()
        with self.assertRaises(Failure):
            while True:
                letter, data = lane.frame()
                if letter == "F":
                    raise Failure({"status": 502, "reason": "", "message": "", "retry_after": 0})
                self.assertEqual(letter, "D")
                response.length += len(data)
        self.assertLess(response.length, 64 << 20)
        self.works()

    def test_damaged(self):
        with self.assertRaises(Failure) as caught:
            self.ask(path="/damaged")
        self.assertEqual(caught.exception.reason, "upstream-encoding")
        self.works()


class WebSockets(Case):
    policy = {"websocket": True}
    HEADERS = (BEARER, ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-version", "13"))

    def open(self):
        lane = self.session.lane()
        self.request(lane, path="/websocket", headers=self.HEADERS, upgrade=True)
        response = lane.response()
        self.assertEqual((response.status, response.upgraded), (101, True))
        self.assertEqual(response.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        return lane

    def test_bytes_both_ways(self):
        lane = self.open()
        for _ in range(10):
            lane.data(b"ping")
            self.assertEqual(lane.expect("D"), b"ping")
        request = self.upstream.requests[0]
        self.assertEqual(request.header("upgrade"), "websocket")
        self.assertEqual(request.header("connection").lower(), "upgrade")
        self.assertEqual(request.header("authorization"), "Bearer " + CREDENTIAL)

    def test_end_of_the_session(self):
        lane = self.open()
        lane.end()
        with self.assertRaises(Closed):
            lane.expect("E")
            lane.frame()
        self.upstream.wait_end(1)

    def test_end_of_the_upstream(self):
        lane = self.open()
        self.upstream.peers[0].sock.shutdown(socket.SHUT_RDWR)
        with self.assertRaises(Closed):
            lane.expect("E")
            lane.frame()

    def test_refusal_of_the_upstream_is_a_response(self):
        self.assertEqual(self.ask(path="/unauthorized", headers=self.HEADERS, upgrade=True).status, 401)

    def test_cut(self):
        lane = self.open()
        self.vault.cut()
        self.assertRaises(Closed, lane.frame)
        self.assertEqual(self.upstream.wait_end(1), "reset")


class Cutting(Case):
    def open_streams(self, n, path="/stream"):
        lanes = []
        for _ in range(n):
            lane = self.session.lane()
            self.request(lane, path=path)
            lane.response()
            lanes.append(lane)
        return lanes

    def test_cut_closes_streams(self):
        lanes = self.open_streams(20)
        self.vault.cut()
        for lane in lanes:
            with self.assertRaises(Closed):
                while True:
                    lane.frame()
        for number in range(1, 21):
            self.assertEqual(self.upstream.wait_end(number), "reset")

    def test_cut_of_200_streams_is_answered_at_once(self):
        self.open_streams(200, "/events")
        start = time.monotonic()
        self.vault.cut()
        print(f"# 200 streams cut in {(time.monotonic() - start) * 1e6:.0f} µs", file=sys.stderr)
        self.upstream.release.set()
        for number in range(1, 201):
            self.assertEqual(self.upstream.wait_end(number), "reset")

    def test_nothing_leaves_behind_the_answer(self):
        """What the kernel holds for an upstream that does not read is gone with the answer."""
        lane = self.session.lane()
        self.upstream.behaviours["/hold"] = hold = lambda peer, request: self.count_rest(peer)
        hold.early = True
        self.counted = None
        self.request(lane, "PUT", path="/hold", body="stream")
        lane.sock.setblocking(False)
        sent = 0
        quiet = 0
        while quiet < 50:  # until nothing moves: the buffers of all three are full
            try:
                lane.send("D", b"x" * 60000)
                sent += 60000
                quiet = 0
            except BlockingIOError:
                quiet += 1
                time.sleep(0.01)
        self.vault.cut()
        self.upstream.release.set()
        self.upstream.wait_end(1)
        self.assertGreater(sent, 1 << 20)
        self.assertLess(self.counted, sent)

    def count_rest(self, peer):
        self.upstream.release.wait(WAIT)
        n = 0
        try:
            while True:
                data = peer.sock.recv(65536)
                n += len(data)
                if not data:
                    break
        finally:
            self.counted = n

    def test_idle_connections_are_cut_too(self):
        self.works()
        self.vault.cut()
        self.assertEqual(self.upstream.wait_end(1), "reset")

    def test_afterwards_there_is_nothing(self):
        lane = self.session.lane()
        self.ask(lane=lane)
        self.vault.cut()
        self.assertRaises(Closed, lane.frame)
        self.refused(503, "revoked")
        self.assertEqual(len(self.upstream.requests), 1)
        self.grant()
        self.works()

    def test_other_sessions_go_on(self):
        other = self.egress.session("s-2")
        self.grant("s-2", OTHER)
        lane = other.lane()
        self.request(lane, path="/pause")
        response = lane.response()
        self.open_streams(1)
        self.vault.cut()
        self.upstream.release.set()
        self.assertEqual(lane.rest(response).body, b"firstagain")

    def test_session_without_a_grant(self):
        session = self.egress.session("s-2")
        self.refused(503, "no-grant", lane=session.lane())

    def test_unknown_session(self):
        self.vault.cut("s-unknown")

    def test_while_connecting(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        port = silent.getsockname()[1]
        self.grant(hosts=[f"localhost:{port}"], allow=[f"* localhost:{port} /**"])
        lane = self.session.lane()
        self.request(lane, port=port)
        peer, _ = silent.accept()
        self.vault.cut()
        with self.assertRaises(Failure) as caught:  # why, and then the end
            lane.response()
        self.assertEqual(caught.exception.reason, "revoked")
        self.assertRaises(Closed, lane.frame)
        peer.settimeout(WAIT)
        try:
            while peer.recv(65536):
                pass
        except ConnectionResetError:
            pass
        peer.close()

    def test_renewal_goes_on_with_the_old_and_begins_with_the_new(self):
        lane = self.session.lane()
        self.request(lane, path="/pause")
        response = lane.response()
        self.grant(credential=OTHER)
        self.ask()
        self.assertEqual(self.upstream.requests[1].header("authorization"), "Bearer " + OTHER)
        self.upstream.release.set()
        self.assertEqual(lane.rest(response).body, b"firstagain")
        self.ask(lane=lane)
        carried = {}
        for request in self.upstream.requests:
            carried.setdefault(request.connection, set()).add(request.header("authorization"))
        self.assertTrue(all(len(credentials) == 1 for credentials in carried.values()), carried)

    def test_cut_reaches_what_began_before_a_renewal(self):
        [lane] = self.open_streams(1)
        self.grant(credential=OTHER)
        self.vault.cut()
        with self.assertRaises(Closed):
            while True:
                lane.frame()
        self.assertEqual(self.upstream.wait_end(1), "reset")

    def test_expired(self):
        self.grant(expires=int((time.time() - 1) * 1e6))
        self.refused(503, "expired")
        self.grant(expires=int((time.time() + 3600) * 1e6))
        self.works()

    def test_session_process_that_goes_takes_its_lanes(self):
        [lane] = self.open_streams(1)
        self.session.close()
        with self.assertRaises(Closed):
            while True:
                lane.frame()
        self.upstream.wait_end(1)
        self.session = self.egress.session()
        self.works()

    def test_vault_that_goes_takes_everything(self):
        self.open_streams(3)
        self.vault.close()
        self.assertEqual(self.egress.process.wait(WAIT), 0)
        for number in range(1, 4):
            self.upstream.wait_end(number)


class Isolation(Case):
    def test_one_session_cannot_use_anothers_grant(self):
        other = self.egress.session("s-2")
        self.grant("s-2", OTHER, allow=[f"GET {self.authority()} /echo"])
        self.ask(lane=other.lane())
        self.ask()
        self.assertEqual([r.header("authorization") for r in self.upstream.requests],
                         ["Bearer " + OTHER, "Bearer " + CREDENTIAL])
        self.refused(403, "rule", path="/head", lane=other.lane())
        self.assertEqual(self.vault.report()["session"], "s-2")
        self.assertEqual(self.upstream.connections, 2)

    def test_sessions_edge_can_ask_for_lanes_alone(self):
        for method in range(1, 4):
            session = self.egress.session("s-9")
            session.send(method, b"")
            with self.assertRaises((EOFError, ConnectionResetError)):
                session.read()
        self.works()

    def test_vaults_edge_that_is_malformed_ends_it(self):
        self.vault.sock.send(b"\xff" * 100)
        self.assertEqual(self.egress.process.wait(WAIT), 0)

    def test_edges_to_others_are_refused(self):
        for peer in (0, 1, 4, 5, 6):
            self.assertRaises(Fault, self.egress.attach, Session, peer, session="s-3")
        self.assertRaises(Fault, self.egress.attach, Session, 2)
        self.assertRaises(Fault, self.egress.attach, Vault, 3)
        self.works()

    def test_lane_that_is_no_socket_is_refused(self):
        reader, writer = os.pipe()
        with open("/etc/hostname", "rb") as file:
            self.assertRaises(Fault, self.session.call, 0, b"", [file.fileno()])
        self.session.call(0, b"", [reader])
        os.write(writer, b"Q")
        os.close(reader)
        os.close(writer)
        self.works()

    def test_bad_grants_are_refused(self):
        for values in ({"addresses": ["10.0.0.1/8"]}, {"allow": ["nonsense"]}, {"credential": "short"},
                       {"credential": "with a\r\nline: end"}, {"rate": 1, "rate_seconds": 0}):
            self.assertRaises(Fault, self.grant, **values)
        self.works()

    def test_session_that_was_killed_costs_nobody_anything(self):
        other = self.egress.session("s-2")
        self.grant("s-2", OTHER)
        for _ in range(20):
            lane = other.lane()
            self.request(lane, path="/stream")
            lane.sock.close()
        other.close()
        self.works()

    def test_flood_of_requests_holds_up_nobody(self):
        other = self.egress.session("s-2")
        self.grant("s-2", OTHER)
        lanes = [other.lane() for _ in range(64)]
        for lane in lanes:
            self.request(lane, path="/stream")
        for _ in range(20):
            self.works()


class Process(Case):
    def test_ends_with_the_supervisor(self):
        self.assertEqual(self.egress.stop(), 0)

    def test_proxy_of_the_environment_is_not_used(self):
        egress = self.start(environment={"https_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1",
                                         "ALL_PROXY": "http://127.0.0.1:1", "SSLKEYLOGFILE": "/tmp/keys"})
        vault, session = egress.vault(), egress.session()
        self.grant(vault=vault)
        self.assertEqual(self.ask(lane=session.lane()).status, 200)

    def test_missing_ca_file(self):
        egress = Egress("--ca-file", "/nonexistent")
        self.assertEqual(egress.process.wait(WAIT), 1)
        egress.stop()
        self.assertIn("/nonexistent", egress.errors())

    def test_unknown_argument(self):
        egress = Egress("--what")
        self.assertEqual(egress.process.wait(WAIT), 2)
        egress.stop()
        self.assertIn("usage", egress.errors())


class Resolver(Case):
    """The files of name resolution are replaced while it runs, by rename as everybody does that."""

    NAMES = ("localhost", "one.test", "two.test")

    def setUp(self):
        self.etc = tempfile.TemporaryDirectory()
        self.addCleanup(self.etc.cleanup)
        os.chmod(self.etc.name, 0o755)
        self.write("nsswitch.conf", "hosts: files\n")
        self.write("resolv.conf", "")
        self.write("hosts", "127.0.0.1 localhost one.test\n")
        self.upstream = Upstream(self.NAMES)
        self.addCleanup(self.upstream.stop)
        os.chmod(self.upstream.directory.name, 0o755)
        self.egress = self.start(command=self.command())
        try:
            self.vault = self.egress.vault()
        except (EOFError, OSError):
            self.skipTest("no namespaces here, or the build is not for everybody to run: " + self.egress.errors())
        self.session = self.egress.session()

    def command(self):
        """An /etc of its own, and the rights of an ordinary user."""
        root = os.geteuid() == 0
        unshare = ["unshare", "--mount", "--propagation", "private"]
        drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if root else []
        if not root:
            unshare += ["--user", "--map-current-user", "--keep-caps"]
        return [*unshare, "--", "sh", "-c", f'mount --bind {self.etc.name} /etc && exec "$@"', "sh", *drop]

    def stop(self, egress):
        egress.stop()

    def write(self, name, text):
        path = os.path.join(self.etc.name, name)
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)

    def test_files_that_are_replaced_are_seen(self):
        port = self.upstream.port
        self.grant(hosts=[f"{name}:{port}" for name in self.NAMES], allow=[f"* {name}:{port} /**" for name in self.NAMES])
        self.assertEqual(self.ask(host="one.test").status, 200)
        self.refused(502, "name", host="two.test")
        self.write("hosts", "127.0.0.1 localhost two.test\n")
        self.assertEqual(self.ask(host="two.test").status, 200)


class ConnectProxy(threading.Thread):
    """An HTTP proxy that knows CONNECT."""

    def __init__(self, refuse=False):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.refuse = refuse
        self.asked = []

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        self.asked.append(head)
        if self.refuse:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        port = int(head.split(b" ")[1].split(b":")[1])
        server = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=self.copy, args=(client, server), daemon=True).start()
        self.copy(server, client)

    @staticmethod
    def copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class UpstreamProxy(Case):
    refuse = False

    def start(self, *arguments, **options):
        self.proxy = ConnectProxy()
        self.proxy.start()
        self.addCleanup(self.proxy.listener.close)
        return super().start(*arguments, "--upstream-proxy", f"http://127.0.0.1:{self.proxy.port}", **options)

    def test_everything_goes_through_it_and_it_sees_no_credential(self):
        self.grant(addresses=[])
        self.works()
        [head] = self.proxy.asked
        self.assertTrue(head.startswith(f"CONNECT localhost:{self.upstream.port} HTTP/1.1".encode()), head)
        self.assertNotIn(CREDENTIAL.encode(), head)

    def test_its_refusal(self):
        self.proxy.refuse = True
        self.refused(502, "proxy")


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
