"""The HTTP/1.1 front: ways in, framing, keep-alive, streams, and what is refused."""
import ssl
import unittest

from playground import Client, Playground, headers_of

HOST = "api.example.test"


class Front(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.play = Playground()
        if not cls.play.inside:
            cls.play.stop()
            raise unittest.SkipTest("no network namespace can be made here")
        cls.play.serve_all()

    @classmethod
    def tearDownClass(cls):
        cls.play.stop()

    def setUp(self):
        self.play.forget()

    def tunnel(self, host=HOST, **arguments):
        client = self.play.tunnel(host, **arguments)
        self.addCleanup(client.close)
        return client

    # ---- ways in ----

    def test_get_through_connect(self):
        response = self.tunnel().ask("GET", "/a?b=c", HOST)
        self.assertEqual((response.status, response.body), (200, b"hello"))
        request = self.play.request()
        self.assertEqual([request[k] for k in ("profile", "method", "host", "port", "path", "query", "body")],
                         ["auth", "GET", HOST, 443, "/a", "b=c", "none"])

    def test_post_through_connect(self):
        response = self.tunnel().ask("POST", "/p", HOST, body="x" * 1000)
        self.assertEqual((response.status, response.body), (200, b"taken"))
        self.assertEqual(self.play.request()["length"], 1000)
        self.assertEqual(self.play.body()["text"], "x" * 1000)

    def test_connect_to_another_port(self):
        client = self.play.tunnel(HOST, 8443)
        self.addCleanup(client.close)
        self.assertEqual(client.ask("GET", "/", HOST + ":8443").status, 200)
        self.assertEqual(self.play.request()["port"], 8443)

    def test_transparent_by_sni(self):
        with self.play.direct(HOST) as client:
            self.assertEqual(client.ask("GET", "/", HOST).body, b"hello")

    def test_absolute_form(self):
        with Client(self.play.raw()) as client:
            self.assertEqual(client.ask("GET", f"https://{HOST}/x", HOST).body, b"hello")
        self.assertEqual(self.play.request()["path"], "/x")

    def test_path_socket(self):
        with self.play.tunnel(HOST, sock=self.play.path_socket()) as client:
            self.assertEqual(client.ask("GET", "/", HOST).body, b"hello")

    def test_endpoint_form(self):
        with Client(self.play.raw()) as client:
            token = self.play.handles["sdk"]
            response = client.ask("GET", "/sdk/v1/models?a=1", "127.0.0.1:3128", f"Authorization: Bearer {token}\r\n")
            self.assertEqual(response.body, b"hello")
        request = self.play.request()
        self.assertEqual([request[k] for k in ("profile", "host", "path", "query")],
                         ["sdk", "sdk.example.test", "/v1/models", "a=1"])
        self.assertEqual(headers_of(request)["authorization"], "Bearer \x01")

    def test_plain_http_refused(self):
        with Client(self.play.raw()) as client:
            response = client.ask("GET", f"http://{HOST}/", HOST)
        self.assertEqual((response.status, response.reason), (403, "plain-http"))

    def test_unknown_host_refused(self):
        for host in "elsewhere.test", "a.b.wild.test", "wild.test":
            with self.play.tunnel(host) as client:
                self.assertEqual((client.refused.status, client.refused.reason), (403, "host-denied"))
        self.play.reported("denied CONNECT elsewhere.test", lambda: self.play.tunnel("elsewhere.test").close())

    def test_wildcard_is_one_label(self):
        self.assertEqual(self.tunnel("two.wild.test").ask("GET", "/", "two.wild.test").status, 200)

    def test_other_port_refused(self):
        client = self.play.tunnel(HOST, 444)
        self.assertEqual(client.refused.reason, "host-denied")
        client.close()

    def test_not_a_proxy_request_refused(self):
        for path in "/", "/unknown/x", "/auth/x":
            with Client(self.play.raw()) as client:
                self.assertEqual(client.ask("GET", path, HOST).reason, "target")

    # ---- one host ----

    def test_sni_mismatch_refused(self):
        def act():
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                self.play.tunnel(HOST, sni="other.example.test")

        self.play.reported(f"refused - {HOST}", act)

    def test_host_mismatch_refused(self):
        for host in "other.example.test", HOST + ":8443", "elsewhere.test":
            response = self.tunnel().ask("GET", "/", host)
            self.assertEqual((response.status, response.reason), (421, "host-mismatch"))
        self.assertEqual(self.play.requests(), [])

    def test_host_of_connect_must_agree(self):
        with Client(self.play.raw()) as client:
            client.send(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: other.example.test:443\r\n\r\n")
            self.assertEqual(client.response(connect=True).status, 400)

    def test_absolute_form_in_a_tunnel_must_agree(self):
        client = self.tunnel()
        self.assertEqual(client.ask("GET", f"https://{HOST}/", HOST).status, 200)
        response = client.ask("GET", "https://other.example.test/", "other.example.test")
        self.assertEqual(response.reason, "host-mismatch")

    def test_connect_in_a_tunnel_refused(self):
        client = self.tunnel()
        client.send(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n")
        self.assertEqual(client.response().status, 400)

    # ---- framing ----

    def test_keep_alive_uses_one_lane(self):
        client = self.tunnel("query.example.test")
        for _ in range(20):
            self.assertEqual(client.ask("GET", "/", "query.example.test").status, 200)
        self.assertEqual([r["nth"] for r in self.play.requests()], list(range(20)))

    def test_pipelining_is_answered_once_and_closed(self):
        client = self.tunnel()
        one = f"GET /one HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
        client.send(one + one.replace("one", "two"))
        response = client.response()
        self.assertEqual((response.status, response.headers["connection"]), (200, "close"))
        self.assertTrue(client.ended())
        self.assertEqual([r["path"] for r in self.play.requests()], ["/one"])
        self.assertTrue([line for line in self.play.events if line.startswith("log ") and "before the response" in line])

    def test_pipelining_behind_a_body_is_closed(self):
        client = self.tunnel()
        client.send(f"POST /one HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\n\r\nabcGET /two HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        self.assertEqual(client.response().body, b"taken")
        self.assertTrue(client.ended())
        self.assertEqual([r["path"] for r in self.play.requests()], ["/one"])
        self.assertEqual(self.play.seen("body ")[0].count("abc"), 1)

    def test_chunked_both_ways(self):
        client = self.tunnel()
        client.send(f"POST /echo HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send("4;x=y\r\nwiki\r\n")
        client.send("5\r\npedia\r\n0\r\nTrailer: dropped\r\n\r\n")
        response = client.response()
        self.assertEqual((response.body, response.headers["transfer-encoding"]), (b"wikipedia", "chunked"))
        self.assertEqual(self.play.request()["body"], "stream")
        self.assertEqual(client.ask("GET", "/", HOST).status, 200)

    def test_head_has_no_body(self):
        client = self.tunnel()
        self.assertEqual(client.ask("HEAD", "/", HOST).status, 200)
        self.assertEqual(client.ask("GET", "/", HOST).body, b"hello")

    def test_no_content_and_not_modified(self):
        client = self.tunnel()
        for path, status in ("/nothing", 204), ("/unchanged", 304):
            response = client.ask("GET", path, HOST)
            self.assertEqual(response.status, status)
            self.assertNotIn("content-length", response.headers)
            self.assertNotIn("transfer-encoding", response.headers)
        self.assertEqual(client.ask("GET", "/", HOST).body, b"hello")

    def test_expect_continue(self):
        client = self.tunnel()
        client.send(f"POST /p HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(client.response().status, 100)
        client.send("body")
        self.assertEqual(client.response().body, b"taken")

    def test_expect_that_is_refused_early(self):
        client = self.tunnel()
        client.send(f"POST /early HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        response = client.response()
        self.assertEqual((response.status, response.headers["connection"]), (413, "close"))
        self.assertTrue(client.ended())

    def test_answer_before_the_upload_ends(self):
        client = self.tunnel()
        client.send(f"POST /early HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10000000\r\n\r\n" + "x" * 100000)
        self.assertEqual(client.response().status, 413)

    def test_http_1_0_is_answered_and_closed(self):
        client = self.tunnel()
        client.send(f"GET /echo HTTP/1.0\r\nHost: {HOST}\r\n\r\n")
        response = client.response()
        self.assertEqual(response.status, 200)
        self.assertNotIn("transfer-encoding", response.headers)
        client.close()

    def test_connection_close_is_kept(self):
        client = self.tunnel()
        response = client.ask("GET", "/", HOST, "Connection: close\r\n")
        self.assertEqual(response.headers["connection"], "close")
        self.assertTrue(client.ended())

    def test_hop_by_hop_is_dropped(self):
        self.tunnel().ask("GET", "/", HOST, "Connection: x-secret, keep-alive\r\nX-Secret: 1\r\nProxy-Connection: x\r\n"
                          "TE: trailers\r\nKeep-Alive: 1\r\nX-Stays: 1\r\nVia: me\r\nX-Forwarded-For: 1.2.3.4\r\n")
        self.assertEqual(headers_of(self.play.request()), {"x-stays": "1"})

    def test_own_headers_cannot_be_spoofed(self):
        self.assertNotIn("x-mcpcred-reason", self.tunnel().ask("GET", "/", HOST).headers)

    # ---- streams ----

    def test_large_download(self):
        size = 20_000_000
        response = self.tunnel().ask("GET", f"/big/{size}", HOST)
        self.assertEqual(len(response.body), size)

    def test_large_upload(self):
        size = 20_000_000
        self.assertEqual(self.tunnel().ask("POST", "/upload", HOST, body=b"y" * size).status, 200)
        self.assertEqual(self.play.body()["size"], size)

    def resident(self):
        """KiB of the session's process."""
        with open(f"/proc/{self.play.pid}/status", encoding="ascii") as file:
            return int(next(line for line in file if line.startswith("VmRSS")).split()[1])

    def test_slow_reader_stops_the_upstream(self):
        client = self.tunnel()
        size = 50_000_000
        before = self.resident()
        client.send(f"GET /big/{size} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        self.play.request()
        client.head()
        self.assertLess(self.resident(), before + 10_000)
        self.assertEqual(len(client.exactly(size)), size)

    def test_events_are_not_delayed(self):
        client = self.tunnel()
        client.send(f"GET /sse HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        self.play.request()
        client.head()
        for text in "one", "two", "three":
            self.play.tell(f"data auth {text}")
            size = int(client.until(b"\r\n"), 16)
            self.assertEqual(client.exactly(size + 2), text.encode() + b"\r\n")
        self.play.tell("end auth")
        self.assertEqual(client.until(b"\r\n"), b"0")

    def test_websocket_passes(self):
        client = self.tunnel("key.example.test")
        response = client.ask("GET", "/ws", "key.example.test",
                              "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n")
        self.assertEqual((response.status, response.headers["upgrade"]), (101, "websocket"))
        for text in b"ping", b"\x00" * 100000:
            client.send(text)
            self.assertEqual(client.exactly(len(text)), text)
        client.close()
        self.play.wait("lane closed key")

    def test_websocket_refused_by_profile(self):
        response = self.tunnel().ask("GET", "/ws", HOST, "Connection: Upgrade\r\nUpgrade: websocket\r\n")
        self.assertEqual((response.status, response.reason), (403, "websocket"))

    def test_other_upgrades_are_ignored(self):
        response = self.tunnel().ask("GET", "/", HOST, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n")
        self.assertEqual(response.status, 200)
        self.assertFalse(self.play.request()["upgrade"])

    def test_concurrent_requests_wait_for_a_lane(self):
        clients = [self.tunnel("key.example.test") for _ in range(3)]
        for client in clients:
            client.send("GET /hold HTTP/1.1\r\nHost: key.example.test\r\n\r\n")
        self.play.request()
        self.play.request()
        self.assertEqual(len(self.play.seen("request ")), 2)
        self.play.tell("end key")
        self.play.request()
        self.play.tell("end key")
        for client in clients:
            self.assertEqual(client.response().body, b"held")

    def test_failure_of_egress_is_told(self):
        client = self.tunnel()
        response = client.ask("GET", "/fail", HOST)
        self.assertEqual((response.status, response.reason, response.headers["retry-after"]), (403, "rule", "7"))
        self.assertEqual(response.body, b'{"error":{"reason":"rule","message":"Played: \\"no\\"."}}\n')
        self.assertEqual(client.ask("GET", "/", HOST).status, 200)

    def test_failure_within_a_stream_cuts_it(self):
        client = self.tunnel()
        client.send(f"GET /sse HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        self.play.request()
        client.head()
        self.play.tell("fail auth")
        self.assertNotIn(b"0\r\n\r\n", client.rest())

    def test_truncated_response_is_none(self):
        """A clear refusal, or an end where more was promised if some of it was on its way already."""
        client = self.tunnel()
        client.send(f"GET /truncate HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")
        data = client.rest()
        if data.startswith(b"HTTP/1.1 200"):
            self.assertLess(len(data.split(b"\r\n\r\n", 1)[1]), 100)
        else:
            self.assertIn(b"x-mcpcred-reason: egress-gone", data)

    def test_response_that_breaks_off_is_not_ended(self):
        client = self.tunnel()
        client.send(f"GET /sse HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        self.play.request()
        client.head()
        self.play.tell("kill auth")
        self.assertNotIn(b"0\r\n\r\n", client.rest())
        self.assertEqual(self.tunnel().ask("GET", "/", HOST).status, 200)

    def test_client_that_leaves_ends_the_exchange(self):
        client = self.tunnel()
        client.send(f"GET /hold HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        self.play.request()
        client.close()
        self.play.wait("lane closed auth within an exchange")


if __name__ == "__main__":
    unittest.main()
