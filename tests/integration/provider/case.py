"""What the tests of all providers begin with: the stand-in, a process, and a fault that has a name."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))

from process import Fault, Provider  # noqa: E402
from standin import Standin  # noqa: E402

HOST_ERROR = "UPSTREAM_UNREACHABLE"


class Case(unittest.TestCase):
    def setUp(self):
        self.github = Standin().start()
        self.addCleanup(self.github.stop)

    def provider(self, *arguments, **options):
        arguments = arguments or ("--ca-file", self.github.ca)
        if os.environ.get("MCPCRED_NO_LANDLOCK"):
            arguments += ("--allow-no-landlock",)
        process = Provider(*arguments, **options)
        self.addCleanup(process.close)
        return process

    def quick(self, milliseconds=1500):
        return self.provider("--ca-file", self.github.ca, "--timeout-ms", str(milliseconds))

    def fails(self, name, function, *arguments, **options):
        with self.assertRaises(Fault) as caught:
            function(*arguments, **options)
        self.assertEqual(caught.exception.name, name, caught.exception.message)
        return caught.exception


class Issued(Case):
    """For upstreams whose secret is a token of their own, which goes to the process as it is."""

    vendor = ""

    @classmethod
    def setUpClass(cls):
        cls.github = Standin().start()
        cls.addClassCleanup(cls.github.stop)

    def setUp(self):
        self.github.reset()
        self.value, self.id = self.github.add_issued(self.vendor)

    def upstream(self, proof=None, base_url=None):
        url = getattr(self.github, self.vendor + "_url")
        return {"provider": self.vendor, "base_url": base_url or url, "parameters": {}, "proof": proof or self.value}

    def call(self, method, process=None, proof=None, base_url=None, **values):
        process = process or self.provider()
        return process.call(method, upstream=self.upstream(proof, base_url), **values)

    def alive(self, kind=None):
        found = self.github.credentials(self.vendor, "alive")
        return [item for item in found if kind in (None, item["kind"])]

    def ids(self):
        return {str(item["id"]) for item in self.alive()}
