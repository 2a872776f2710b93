#!/usr/bin/python3
"""An upstream that sends the credential back: it does not get into the sandbox, in whatever form it comes."""

import itertools
import urllib.parse

from proxyjob import BASE, DIRECT, Case, bearer, main
from upstreams import reflection

SPLITS = ((0, "length"), (1, "chunked"), (7, "chunked"), (5, "close"))
SIDES = ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 2))
WINDOW = 16  # bytes in a row of a form that are too many
KEYS = {"echo": ("ECHO_KEY", bearer()), "odd": ("ODD_KEY", {"X-Api-Key": "@{ODD_KEY}"}), "strict": ("ECHO_KEY", bearer())}


def reflect(**query):
    return f"{BASE}/reflect?{urllib.parse.urlencode(query)}"


def every_form():
    """(form, bytes before and after it in the encoded data, URL)."""
    for form, (split, framing) in itertools.product(reflection.FORMS, SPLITS):
        for before, after in SIDES if form.startswith("base64") and split != 1 else SIDES[:1]:
            yield form, before, after, reflect(**{"as": form}, split=split, framing=framing, before=before, after=after)


class Scrub(Case):
    def ask(self, profile, urls, headers=()):
        _, own = KEYS[profile]
        return self.batch("requests", profile, [{"url": url, "headers": {**own, **dict(headers)}} for url in urls])

    def secret(self, profile):
        return self.keys["odd" if profile == "odd" else "echo"].encode()

    def assert_scrubbed(self, profile, form, before, after, answer):
        """Nothing of the middle of the form is there; its ends depend on what is beside the credential."""
        text = answer.get("body", "").encode("latin-1")
        shown = reflection.reflect(self.secret(profile), form, before, after)
        if DIRECT:
            self.assertIn(shown, text)
            return
        pieces = {shown[at : at + WINDOW] for at in range(4, len(shown) - WINDOW - 4)}
        found = [piece for piece in pieces if piece in text]
        self.assertEqual(found, [], f"{len(found)} of {len(pieces)} pieces came through")

    def forms(self, profile):
        cases = list(every_form())
        answers = self.ask(profile, [url for *_, url in cases])
        for (form, before, after, url), answer in zip(cases, answers):
            with self.subTest(profile=profile, url=url):
                self.assert_scrubbed(profile, form, before, after, answer)
                if profile != "strict":
                    self.assertEqual(answer.get("status"), 200, answer)
                    text = answer["body"].encode("latin-1")
                    self.assertTrue(text.startswith(reflection.BEFORE) and text.endswith(reflection.AFTER), text)

    def test_each_form(self):
        self.forms("echo")

    def test_each_form_of_a_key_with_odd_characters(self):
        self.forms("odd")

    def test_each_form_strictly(self):
        self.forms("strict")

    def test_compressed(self):
        cases = list(itertools.product(("gzip", "deflate", "raw-deflate"), ("raw", "base64", "hex"), SPLITS))
        urls = [reflect(**{"as": form}, coding=coding, split=split, framing=framing) for coding, form, (split, framing) in cases]
        for (_, form, _), url, answer in zip(cases, urls, self.ask("echo", urls)):
            with self.subTest(url=url):
                if not (DIRECT and "raw-deflate" in url):
                    self.assert_scrubbed("echo", form, 0, 0, answer)
                    self.assertTrue(answer["body"].encode("latin-1").startswith(reflection.BEFORE), answer)

    def test_a_coding_that_nobody_asked_for(self):
        [answer] = self.ask("strict", [reflect(**{"as": "raw"}, coding="br")])
        if DIRECT:
            return
        self.assert_refused(answer)
        self.assertGreaterEqual(answer.get("status", 502), 500)

    def test_in_a_header_an_event_and_a_range(self):
        urls = [reflect(**{"as": form}, where=where) for form in ("raw", "base64", "hex") for where in ("header", "sse")]
        answers = self.ask("echo", urls)
        for url, answer in zip(urls, answers):
            with self.subTest(url=url):
                form = urllib.parse.parse_qs(url.partition("?")[2])["as"][0]
                whole = answer.get("body", "") + answer.get("headers", {}).get("x-reflected", "")
                self.assert_scrubbed("echo", form, 0, 0, {"body": whole})
                if "where=sse" in url:
                    self.assertTrue(answer["body"].endswith("data: next\n\n"), answer)
        [part] = self.ask("echo", [reflect(where="206")], {"Range": "bytes=8-40"})
        if not DIRECT:
            self.assert_scrubbed("echo", "raw", 0, 0, part)
        self.assertEqual(part["status"], 206 if DIRECT else 200)

    def test_is_audited(self):
        self.ask("echo", [reflect()])
        if not DIRECT:
            self.assertIn("scrub", "".join(str(line) for line in self.audit()).lower())


if __name__ == "__main__":
    main(__file__)
