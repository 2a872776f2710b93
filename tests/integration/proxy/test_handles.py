"""Where a handle may stand, and what becomes of one that stands elsewhere."""
import base64
import unittest
import zlib

from playground import Playground, headers_of

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MARK = "\x01"


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


class Handles(unittest.TestCase):
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
        self.token = self.play.handles["auth"]

    def ask(self, host, path="/", headers="", method="GET", body=None):
        with self.play.tunnel(host) as client:
            return client.ask(method, path, host, headers, body)

    def passes(self, profile, *arguments, **named):
        response = self.ask(*arguments, **named)
        self.assertEqual(response.status, 200, response)
        request = self.play.request()
        self.assertEqual(request["profile"], profile)
        self.assertNotIn("mcpch_", repr(request))
        return request

    def refused(self, reason, *arguments, **named):
        response = self.ask(*arguments, **named)
        self.assertEqual((response.status, response.reason), (403, reason))
        self.assertEqual(self.play.requests(), [])
        return response

    # ---- the slots ----

    def test_bearer(self):
        for scheme in "Bearer", "bearer", "token":
            request = self.passes("auth", "api.example.test", headers=f"Authorization: {scheme} {self.token}\r\n")
            self.assertEqual(headers_of(request)["authorization"].lower(), f"{scheme.lower()} {MARK}")

    def test_basic(self):
        request = self.passes("auth", "api.example.test", headers=f"Authorization: {basic('git:' + self.token)}\r\n")
        self.assertEqual(headers_of(request)["authorization"], "Basic git:" + MARK)
        request = self.passes("auth", "api.example.test", headers=f"Authorization: {basic(self.token + ':')}\r\n")
        self.assertEqual(headers_of(request)["authorization"], f"Basic {MARK}:")

    def test_header(self):
        request = self.passes("key", "key.example.test", headers=f"X-Api-Key: {self.play.handles['key']}\r\n")
        self.assertEqual(headers_of(request)["x-api-key"], MARK)

    def test_query(self):
        request = self.passes("query", "query.example.test", path=f"/s?q=1&key={self.play.handles['query']}&z=2")
        self.assertEqual(request["query"], f"q=1&key={MARK}&z=2")

    def test_path(self):
        request = self.passes("path", "path.example.test", path=f"/bot{self.play.handles['path']}/send")
        self.assertEqual(request["path"], f"/bot{MARK}/send")

    def test_form(self):
        body = f"a=1&token={self.play.handles['form']}&b=%20"
        request = self.passes("form", "form.example.test", path="/f", method="POST", body=body,
                              headers="Content-Type: application/x-www-form-urlencoded\r\n")
        marked = f"a=1&token={MARK}&b=%20"
        self.assertEqual((request["body"], request["length"]), ("length", len(marked)))
        self.assertEqual(self.play.body()["text"], marked)

    def test_form_without_a_handle(self):
        self.passes("form", "form.example.test", path="/f", method="POST", body="a=1",
                    headers="Content-Type: application/x-www-form-urlencoded\r\n")
        self.assertEqual(self.play.body()["text"], "a=1")

    def test_marker_in_a_form_is_no_handle(self):
        self.refused("handle-place", "form.example.test", path="/f", method="POST", body=f"token={MARK}",
                     headers="Content-Type: application/x-www-form-urlencoded\r\n")

    def test_form_too_large(self):
        response = self.ask("form.example.test", path="/f", method="POST", body="a=" + "1" * 70000,
                            headers="Content-Type: application/x-www-form-urlencoded\r\n")
        self.assertEqual((response.status, response.reason), (413, "form-size"))

    def test_sigv4(self):
        value = f"AWS4-HMAC-SHA256 Credential={self.play.handles['aws']}/20260131/eu-west-1/s3/aws4_request, " \
                "SignedHeaders=host, Signature=00"
        request = self.passes("aws", "aws.example.test", headers=f"Authorization: {value}\r\n")
        self.assertEqual(headers_of(request)["authorization"], value.replace(self.play.handles["aws"], MARK))

    def test_without_a_handle_it_passes_without_a_credential(self):
        request = self.passes("auth", "api.example.test", headers="Authorization: Bearer other\r\n")
        self.assertEqual(headers_of(request)["authorization"], "Bearer other")

    # ---- elsewhere ----

    def test_handle_in_other_header_refused(self):
        for header in f"X-Other: {self.token}", f"Cookie: a={self.token}; b=c", f"X-Other: {basic('a:' + self.token)}", \
                f"Authorization: Digest {self.token}":
            self.refused("handle-place", "api.example.test", headers=header + "\r\n")
        self.play.reported("denied GET api.example.test /", lambda: self.refused(
            "handle-place", "api.example.test", headers=f"X-Other: {self.token}\r\n"))

    def test_handle_in_the_target_refused(self):
        self.refused("handle-place", "api.example.test", path="/issues/" + self.token)
        self.refused("handle-place", "api.example.test", path="/?q=" + self.token)
        self.refused("handle-place", "api.example.test", path="/?q=" + self.token.replace("m", "%6d", 1))
        for line in self.play.seen("report"):
            self.assertNotIn("mcpch_", line)

    def test_handle_in_the_slot_and_elsewhere_refused(self):
        self.refused("handle-place", "api.example.test", path="/" + self.token,
                     headers=f"Authorization: Bearer {self.token}\r\n")
        self.refused("handle-place", "api.example.test",
                     headers=f"Authorization: Bearer {self.token}\r\nAuthorization: Bearer x\r\n")

    def test_handle_of_another_grant_refused(self):
        self.refused("handle-host", "api.example.test", headers=f"Authorization: Bearer {self.play.handles['key']}\r\n")

    def test_handle_at_another_host_refused(self):
        self.play.reported("misuse GET other.example.test", lambda: self.refused(
            "handle-host", "other.example.test", headers=f"Authorization: Bearer {self.token}\r\n"))

    def test_handle_in_body_refused(self):
        for body in self.token, "x" * 100000 + self.token + "y" * 100:
            response = self.ask("api.example.test", path="/upload", method="POST", body=body)
            self.assertEqual((response.status, response.reason), (403, "handle-place"))
            self.play.wait("lane closed auth within a body")

    def test_handle_across_chunks_of_a_body_refused(self):
        with self.play.tunnel("api.example.test") as client:
            client.send("POST /upload HTTP/1.1\r\nHost: api.example.test\r\nTransfer-Encoding: chunked\r\n\r\n")
            for byte in self.token:
                client.send(f"1\r\n{byte}\r\n")
            self.assertEqual(client.response().reason, "handle-place")
        self.play.wait("lane closed auth within a body")

    def test_handle_in_a_forms_other_field_refused(self):
        token = self.play.handles["form"]
        for body in f"other={token}", f"token={token}&other={token}", f"token={token}&token=x", f"token={token}&a=\x01":
            response = self.ask("form.example.test", path="/f", method="POST", body=body,
                                headers="Content-Type: application/x-www-form-urlencoded\r\n")
            self.assertEqual(response.reason, "handle-place", body)
        self.assertEqual(self.play.requests(), [])

    def test_marker_cannot_be_sent(self):
        for head in "GET /\x01 HTTP/1.1\r\n", "GET /?\x01 HTTP/1.1\r\n", "GET / HTTP/1.1\r\nA: \x01\r\n":
            with self.play.tunnel("api.example.test") as client:
                client.send(head + "Host: api.example.test\r\n\r\n")
                self.assertEqual(client.response().status, 400)
        self.assertEqual(self.play.requests(), [])

    # ---- not ours ----

    def foreign_handle(self):
        """A well-formed one: its check digits are right."""
        payload = "A1b2" * 8
        crc, check = zlib.crc32(payload.encode()), ""
        for _ in range(6):
            crc, digit = divmod(crc, 62)
            check = DIGITS[digit] + check
        return "mcpch_" + payload + check

    def misused(self, line, act):
        """As with reports: a handful a second."""
        while line not in self.play.seen("misuse"):
            act()

    def test_foreign_handle_reported(self):
        foreign = self.foreign_handle()
        self.misused(f"misuse {foreign} api.example.test header", lambda: self.refused(
            "foreign-handle", "api.example.test", headers=f"Authorization: Bearer {foreign}\r\n"))

    def test_foreign_handle_in_a_body_reported(self):
        foreign = self.foreign_handle()
        def act():
            response = self.ask("api.example.test", path="/upload", method="POST", body=foreign)
            self.assertEqual(response.reason, "foreign-handle")

        self.misused(f"misuse {foreign} api.example.test body", act)

    def test_what_only_looks_like_one_passes(self):
        broken = self.foreign_handle()[:-1] + ("0" if self.foreign_handle()[-1] != "0" else "1")
        response = self.ask("api.example.test", headers=f"X-Text: {broken}\r\n")
        self.assertEqual(response.status, 200)

    def test_reports_are_few_and_counted(self):
        with self.play.tunnel("api.example.test") as client:
            for _ in range(200):
                client.ask("GET", "/", "api.example.test", f"X-Other: {self.token}\r\n")
        reports = self.play.seen("report")
        self.assertLess(len(reports), 60)


if __name__ == "__main__":
    unittest.main()
