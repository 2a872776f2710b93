"""Sockets that are handed over: what they claim to be is looked at, and they outlive the process."""
import base64
import os
import socket
import struct
import time
import unittest

from playground import Client, Playground, tcp

HOST = "api.example.test"
IP_RECVERR = 11
WAIT = 30  # seconds: bounds a test that hangs, never measured


def linger(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    return sock


class Serve(unittest.TestCase):
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

    def refused(self, service, sock, sentence, error="InvalidParameter", **arguments):
        reply = self.play.serve(service, sock, **arguments)
        self.assertIn(error, reply.get("error", ""), reply)
        self.assertIn(sentence, repr(reply))
        self.assertEqual(self.play.seen("kept"), [])

    # ---- claims ----

    def test_what_is_served_is_kept(self):
        with tcp() as sock:
            self.assertEqual(self.play.serve("proxy", sock).get("parameters"), {})
            self.assertEqual(self.play.seen("kept"), ["kept proxy"])
            port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 30) as sock:
            self.assertEqual(Client(sock).ask("GET", "http://x.test/", "x.test").reason, "plain-http")

    def test_ipv6(self):
        with tcp("::1", socket.AF_INET6) as sock:
            self.assertNotIn("error", self.play.serve("tls", sock))

    def test_socket_of_own_namespace_refused(self):
        for service in "proxy", "tls":
            self.refused(service, self.play.outside[0], "own network namespace")

    def test_loopback_of_another_namespace_refused(self):
        with tcp() as sock:
            self.refused("loopback", sock, "another network namespace")

    def test_not_listening_refused(self):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            self.refused("proxy", sock, "not listening")
        with socket.create_connection(("127.0.0.1", self.play.ports["proxy"])) as sock:
            self.refused("tls", linger(sock), "not listening")

    def test_other_kinds_refused(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind("\0mcpcred-test-%d" % os.getpid())
            sock.listen()
            self.refused("proxy", sock, "not an internet socket")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            self.refused("tls", sock, "not a TCP socket")
        with tcp() as sock:
            self.refused("dns", sock, "not a UDP socket")

    def test_dns_that_is_not_bound_or_is_connected_refused(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            self.refused("dns", sock, "not bound")
            sock.connect(("127.0.0.1", 9))
            self.refused("dns", sock, "connected")

    def test_shared_port_refused(self):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            self.refused("proxy", sock, "SO_REUSEPORT")

    def test_file_refused(self):
        with open("/dev/null", "rb") as file:
            self.refused("proxy", file, "not an internet socket")

    def test_secret_is_asked_for(self):
        with tcp() as sock:
            self.refused("proxy", sock, "", error="NotAllowed", secret="wrong")
            self.refused("proxy", sock, "", error="NotAllowed", secret=None)

    # ---- what becomes of them ----

    def assert_rests(self):
        """Its process waits for something, which one that is told the same again and again never does."""
        end = time.monotonic() + WAIT
        n = 0
        while n < 100:
            with open(f"/proc/{self.play.pid}/stat", encoding="ascii") as file:
                n = n + 1 if file.read().rsplit(")", 1)[1].split()[0] == "S" else 0
            self.assertLess(time.monotonic(), end, "the session's process does not come to rest")

    def test_socket_that_is_shut_down_costs_nothing(self):
        with tcp() as sock:
            self.assertNotIn("error", self.play.serve("proxy", sock))
            sock.shutdown(socket.SHUT_RDWR)
            self.assert_rests()
        self.assertEqual(self.ask_name(HOST)[0], 0)

    def test_name_server_that_is_shut_down_costs_nothing(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            self.assertNotIn("error", self.play.serve("dns", sock))
            with self.assertRaises(OSError):  # it says that it is not connected, and does it
                sock.shutdown(socket.SHUT_RDWR)
            self.assert_rests()
        self.assertEqual(self.ask_name(HOST)[0], 0)

    def test_errors_of_a_name_server_cost_nothing(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, tcp() as other:
            sock.bind(("127.0.0.1", 0))
            self.assertNotIn("error", self.play.serve("dns", sock))
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            sock.sendto(b"x", other.getsockname())  # nobody is there for datagrams: the kernel keeps that for us
            self.assert_rests()
        self.assertEqual(self.ask_name(HOST)[0], 0)

    # ---- names ----

    def ask_name(self, name, kind=1, timeout=30):
        query = struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0)
        query += b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
        query += struct.pack(">HH", kind, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect(("127.0.0.1", self.play.ports["dns"]))
            sock.send(query)
            answer = sock.recv(512)
        identity, flags, _, n, _, _ = struct.unpack(">HHHHHH", answer[:12])
        self.assertEqual(identity, 0x1234)
        return flags & 15, answer[len(query) + 12:] if n else None

    def test_allowed_names_are_loopback(self):
        for name in HOST, HOST.upper(), "two.wild.test", "key.example.test":
            self.assertEqual(self.ask_name(name), (0, bytes([127, 0, 0, 1])))
            self.assertEqual(self.ask_name(name, 28), (0, b"\0" * 15 + b"\1"))
            self.assertEqual(self.ask_name(name, 65), (0, None))

    def test_other_names_do_not_exist(self):
        for name in "elsewhere.test", "a.b.wild.test", "example.test", "localhost", "x." + HOST:
            self.assertEqual(self.ask_name(name), (3, None))

    def test_nonsense_to_the_name_server_costs_nothing(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for data in b"", b"x", b"\0" * 12, b"\xff" * 512, os.urandom(65000):
                sock.sendto(data, ("127.0.0.1", self.play.ports["dns"]))
        self.assertEqual(self.ask_name(HOST)[0], 0)

    # ---- the process ----

    def test_kept_sockets_survive_the_process(self):
        self.play.tell("restart")
        with self.play.direct(HOST) as client:  # the same leaf: nothing new has to be trusted
            self.assertEqual(client.ask("GET", "/", HOST).status, 200)
        with self.play.tunnel(HOST) as client:
            self.assertEqual(client.ask("GET", "/", HOST).status, 200)
        self.assertEqual(self.ask_name(HOST)[0], 0)

    def test_requests_wait_for_the_vault(self):
        self.play.tell("configure hold")
        self.play.tell("restart")
        client = Client(self.play.raw())
        client.send(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n")
        self.play.tell("release")
        self.assertEqual(client.response(connect=True).status, 200)
        client.close()

    def test_vault_that_fails_is_asked_again(self):
        self.play.tell("configure fault")
        self.play.tell("restart")
        self.play.wait("configure")
        self.play.tell("configure ok")
        with self.play.tunnel(HOST) as client:
            self.assertEqual(client.ask("GET", "/", HOST).status, 200)

    def test_egress_lost_before_the_first_answer_is_asked_for_again(self):
        """Connected, and dead before the vault has said what the session is: of that its answer knows nothing."""
        self.play.tell("configure hold")
        self.play.tell("restart")
        self.play.wait("configure")
        self.play.tell("join auth")
        self.play.wait("joined ok")
        self.play.tell("kill auth")
        self.play.wait("log the way out of auth")
        self.play.tell("mend no")
        self.play.tell("release")
        self.play.wait("configure")
        self.play.tell("mend yes")
        self.play.tell("attach")
        self.play.wait("configure")
        with self.play.tunnel(HOST) as client:
            self.assertEqual(client.ask("GET", "/", HOST).status, 200)

    def test_new_vault_is_asked_again(self):
        self.play.tell("detach")
        with self.play.tunnel(HOST) as client:  # what is known goes on
            self.assertEqual(client.ask("GET", "/", HOST).status, 200)
        self.play.tell("attach")
        self.play.wait("configure")

    def test_tickets_survive_a_second_configure(self):
        context = self.play.context()
        with context.wrap_socket(self.play.raw("tls"), server_hostname=HOST) as first:
            self.assertEqual(Client(first).ask("GET", "/", HOST).status, 200)
            session = first.session
        self.play.tell("attach")
        self.play.wait("configure")
        with context.wrap_socket(self.play.raw("tls"), server_hostname=HOST, session=session) as second:
            self.assertTrue(second.session_reused)


class Loopback(unittest.TestCase):
    """The port outside of a sandbox: whoever is on the machine can reach it, so it wants to know who asks."""

    @classmethod
    def setUpClass(cls):
        cls.play = Playground(enter=False)
        reply = cls.play.serve("loopback", cls.play.outside[0])
        assert "error" not in reply, reply
        cls.play.ports["proxy"] = cls.play.outside[0].getsockname()[1]

    @classmethod
    def tearDownClass(cls):
        cls.play.stop()

    def setUp(self):
        self.play.forget()
        self.token = self.play.handles["auth"]

    def proof(self, token=None):
        text = base64.b64encode(f"x:{token or self.token}".encode()).decode()
        return f"Proxy-Authorization: Basic {text}\r\n"

    def test_handle_is_asked_for(self):
        client = self.play.tunnel(HOST)
        self.assertEqual((client.refused.status, client.refused.reason), (407, "proxy-auth"))
        self.assertIn("Basic", client.refused.headers["proxy-authenticate"])
        client = self.play.tunnel(HOST, sock=client.sock, headers=self.proof())
        self.assertEqual(client.ask("GET", "/", HOST).status, 200)
        self.assertNotIn("mcpch_", repr(self.play.request()))
        client.close()

    def test_any_handle_of_the_session_will_do(self):
        with self.play.tunnel(HOST, headers=self.proof(self.play.handles["key"])) as client:
            self.assertEqual(client.ask("GET", "/", HOST).status, 200)

    def test_wrong_proof_refused(self):
        for headers in "Proxy-Authorization: Bearer x\r\n", "Proxy-Authorization: Basic !\r\n", self.proof("x"), \
                self.proof() + self.proof():
            client = self.play.tunnel(HOST, headers=headers)
            self.assertEqual(client.refused.status, 407)
            client.close()

    def test_web_page_refused(self):
        for times in 1, 2:
            client = self.play.tunnel(HOST, headers=self.proof() + times * "Origin: https://page.test\r\n")
            self.assertEqual((client.refused.status, client.refused.reason), (403, "origin"))
            client.close()

    def test_web_page_that_is_named_twice_refused(self):
        origin = "Origin: https://page.test\r\n"
        client = self.play.tunnel(HOST, headers=self.proof() + origin + origin)
        self.assertEqual((client.refused.status, client.refused.reason), (403, "origin"))
        client.close()

    def test_rebinding_refused(self):
        with Client(self.play.raw()) as client:
            response = client.ask("GET", "/sdk/v1", "page.test", self.proof())
            self.assertEqual((response.status, response.reason), (403, "loopback-host"))

    def test_endpoint_wants_its_handle(self):
        with Client(self.play.raw()) as client:
            host = f"localhost:{self.play.ports['proxy']}"
            self.assertEqual(client.ask("GET", "/sdk/v1", host).status, 407)
            token = self.play.handles["sdk"]
            self.assertEqual(client.ask("GET", "/sdk/v1", host, f"Authorization: Bearer {token}\r\n").status, 200)

    def test_address_that_is_not_loopback_refused(self):
        with tcp("0.0.0.0") as sock:
            reply = self.play.serve("loopback", sock)
            self.assertIn("not bound to a loopback address", repr(reply))


if __name__ == "__main__":
    unittest.main()
