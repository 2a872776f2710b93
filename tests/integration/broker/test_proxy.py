"""Grants by proxy: a handle in the child's hands, and the credential at the way out alone."""

import http.client
import os
import signal
import socket
import ssl
import time
import unittest

from harness import Case, Standin, main, sha256_hex, wait_until
from varlink import SESSION, Client

PREFIX = "mcp" + "ch_"
KEY, NEW_KEY = "static-key-one", "static-key-two"
# What a revoked handle is answered with, or by a connection that ends.
GONE = (None, 403, 502, 503)
REPOSITORY = "/api/v3/repos/octo/hello"

CONFIG = """
[profile gh]
secret = github
repositories = octo/hello
permissions = contents:read, issues:read
ttl = 1h
deliver = proxy
env = GITHUB_TOKEN
allow = GET localhost:{port} /api/v3/repos/octo/hello/**
addresses = 127.0.0.0/8, ::1/128
slot = authorization

[profile api]
secret = api
ttl = 1h
deliver = proxy
env = API_KEY
allow = GET,POST localhost:{port} /static/**
addresses = 127.0.0.0/8, ::1/128
slot = bearer
rate = 1000/s

[profile elsewhere]
secret = api
ttl = 1h
deliver = proxy
env = OTHER_KEY
allow = GET example.org /**
slot = bearer

[profile narrow]
secret = api
repositories = octo/hello
deliver = proxy
env = API_KEY
allow = GET,POST localhost:{port} /static/**
slot = bearer

[profile base]
secret = api
ttl = 1h
deliver = endpoint
env = BASE_KEY
env_url = BASE_URL
url_host = localhost:{port}
url_path = /static
allow = GET localhost:{port} /static/**
addresses = 127.0.0.0/8, ::1/128
slot = bearer
"""


class _ProxyConnection(http.client.HTTPConnection):
    """TLS through CONNECT on the session's Unix socket."""

    def __init__(self, session, port):
        super().__init__("localhost", port, timeout=30)
        self._session = session
        self.context = ssl.create_default_context(cafile=session.reply["ca"])
        self.context.verify_flags |= ssl.VERIFY_X509_STRICT

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(self.timeout)
        sock.connect(self._session.reply["proxy_socket"])
        sock.sendall(f"CONNECT localhost:{self.port} HTTP/1.1\r\nHost: localhost:{self.port}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = sock.recv(1)
            if not byte:
                raise ConnectionError(f"CONNECT: {head!r}")
            head += byte
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(f"CONNECT: {head!r}")
        self.sock = self.context.wrap_socket(sock, server_hostname="localhost")


class Proxy(Case):
    def ready(self, **options):
        broker = self.broker(config=CONFIG.format(port=self.github.port), **options)
        broker.add_github(self.github)
        broker.add("api", "static", KEY.encode(), hosts=[f"localhost:{self.github.port}"])
        self.github.add_static_key("one", KEY)
        return broker

    def ask(self, session, path=REPOSITORY, token=None, method="GET"):
        """(status, reason header, body)"""
        connection = _ProxyConnection(session, self.github.port)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {token}", "User-Agent": "test"})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("x-mcpcred-reason"), answer.read()
        finally:
            connection.close()

    def status(self, *arguments, **options):
        try:
            return self.ask(*arguments, **options)[0]
        except (OSError, http.client.HTTPException):
            return None

    def wait_status(self, expected, *arguments, **options):
        wait_until(lambda: self.status(*arguments, **options) == expected, f"no {expected}")

    def alive(self):
        return self.github.tokens("alive")

    def proxy_events(self, broker, operation="proxy.request"):
        return [event for event in broker.audit() if event["operation"] == operation]


class Open(Proxy):
    def test_child_gets_a_handle_and_where_to_go(self):
        broker = self.ready()
        session = broker.open("gh", "api", proxy="127.0.0.1:3128", sandboxed=True)
        reply, environment = session.reply, session.environment
        directory = reply["directory"]
        self.assertTrue(environment["GITHUB_TOKEN"].startswith(PREFIX))
        self.assertTrue(environment["API_KEY"].startswith(PREFIX))
        self.assertNotEqual(environment["GITHUB_TOKEN"], environment["API_KEY"])
        self.assertEqual(environment["HTTPS_PROXY"], "http://127.0.0.1:3128")
        self.assertEqual(environment["SSL_CERT_FILE"], reply["ca"])
        self.assertEqual(reply["ca"], directory + "/ca.pem")
        self.assertIsNone(reply.get("ca_bundle"))
        self.assertEqual(sorted(os.listdir(directory)), ["broker.sock", "ca.pem", "proxy.sock"])
        self.assertEqual(reply["proxy_socket"], directory + "/proxy.sock")
        self.assertEqual(reply["hosts"], ["localhost"])
        self.assertEqual(self.github.count("mint"), 0)
        kinds = [row["state"] for row in broker.leases(session=session.id)]
        self.assertEqual(kinds, ["live", "live"])

    def test_child_that_is_not_sandboxed_trusts_the_hosts_roots_too(self):
        session = self.ready().open("gh", proxy="127.0.0.1:3128")
        reply = session.reply
        self.assertEqual(reply["ca_bundle"], reply["directory"] + "/ca-bundle.pem")
        self.assertEqual(session.environment["SSL_CERT_FILE"], reply["ca_bundle"])
        with open(reply["ca"], encoding="ascii") as ca, open(reply["ca_bundle"], encoding="ascii") as bundle:
            self.assertTrue(bundle.read().startswith(ca.read().strip()))

    def test_endpoint_needs_an_address(self):
        broker = self.ready()
        self.fails("InvalidParameter", broker.open, "base")
        session = broker.open("base", proxy="127.0.0.1:3128", sandboxed=True)
        self.assertEqual(session.environment["BASE_URL"], "http://127.0.0.1:3128/base/static")

    def test_profile_that_misses_the_sealed_hosts_is_refused(self):
        broker = self.ready()
        error = self.fails("PolicyDenied", broker.open, "elsewhere")
        self.assertIn("sealed", error.message)

    def test_profile_that_narrows_a_stored_key_is_refused(self):
        broker = self.ready()
        error = self.fails("PolicyDenied", broker.open, "narrow")
        self.assertIn("cannot be narrowed to repositories", error.message)

    def test_session_without_proxy_has_none_of_it(self):
        broker = self.broker()
        broker.add_github(self.github)
        session = broker.open("gh", proxy="127.0.0.1:3128", sandboxed=True)
        self.assertNotIn("HTTPS_PROXY", session.environment)
        for name in ("proxy_socket", "ca", "ca_bundle"):
            self.assertIsNone(session.reply.get(name))


class Use(Proxy):
    def test_handle_stands_for_a_minted_token(self):
        broker = self.ready()
        session = broker.open("gh")
        handle = session.token
        self.assertEqual(self.ask(session, token=handle)[0], 200)
        self.assert_dead(handle)
        [token] = self.alive()
        self.assertEqual(self.github.count("mint"), 1)
        self.assertEqual(broker.get_token(session), handle)
        with Client(session.path, interface=SESSION) as client:
            answer = client.call("GetToken", {"session": session.secret})
        self.assertEqual(answer["token"], handle)
        self.assertEqual(self.ask(session, token=handle)[0], 200)
        self.assertEqual(self.github.count("mint"), 1)
        self.assertEqual(self.ask(session, path="/api/v3/repos/octo/world", token=handle)[:2], (403, "rule"))
        wait_until(lambda: self.proxy_events(broker), "no line in the log")
        [event] = self.proxy_events(broker)
        self.assertEqual((event["session"], event["profile"], event["verdict"]), (session.id, "gh", "deny"))
        self.assertNotIn(handle, str(broker.audit()))
        self.assertTrue(token)

    def test_handle_stands_for_a_stored_key(self):
        broker = self.ready()
        session = broker.open("api")
        self.assertEqual(self.ask(session, "/static/whoami", session.environment["API_KEY"])[0], 200)
        operations = [event["operation"] for event in broker.audit() if event.get("session") == session.id]
        self.assertIn("secret.use", operations)

    def test_handle_of_another_session_is_misuse(self):
        broker = self.ready()
        session, other = broker.open("api"), broker.open("api")
        handle = other.environment["API_KEY"]
        self.assertEqual(self.ask(session, "/static/whoami", handle)[0], 403)
        wait_until(lambda: self.proxy_events(broker), "no line in the log")
        [event, *_] = [event for event in self.proxy_events(broker) if event["reason"] == "misuse"]
        [lease] = broker.leases(session=other.id)
        self.assertEqual((event["session"], event["lease"]), (session.id, lease["lease"]))
        self.assertEqual(self.ask(other, "/static/whoami", handle)[0], 200)

    def test_minted_token_is_renewed_behind_the_handle(self):
        self.github.stop()
        self.github = Standin(lifetime=20).start()
        self.addCleanup(self.github.stop)
        broker = self.ready()
        session = broker.open("gh")
        started = time.monotonic()
        statuses = set()
        while time.monotonic() < started + 25:
            statuses.add(self.ask(session, token=session.token)[0])
            time.sleep(0.5)
        self.assertEqual(statuses, {200})
        self.assertEqual(self.github.count("mint"), 2)

    def test_rotated_key_is_behind_the_same_handle(self):
        broker = self.ready()
        session = broker.open("api")
        handle = session.environment["API_KEY"]
        self.assertEqual(self.ask(session, "/static/whoami", handle)[0], 200)
        self.github.add_static_key("two", NEW_KEY)
        broker.rotate(NEW_KEY.encode(), name="api")
        self.wait_body(session, handle, b"two")
        self.github.remove_static_key("one")
        self.assertEqual(self.ask(session, "/static/whoami", handle)[0], 200)

    def wait_body(self, session, handle, text):
        wait_until(lambda: text in self.ask(session, "/static/whoami", handle)[2], f"never {text}")

    def test_upstream_that_is_away_leaves_the_other_grant_alone(self):
        broker = self.ready()
        self.github.fault("mint", "status", status=503, count=2)
        session = broker.open("gh", "api")
        self.assertEqual(self.ask(session, "/static/whoami", session.environment["API_KEY"])[0], 200)
        self.wait_status(200, session, token=session.token)


class Crashes(Proxy):
    def test_session_process_comes_back_with_the_same(self):
        broker = self.ready()
        session = broker.open("api")
        handle = session.environment["API_KEY"]
        self.assertEqual(self.ask(session, "/static/whoami", handle)[0], 200)
        broker.signal_role("session")
        self.wait_status(200, session, "/static/whoami", handle)

    def test_egress_comes_back(self):
        broker = self.ready()
        session = broker.open("gh", "api")
        self.assertEqual(self.ask(session, token=session.token)[0], 200)
        broker.signal_role("egress")
        self.wait_status(200, session, token=session.token)
        self.wait_status(200, session, "/static/whoami", session.environment["API_KEY"])
        self.assertEqual(self.github.count("mint"), 1)

    def test_vault_comes_back(self):
        broker = self.ready()
        session = broker.open("api")
        handle = session.environment["API_KEY"]
        self.assertEqual(self.ask(session, "/static/whoami", handle)[0], 200)
        broker.crash("vault")
        self.wait_status(200, session, "/static/whoami", handle)


class Revoking(Proxy):
    def test_session(self):
        broker = self.ready()
        session = broker.open("gh", "api")
        self.assertEqual(self.ask(session, token=session.token)[0], 200)
        self.assertEqual(len(self.alive()), 1)
        answer = broker.revoke(session=session.id)
        self.assertEqual(answer["sessions"], 1)
        self.assertEqual(sorted({row["outcome"] for row in answer["credentials"]}), ["confirmed", "none"])
        self.assertEqual(self.alive(), [])
        self.assertFalse(os.path.exists(session.reply["proxy_socket"]))

    def test_egress_that_does_not_answer_is_killed(self):
        broker = self.ready()
        session = broker.open("api")
        handle = session.environment["API_KEY"]
        self.assertEqual(self.ask(session, "/static/whoami", handle)[0], 200)
        pid = broker.signal_role("egress", signal.SIGSTOP)
        started = time.monotonic()
        broker.revoke(session=session.id)
        self.assertLess(time.monotonic() - started, 10)
        self.assertFalse(os.path.exists(f"/proc/{pid}"))

    def test_handle_by_its_value(self):
        broker = self.ready()
        session = broker.open("gh", "api")
        self.assertEqual(self.ask(session, token=session.token)[0], 200)
        answer = broker.revoke(token_hash=sha256_hex(session.token))
        self.assertEqual(sorted(row["outcome"] for row in answer["credentials"]), ["confirmed", "none"])
        self.assertEqual(self.alive(), [])
        self.assertIn(self.status(session, token=session.token), GONE)
        self.assertEqual(self.ask(session, "/static/whoami", session.environment["API_KEY"])[0], 200)
        self.fails("Revoked", broker.get_token, session, "gh")
        broker.signal_role("session")
        self.wait_status(200, session, "/static/whoami", session.environment["API_KEY"])
        self.assertIn(self.status(session, token=session.token), GONE)
        self.assertEqual(self.github.count("mint"), 1)

    def test_minted_token_by_its_value_is_replaced(self):
        broker = self.ready()
        session = broker.open("gh")
        self.assertEqual(self.ask(session, token=session.token)[0], 200)
        [token] = self.alive()
        answer = broker.revoke(token_hash=token["sha256"])
        self.assertEqual([row["outcome"] for row in answer["credentials"]], ["confirmed"])
        self.wait_status(200, session, token=session.token)
        self.assertEqual(self.github.count("mint"), 2)

    def test_stored_key_by_its_value_ends_all_its_handles(self):
        broker = self.ready()
        sessions = [broker.open("api"), broker.open("api")]
        for session in sessions:
            self.assertEqual(self.ask(session, "/static/whoami", session.environment["API_KEY"])[0], 200)
        answer = broker.revoke(token_hash=sha256_hex(KEY))
        outcomes = sorted(row["outcome"] for row in answer["credentials"])
        self.assertEqual(outcomes, ["impossible_rotate"] * 2 + ["none"] * 2)
        for session in sessions:
            handle = session.environment["API_KEY"]
            self.assertIn(self.status(session, "/static/whoami", handle), GONE)

    def test_removed_secret_ends_its_sessions(self):
        broker = self.ready()
        session, other = broker.open("api"), broker.open("gh")
        self.assertEqual(self.ask(session, "/static/whoami", session.environment["API_KEY"])[0], 200)
        broker.call("RemoveSecret", {"name": "api"})
        self.assertFalse(os.path.exists(session.reply["proxy_socket"]))
        self.assertEqual(self.ask(other, token=other.token)[0], 200)


if __name__ == "__main__":
    main()
