"""What a sandbox may try: each gets a clear answer or is dropped, and costs nobody else anything."""
import os
import resource
import socket
import struct
import unittest

from playground import Client, Playground

HOST = "api.example.test"
H = f"Host: {HOST}\r\n"

# (name, bytes behind the TLS handshake, status): each is refused, and no request of it is passed on.
SMUGGLING = (
    ("length-and-chunked", f"POST / HTTP/1.1\r\n{H}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunked-and-length", f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
    ("two-lengths", f"POST / HTTP/1.1\r\n{H}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    ("same-length-twice", f"POST / HTTP/1.1\r\n{H}Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400),
    ("length-list", f"POST / HTTP/1.1\r\n{H}Content-Length: 4, 4\r\n\r\nabcd", 400),
    ("length-plus", f"POST / HTTP/1.1\r\n{H}Content-Length: +4\r\n\r\nabcd", 400),
    ("length-hex", f"POST / HTTP/1.1\r\n{H}Content-Length: 0x4\r\n\r\nabcd", 400),
    ("length-negative", f"POST / HTTP/1.1\r\n{H}Content-Length: -1\r\n\r\n", 400),
    ("length-overflow", f"POST / HTTP/1.1\r\n{H}Content-Length: 18446744073709551617\r\n\r\na", 400),
    ("length-underscore", f"POST / HTTP/1.1\r\n{H}Content_Length: 4\r\n\r\nabcd", 400),
    ("coding-unknown", f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("coding-two", f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    ("coding-twice", f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("coding-space", f"POST / HTTP/1.1\r\n{H}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("coding-folded", f"POST / HTTP/1.1\r\n{H}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    ("coding-1.0", f"POST / HTTP/1.0\r\n{H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("bare-lf", f"GET / HTTP/1.1\nHost: {HOST}\n\n", 400),
    ("bare-lf-header", f"GET / HTTP/1.1\r\n{H}X: a\nContent-Length: 5\r\n\r\n", 400),
    ("bare-cr", f"GET / HTTP/1.1\r\n{H}X: a\rb\r\n\r\n", 400),
    ("nul", f"GET / HTTP/1.1\r\n{H}X: a\0b\r\n\r\n", 400),
    ("fold", f"GET / HTTP/1.1\r\n{H}X: a\r\n b\r\n\r\n", 400),
    ("empty-name", f"GET / HTTP/1.1\r\n{H}: a\r\n\r\n", 400),
    ("leading-space", f"GET / HTTP/1.1\r\n X: a\r\n{H}\r\n", 400),
    ("two-hosts", f"GET / HTTP/1.1\r\n{H}{H}\r\n", 400),
    ("no-host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("host-userinfo", f"GET / HTTP/1.1\r\nHost: a@{HOST}\r\n\r\n", 400),
    ("host-dot", f"GET / HTTP/1.1\r\nHost: {HOST}.\r\n\r\n", 400),
    ("host-address", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", None),
    ("http-0.9", "GET /\r\n\r\n", None),
    ("http-2", f"GET / HTTP/2.0\r\n{H}\r\n", None),
    ("preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
    ("two-spaces", f"GET  / HTTP/1.1\r\n{H}\r\n", 400),
    ("tab", f"GET\t/ HTTP/1.1\r\n{H}\r\n", 400),
    ("eight-bit-target", f"GET /\u00e9 HTTP/1.1\r\n{H}\r\n", 400),
    ("dot-segments", f"GET /a/../b HTTP/1.1\r\n{H}\r\n", 400),
    ("encoded-slash", f"GET /a%2fb HTTP/1.1\r\n{H}\r\n", 400),
    ("encoded-dots", f"GET /%2e%2e/b HTTP/1.1\r\n{H}\r\n", 400),
    ("double-slash", f"GET //evil.test/ HTTP/1.1\r\n{H}\r\n", 400),
    ("fragment", f"GET /a#b HTTP/1.1\r\n{H}\r\n", 400),
    ("asterisk", f"OPTIONS * HTTP/1.1\r\n{H}\r\n", 400),
    ("method-override", f"POST / HTTP/1.1\r\n{H}X-HTTP-Method-Override: DELETE\r\n\r\n", 400),
    ("url-override", f"GET / HTTP/1.1\r\n{H}X-Original-URL: /admin\r\n\r\n", 400),
    ("get-with-connect-target", f"GET {HOST}:443 HTTP/1.1\r\n{H}\r\n", 400),
    ("absolute-other", f"GET https://other.example.test/ HTTP/1.1\r\n{H}\r\n", None),
)
# Refused within the body: the head was passed on, but never its end.
BODIES = (
    ("chunk-bare-lf", "4\nabcd\r\n0\r\n\r\n"),
    ("chunk-space", "4 \r\nabcd\r\n0\r\n\r\n"),
    ("chunk-no-crlf", "4\r\nabcdXX0\r\n\r\n"),
    ("chunk-negative", "-4\r\nabcd\r\n0\r\n\r\n"),
    ("chunk-hex-prefix", "0x4\r\nabcd\r\n0\r\n\r\n"),
    ("chunk-overflow", "ffffffffffffffff1\r\nabcd\r\n0\r\n\r\n"),
    ("chunk-extension-lf", "4;a\nb\r\nabcd\r\n0\r\n\r\n"),
    ("chunk-extension-long", "4;" + "a" * 1000 + "\r\nabcd\r\n0\r\n\r\n"),
    ("trailer-bare-lf", "0\r\nA: b\n\r\n"),
    ("trailers-many", "0\r\n" + "A: b\r\n" * 3000 + "\r\n"),
)


class Hostile(unittest.TestCase):
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

    def still_serves(self):
        with self.play.direct(HOST) as client:
            self.assertEqual(client.ask("GET", "/", HOST).status, 200)

    # ---- smuggling ----

    def test_smuggling_is_refused(self):
        for name, data, status in SMUGGLING:
            with self.subTest(name), self.play.direct(HOST) as client:
                client.send(data)
                response = client.response()
                self.assertGreaterEqual(response.status, 400)
                if status:
                    self.assertEqual(response.status, status, response)
                self.assertTrue(response.reason)
                # Nothing that follows may be taken for a request.
                if response.headers.get("connection") == "close":
                    self.assertTrue(client.ended())
        self.assertEqual(self.play.requests(), [])
        self.still_serves()

    def test_smuggling_on_the_proxy_port_is_refused(self):
        for name, data, _ in SMUGGLING:
            with self.subTest(name), Client(self.play.raw()) as client:
                client.send(data)
                self.assertGreaterEqual(client.response().status, 400)
        self.assertEqual(self.play.requests(), [])

    def test_connect_with_a_body_refused(self):
        for headers in "Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n":
            with Client(self.play.raw()) as client:
                client.send(f"CONNECT {HOST}:443 HTTP/1.1\r\n{H}{headers}\r\nabcd")
                self.assertEqual(client.response().status, 400)
                self.assertTrue(client.ended())

    def test_connect_to_what_is_no_name_refused(self):
        for target in "127.0.0.1:443", "[::1]:443", "0x7f.1:443", HOST + ".:443", HOST, HOST + ":0", HOST + ":99999", \
                f"a@{HOST}:443", ":443", f"https://{HOST}:443":
            with Client(self.play.raw()) as client:
                client.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
                self.assertEqual(client.response(connect=True).status // 100, 4, target)

    def test_bodies_that_are_ambiguous_are_cut(self):
        for name, body in BODIES:
            with self.subTest(name), self.play.direct(HOST) as client:
                client.send(f"POST /upload HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n{body}")
                response = client.response()
                self.assertEqual((response.status, response.reason), (400, "framing"))
                self.assertTrue(client.ended())
                self.play.wait("lane closed auth within a body")
        self.assertEqual(self.play.seen("body "), [])
        self.still_serves()

    # ---- sizes ----

    def test_header_bombs_refused(self):
        bombs = ("A: " + "b" * 60000 + "\r\n", "".join(f"A{i}: b\r\n" for i in range(200)), "A" * 60000 + ": b\r\n",
                 "A: b\r\n" * 20000)
        for bomb in bombs:
            with self.play.direct(HOST) as client:
                try:
                    client.send(f"GET / HTTP/1.1\r\n{H}{bomb}\r\n")
                except (ConnectionError, OSError):
                    pass
                self.assertEqual(client.response().status, 431)
        self.assertEqual(self.play.requests(), [])
        self.still_serves()

    def test_head_without_an_end_refused(self):
        with self.play.direct(HOST) as client:
            client.send("GET /" + "a" * 60000)
            self.assertEqual(client.response().status, 431)
        self.still_serves()

    def test_long_target_refused(self):
        with self.play.direct(HOST) as client:
            self.assertEqual(client.ask("GET", "/" + "a" * 9000, HOST).status, 431)
        with self.play.direct(HOST) as client:
            self.assertEqual(client.ask("GET", "/?" + "a" * 9000, HOST).status, 431)

    # ---- time and number ----

    def test_slow_loris_dropped(self):
        """A head that comes byte by byte has as long as any other one."""
        with self.play.direct(HOST) as client:
            client.sock.settimeout(0.5)
            client.send(f"GET / HTTP/1.1\r\n{H}")
            response = None
            for _ in range(60):
                try:
                    client.send("A")
                    client.more()
                    response = client.head()
                    break
                except TimeoutError:
                    continue
            self.assertIsNotNone(response, "it is still listened to")
            self.assertEqual((response.status, response.reason), (408, "timeout"))
        self.still_serves()

    def test_idle_connections_give_way(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # a login has 1,024
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        held = []
        try:
            for _ in range(1500):
                held.append(socket.create_connection(("127.0.0.1", self.play.ports["proxy"]), 30))
            self.still_serves()
        finally:
            for sock in held:
                sock.close()
        self.still_serves()

    def test_the_log_cannot_be_filled(self):
        two = f"GET / HTTP/1.1\r\n{H}\r\n" * 2
        for _ in range(50):
            with self.play.direct(HOST) as client:
                client.send(two)
                client.rest()
        self.assertLess(len(self.play.seen("log ")), 40)

    def test_who_gives_up_waiting_leaves_the_turn_to_the_next(self):
        host = "key.example.test"  # two lanes
        clients = [self.play.direct(host) for _ in range(8)]
        for client in clients:  # with TLS 1.3 the other side may not be done yet, and take their requests in any order
            self.assertEqual(client.ask("GET", "/", host).status, 200)
        self.play.forget()
        for client in clients:
            client.send(f"GET /hold HTTP/1.1\r\nHost: {host}\r\n\r\n")
        self.play.request()
        self.play.request()
        for client in clients[2:7]:
            client.close()
        for client in clients[:2]:
            client.close()
        self.play.request()
        self.play.tell("end key")
        self.assertEqual(clients[7].response().body, b"held")
        clients[7].close()

    def test_two_hundred_streams_at_once(self):
        clients = []
        try:
            for _ in range(200):
                client = self.play.direct(HOST)
                client.send(f"GET /sse HTTP/1.1\r\n{H}\r\n")
                clients.append(client)
            for client in clients:
                client.head()
            self.play.tell("data auth tick")
            for client in clients:
                self.assertEqual(client.exactly(9), b"4\r\ntick\r\n")
            self.play.tell("kill auth")
            for client in clients:
                self.assertEqual(client.rest(), b"")
        finally:
            for client in clients:
                client.close()
        self.play.wait("configure")
        self.still_serves()

    def test_connections_that_are_reset(self):
        for i in range(100):
            client = self.play.direct(HOST)
            if i % 2:
                client.send(f"GET /hold HTTP/1.1\r\n{H}\r\n")
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(client.sock.detach())
        self.still_serves()

    def test_random_bytes_in_every_place(self):
        for i in range(60):
            data = os.urandom(700) + b"\r\n\r\n"
            with self.play.direct(HOST) as client:
                client.send(data)
                client.rest()
            with self.play.raw("proxy" if i % 2 else "tls") as sock:
                sock.sendall(data)
                Client(sock).rest()
        self.assertEqual(self.play.requests(), [])
        self.still_serves()

    # ---- the other side ----

    def test_egress_gone_gives_502(self):
        with self.play.direct(HOST) as client:
            client.send(f"GET /hold HTTP/1.1\r\n{H}\r\n")
            self.play.request()
            self.play.tell("kill auth")
            response = client.response()
            self.assertEqual((response.status, response.reason), (502, "egress-gone"))
            # It is brought back, and the connection goes on.
            self.assertEqual(client.ask("GET", "/", HOST).status, 200)

    def test_egress_that_stays_away_gives_502(self):
        self.play.tell("mend no")
        self.play.tell("kill auth")
        try:
            with self.play.direct(HOST) as client:
                response = client.ask("GET", "/", HOST)
                self.assertEqual((response.status, response.reason), (502, "egress-gone"))
        finally:
            self.play.tell("mend yes")
            self.play.tell("attach")
            self.play.wait("configure")
        self.still_serves()


if __name__ == "__main__":
    unittest.main()
