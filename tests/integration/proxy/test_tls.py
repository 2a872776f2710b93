"""TLS towards the sandbox: strict verifiers are content, and what is not a decent ClientHello gets no further."""
import os
import socket
import ssl
import subprocess
import threading
import unittest
import warnings

from playground import Client, Playground

HOST = "api.example.test"


class Tls(unittest.TestCase):
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

    def refused(self, context=None, host=HOST, service="tls"):
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            with (context or self.play.context()).wrap_socket(self.play.raw(service), server_hostname=host) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                sock.recv(1)
        self.still_serves()

    def test_strict_verifier_accepts(self):
        with self.play.direct(HOST) as client:
            self.assertEqual(client.sock.selected_alpn_protocol(), "http/1.1")
            self.assertIn(client.sock.version(), ("TLSv1.2", "TLSv1.3"))
            name, _, _ = client.sock.cipher()
            self.assertTrue("CHACHA20" in name or "AES_128_GCM" in name or "AES128-GCM" in name, name)
            self.assertEqual(client.ask("GET", "/", HOST).status, 200)

    def test_tickets_resumed(self):
        context = self.play.context()
        with context.wrap_socket(self.play.raw("tls"), server_hostname=HOST) as first:
            client = Client(first)
            self.assertEqual(client.ask("GET", "/", HOST).status, 200)
            session = first.session
        with context.wrap_socket(self.play.raw("tls"), server_hostname=HOST, session=session) as second:
            self.assertTrue(second.session_reused)
            self.assertEqual(Client(second).ask("GET", "/", HOST).status, 200)

    def test_ticket_for_another_host_is_of_no_use(self):
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            context = self.play.context()
            context.maximum_version = version
            with context.wrap_socket(self.play.raw("tls"), server_hostname=HOST) as first:
                Client(first).ask("GET", "/", HOST)
                session = first.session
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                with context.wrap_socket(self.play.raw("tls"), server_hostname="elsewhere.test", session=session) as second:
                    second.recv(1)
        self.still_serves()

    def s_client(self, *options, command=None):
        """What `openssl s_client` says, which sends one request; before that a line that is a command of its own."""
        words = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.play.ports['tls']}", "-servername", HOST,
                 "-CAfile", self.play.path("ca.pem"), *options]
        request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        bound, said = threading.Timer(20, process.kill), b""
        bound.start()
        try:
            if command:
                line, answer = command
                process.stdin.write(line)
                process.stdin.flush()
                while answer not in said:
                    said += process.stdout.read1() or self.fail(said)
            process.stdin.write(request)
            process.stdin.flush()  # and left open: its end would be this client's
            return said + process.stdout.read()
        finally:
            bound.cancel()
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()

    def test_second_hello_is_asked_for(self):
        # A share of the first group alone is sent with the first hello.
        self.assertIn(b"HTTP/1.1 200", self.s_client("-groups", "P-384:P-256"))

    def test_keys_updated(self):
        with self.play.direct(HOST) as client:
            if client.sock.version() != "TLSv1.3":
                self.skipTest("this library has no TLS 1.3")
        self.assertIn(b"HTTP/1.1 200", self.s_client("-tls1_3", command=(b"K\n", b"KEYUPDATE")))

    def test_no_sni_refused(self):
        context = self.play.context()
        context.check_hostname = False
        self.refused(context, host=None)

    def test_wrong_sni_refused(self):
        for host in "elsewhere.test", "a.b.wild.test", "127.0.0.1", "never.example.test":
            context = self.play.context()
            context.check_hostname = False
            self.refused(context, host=host)

    def test_upper_case_sni_is_the_same_host(self):
        with self.play.context().wrap_socket(self.play.raw("tls"), server_hostname=HOST.upper()) as sock:
            self.assertEqual(Client(sock).ask("GET", "/", HOST).status, 200)

    def test_h2_alone_refused(self):
        context = self.play.context()
        context.set_alpn_protocols(["h2"])
        self.refused(context)

    def test_old_versions_refused(self):
        context = self.play.context()
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        self.refused(context)

    def test_other_ciphers_refused(self):
        context = self.play.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384")
        self.refused(context)

    def test_x25519_and_p256(self):
        for curve in "X25519", "prime256v1":
            context = self.play.context()
            if curve != "X25519":
                context.set_ecdh_curve(curve)
            with context.wrap_socket(self.play.raw("tls"), server_hostname=HOST) as sock:
                self.assertEqual(Client(sock).ask("GET", "/", HOST).status, 200)

    def garbage(self, data, service="tls"):
        with self.play.raw(service) as sock:
            sock.sendall(data)
            client = Client(sock)
            client.rest()
        self.still_serves()

    def test_garbage_refused_at_once(self):
        for data in b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"\x16\x02\x01\x00\x10", b"\x16\x03\x01\xff\xff\x01", \
                b"\x16\x03\x01\x00\x00\x01", b"\x16\x03\x01\x00\x10\x02" + b"x" * 15, b"\x15\x03\x01\x00\x02\x01\x00":
            self.garbage(data)

    def test_malformed_hellos_refused(self):
        hello = self.hello()
        for i in range(5, len(hello), 7):
            self.garbage(hello[:i] + bytes([hello[i] ^ 0xff]) + hello[i + 1:] + b"\x00" * 600)
        self.still_serves()

    def hello(self):
        """What a client sends first."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = self.play.context().wrap_bio(incoming, outgoing, server_hostname=HOST)
        with self.assertRaises(ssl.SSLWantReadError):
            connection.do_handshake()
        return outgoing.read()

    def test_hello_byte_by_byte(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = self.play.context().wrap_bio(incoming, outgoing, server_hostname=HOST)
        with self.play.raw("tls") as sock:
            while True:
                try:
                    connection.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        sock.sendall(bytes([byte]))
                    incoming.write(sock.recv(65536))

    def test_hello_right_behind_connect(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = self.play.context().wrap_bio(incoming, outgoing, server_hostname=HOST)
        with self.assertRaises(ssl.SSLWantReadError):
            connection.do_handshake()
        with self.play.raw() as sock:
            client = Client(sock)
            client.send(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode() + outgoing.read())
            self.assertEqual(client.response(connect=True).status, 200)
            incoming.write(bytes(client.buffer))
            while True:
                try:
                    connection.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    incoming.write(sock.recv(65536))

    def test_renegotiation_refused(self):
        openssl = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.play.ports['tls']}", "-servername", HOST,
                   "-tls1_2", "-CAfile", self.play.path("ca.pem")]
        process = subprocess.Popen(openssl, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        process.stdin.write(b"R\n")
        process.stdin.flush()
        try:
            output, _ = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        self.assertIn(b"RENEGOTIATING", output)
        self.still_serves()

    def test_end_without_goodbye_in_a_body(self):
        client = self.play.direct(HOST)
        client.send(f"POST /p HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\nabc")
        self.play.request()
        os.close(client.sock.detach())
        self.play.wait("lane closed auth within a body")

    def test_half_open_handshakes_cost_nobody_else(self):
        hello, held = self.hello(), []
        try:
            for i in range(1000):
                sock = socket.create_connection(("127.0.0.1", self.play.ports["tls"]), 30)
                sock.sendall(hello if i % 2 else hello[:40])  # whole ones wait for what the client says next
                held.append(sock)
            for _ in range(5):
                self.still_serves()
        finally:
            for sock in held:
                sock.close()
        self.still_serves()


if __name__ == "__main__":
    unittest.main()
