#!/usr/bin/python3
"""Proves that the stand-ins of vendors/ enforce what the vendors document, with plain requests."""

import base64
import gzip
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from upstreams import HOSTS, Upstreams, make_key  # noqa: E402
from vendors import reflection  # noqa: E402

ECHO = "echo.example.test"


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.upstreams = Upstreams().start()
        cls.addClassCleanup(cls.upstreams.stop)
        cls.context = ssl.create_default_context(cafile=cls.upstreams.ca)
        cls.keys = {host: cls.upstreams.new_key(host) for host in HOSTS if host not in ("github.com", "other.example.test") and "amazonaws" not in host}

    def connect(self, host):
        connection = http.client.HTTPSConnection(host, timeout=20, context=self.context)
        plain = socket.create_connection(("127.0.0.1", self.upstreams.port), timeout=20)
        connection.sock = self.context.wrap_socket(plain, server_hostname=host)
        self.addCleanup(connection.close)
        return connection

    def call(self, host, method, path, headers=None, body=None):
        connection = self.connect(host)
        data = json.dumps(body) if isinstance(body, dict) else body
        connection.request(method, path, data, {"User-Agent": "selftest", **(headers or {})})
        response = connection.getresponse()
        text = response.read()
        try:
            return response.status, json.loads(text), response.headers
        except ValueError:
            return response.status, text, response.headers

    def bearer(self, host):
        return {"Authorization": "Bearer " + self.keys[host]}


class Vendors(Case):
    def test_openai(self):
        host = "api.openai.com"
        self.assertEqual(self.call(host, "GET", "/v1/models", self.bearer(host))[1]["object"], "list")
        for headers in ({}, {"Authorization": "Bearer " + make_key(host)}, {"X-Api-Key": self.keys[host]}):
            status, answer, _ = self.call(host, "GET", "/v1/models", headers)
            self.assertEqual((status, answer["error"]["type"]), (401, "invalid_request_error"))
        chat = {"model": "gpt-4o", "messages": [{"role": "user", "content": "one two"}]}
        answer = self.call(host, "POST", "/v1/chat/completions", self.bearer(host), chat)[1]
        self.assertEqual(answer["choices"][0]["message"]["content"], "You said: one two")
        stream = self.call(host, "POST", "/v1/chat/completions", self.bearer(host), {**chat, "stream": True})[1]
        self.assertTrue(stream.endswith(b"data: [DONE]\n\n"))
        self.assertEqual(self.call(host, "POST", "/v1/chat/completions", self.bearer(host), {**chat, "model": "no"})[0], 404)

    def test_anthropic(self):
        host = "api.anthropic.com"
        good = {"x-api-key": self.keys[host], "anthropic-version": "2023-06-01"}
        chat = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "one two"}]}
        answer = self.call(host, "POST", "/v1/messages", good, chat)[1]
        self.assertEqual(answer["content"][0]["text"], "You said: one two")
        stream = self.call(host, "POST", "/v1/messages", good, {**chat, "stream": True})[1]
        self.assertTrue(stream.startswith(b"event: message_start\n"))
        self.assertIn(b"event: message_stop\n", stream)
        bearer = {**self.bearer(host), "anthropic-version": "2023-06-01"}
        self.assertEqual(self.call(host, "POST", "/v1/messages", bearer, chat)[0], 200)
        for headers in ({**good, "x-api-key": make_key(host)}, {"anthropic-version": "2023-06-01"}):
            status, answer, _ = self.call(host, "POST", "/v1/messages", headers, chat)
            self.assertEqual((status, answer["error"]["type"]), (401, "authentication_error"))
        self.assertEqual(self.call(host, "POST", "/v1/messages", {"x-api-key": self.keys[host]}, chat)[0], 400)

    def test_brave(self):
        host, path = "api.search.brave.com", "/res/v1/web/search?q=hello"
        status, answer, _ = self.call(host, "GET", path, {"X-Subscription-Token": self.keys[host]})
        self.assertEqual((status, answer["web"]["results"][0]["title"]), (200, "About hello"))
        self.assertEqual(self.call(host, "GET", path, self.bearer(host))[0], 422)

    def test_notion(self):
        host = "api.notion.com"
        headers = {**self.bearer(host), "Notion-Version": "2025-09-03"}
        self.assertEqual(self.call(host, "GET", "/v1/users/me", headers)[1]["type"], "bot")
        self.assertEqual(self.call(host, "GET", "/v1/users/me", self.bearer(host))[1]["code"], "missing_version")
        self.assertEqual(self.call(host, "GET", "/v1/users/me")[1]["code"], "unauthorized")

    def test_hosts_are_told_apart(self):
        """The name of TLS is the one of HTTP, and a key of one host is none of another."""
        self.assertEqual(self.call(ECHO, "GET", "/open/whoami", {"Host": "api.openai.com"})[0], 421)
        self.assertEqual(self.call("api.openai.com", "GET", "/v1/models", self.bearer(ECHO))[0], 401)

    def test_records(self):
        before = len(self.upstreams.requests())
        self.call(ECHO, "POST", "/upload", self.bearer(ECHO), "a " + "mcpch" + "_x")
        self.call(ECHO, "GET", "/whoami?key=" + self.keys[ECHO])
        first, second = self.upstreams.requests()[before:]
        self.assertEqual((first["handle"], first["received"], first["place"], first["key"]), (True, 9, "bearer", "test"))
        self.assertEqual((second["handle"], second["target"]), (False, "/whoami?key=..."))
        self.assertNotIn(self.keys[ECHO], json.dumps(self.upstreams.requests()))


class Git(Case):
    def git(self, *arguments, token, check=True):
        """By an extra header and another port, since the name leads elsewhere here."""
        basic = base64.b64encode(b"x-access-token:" + token.encode()).decode()
        variables = {
            "GIT_SSL_CAINFO": self.upstreams.ca,
            "GIT_CONFIG_COUNT": "3",
            "GIT_CONFIG_KEY_0": "http.extraHeader", "GIT_CONFIG_VALUE_0": "Host: github.com",
            "GIT_CONFIG_KEY_1": "http.curloptResolve", "GIT_CONFIG_VALUE_1": f"github.com:{self.upstreams.port}:127.0.0.1",
            "GIT_CONFIG_KEY_2": "http.extraHeader", "GIT_CONFIG_VALUE_2": "Authorization: Basic " + basic,
            "GIT_TERMINAL_PROMPT": "0",
        }
        done = subprocess.run(["git", *arguments], env={**os.environ, **variables}, capture_output=True, text=True, check=False)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_clone_and_push(self):
        url = f"https://github.com:{self.upstreams.port}/octo/hello.git"
        token = self.keys["api.github.com"]
        reader = self.upstreams.new_key("api.github.com", permissions={"contents": "read"}, repositories=["hello"])
        with tempfile.TemporaryDirectory() as top:
            self.git("clone", "--quiet", url, top + "/hello", token=token)
            with open(top + "/hello/README.md", encoding="ascii") as file:
                self.assertEqual(file.read(), "Hello from octo/hello\n")
            identity = ["-c", "user.name=t", "-c", "user.email=t@example.test"]
            self.git("-C", top + "/hello", *identity, "commit", "--quiet", "--allow-empty", "-m", "Second", token=token)
            self.assertNotEqual(self.git("-C", top + "/hello", "push", "--quiet", token=reader, check=False).returncode, 0)
            self.git("-C", top + "/hello", "push", "--quiet", token=token)
            other = url.replace("hello", "plans")
            self.assertNotEqual(self.git("ls-remote", other, token=reader, check=False).returncode, 0)
        log = subprocess.run(["git", "-c", "safe.directory=*", "-C", self.upstreams.git_path("octo/hello"), "log", "--format=%s"], capture_output=True, text=True, check=True)
        self.assertEqual(log.stdout.split(), ["Second", "First"])

    def test_challenge(self):
        status, _, headers = self.call("github.com", "GET", "/octo/hello.git/info/refs?service=git-upload-pack")
        self.assertEqual((status, headers["WWW-Authenticate"]), (401, 'Basic realm="GitHub"'))


class Echo(Case):
    def test_places_of_a_key(self):
        key = self.keys[ECHO]
        basic = {"Authorization": "Basic " + base64.b64encode(f"u:{key}".encode()).decode()}
        for place, path, headers in (
            ("bearer", "/whoami", self.bearer(ECHO)),
            ("basic", "/whoami", basic),
            ("x-api-key", "/whoami", {"X-Api-Key": key}),
            ("query", "/whoami?key=" + key, {}),
            ("path", f"/bot{key}/whoami", {}),
        ):
            status, answer, _ = self.call(ECHO, "GET", path, headers)
            self.assertEqual((status, answer["place"], answer["key"]), (200, place, "test"))
        self.assertEqual(self.call(ECHO, "POST", "/form", body="token=" + key)[1]["key"], "test")
        self.assertEqual(self.call(ECHO, "GET", "/whoami")[0], 401)
        self.assertEqual(self.call(ECHO, "GET", "/open/whoami")[0], 200)

    def test_reflects_in_each_form(self):
        key = self.keys[ECHO].encode()
        for form in reflection.FORMS:
            for split, framing in ((0, "length"), (3, "chunked"), (7, "close")):
                path = f"/reflect?as={form}&split={split}&framing={framing}"
                self.assertEqual(self.call(ECHO, "GET", path, self.bearer(ECHO))[1], reflection.body(key, form))
        for coding, unpack in (("gzip", gzip.decompress), ("br", bytes)):
            text = self.call(ECHO, "GET", "/reflect?coding=" + coding, self.bearer(ECHO))[1]
            self.assertEqual(unpack(text), reflection.body(key, "raw"))
        part = self.call(ECHO, "GET", "/reflect?where=206", {**self.bearer(ECHO), "Range": "bytes=8-20"})
        self.assertEqual((part[0], part[1]), (206, key[:13]))

    def test_an_answer_before_the_end(self):
        connection = self.connect(ECHO)
        connection.putrequest("POST", "/early?read=5")
        for name, value in {**self.bearer(ECHO), "Content-Length": "1000000"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(b"12345")
        self.assertEqual(connection.getresponse().status, 413)

    def test_duplex(self):
        connection = self.connect(ECHO)
        connection.putrequest("POST", "/duplex")
        for name, value in {**self.bearer(ECHO), "Transfer-Encoding": "chunked"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(b"3\r\none\r\n")
        response = connection.getresponse()
        self.assertEqual(response.read(3), b"one")
        connection.send(b"3\r\ntwo\r\n0\r\n\r\n")
        self.assertEqual(response.read(), b"two")


if __name__ == "__main__":
    unittest.main()
