"""The upstream of a worker: the stand-in of GitHub, and what the points want of it."""

import contextlib
import hashlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))

from operations import REPOSITORY, STATIC_KEYS  # noqa: E402
from standin import Standin  # noqa: E402


class Upstream:
    def __init__(self):
        self.github = Standin().start()
        self.next_app_key = os.path.join(self.github.directory, "next.pem")
        subprocess.run(
            ["openssl", "genrsa", "-traditional", "-out", self.next_app_key, "2048"], check=True, capture_output=True
        )
        self._old = self.github.keys()[0]
        self._new = self.github.add_key(self.next_app_key)
        self.issued = {}
        self._last_token = 0
        self.reset()

    def stop(self):
        self.github.stop()

    @staticmethod
    def digest(value):
        return hashlib.sha256(value.encode()).hexdigest()

    def reset(self):
        """As at the beginning: no faults, and everything that may be in use is known."""
        self.github.release()
        self._know_all()
        for vendor, identifier in self.issued.items():
            self.github.only_issued(vendor, [identifier])

    def alive(self):
        """What is alive of each vendor, to go back to it."""
        return {vendor: [item["id"] for item in self.github.credentials(vendor, "alive")] for vendor in self.issued}

    def go_back(self, alive):
        self.reset()
        for vendor, identifiers in alive.items():
            self.github.only_issued(vendor, identifiers)

    def _know_all(self):
        known = self.github.keys()
        if self._new not in known:
            self.github.add_key(self.next_app_key)
        if self._old not in known:
            self.github.add_key(self.github.app_key)
        for number, value in enumerate(STATIC_KEYS):
            self.github.add_static_key(str(number), value)

    def issue(self, vendor):
        """A value of the vendor's; at each point it is the one that there is."""
        value, self.issued[vendor] = self.github.add_issued(vendor)
        return value

    def use(self, token):
        with self.github.client() as client:
            return client.call("GET", REPOSITORY, token).status

    def requests(self):
        return self.github.count("*")

    def last_token(self):
        """The id of the last one that was issued."""
        for token in self.github.tokens(after=self._last_token):
            self._last_token = token["id"]
        return self._last_token

    # -- which of two is in use

    def app_key_prints(self):
        """Of the key that is stored at the beginning, and of the one that it is changed for."""
        return self._old, self._new

    @contextlib.contextmanager
    def only_app_key(self, fingerprint):
        for other in self.github.keys():
            if other != fingerprint:
                self.github.remove_key(other)
        try:
            yield
        finally:
            self._know_all()

    @contextlib.contextmanager
    def only_static_key(self, value):
        for number, other in enumerate(STATIC_KEYS):
            if other != value:
                self.github.remove_static_key(str(number))
        try:
            yield
        finally:
            self._know_all()
