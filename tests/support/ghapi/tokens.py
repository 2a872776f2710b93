"""Installation access tokens: what was issued, and what is left of it.

Docs: "Generating an installation access token for a GitHub App". Only the hash
of a token is kept, so that neither the records nor the admin side can leak one.
"""

import base64
import dataclasses
import json
import secrets
import string
import typing

from .clock import iso
from .message import digest

LETTERS = string.ascii_letters + string.digits
FORMATS = ("stateless", "classic")


@dataclasses.dataclass
class Token:
    id: int
    sha256: str
    installation: int
    permissions: dict
    repositories: typing.Optional[list]  # short names in lower case; None: all of them
    created: float
    expires: float
    revoked: bool = False
    delivered: bool = False  # the reply that carries it was written to the end
    kind: str = "installation"  # or "classic" or "fine": a person's
    scopes: list = dataclasses.field(default_factory=list)  # of a classic one
    expires_known: bool = True  # a person's may have no end
    lag: int = 0  # requests for which it is still good after it was reported
    uses: int = 0  # requests that it authenticated
    refused: int = 0  # requests that it was too dead for

    def state(self, now):
        if self.revoked:
            return "revoked"
        return "expired" if now >= self.expires else "alive"

    def record(self, now):
        """What the admin side shows."""
        fields = dataclasses.asdict(self)
        fields.update(
            state=self.state(now), created=iso(self.created), expires=iso(self.expires)
        )
        del fields["revoked"]
        return fields


def _part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _classic():
    return "ghs" + "_" + "".join(secrets.choice(LETTERS) for _ in range(36))


def _stateless(app_id):
    """`ghs_<app id>_<jwt>`, about 520 characters; nobody is meant to parse it."""
    header = _part(json.dumps({"alg": "RS256", "typ": "JWT"}).encode())
    claims = _part(json.dumps({"jti": secrets.token_hex(16), "v": 1, "pad": "0" * 33}).encode())
    return f"ghs_{app_id}_{header}.{claims}.{_part(secrets.token_bytes(256))}"


class TokenStore:
    def __init__(self, clock, app_id, lifetime=3600, form="stateless"):
        self.clock = clock
        self.app_id = app_id
        self.lifetime = lifetime
        self.form = form
        self.lag = 0
        self._by_hash = {}

    def issue(self, installation, permissions, repositories, form=None):
        """Returns (value, Token). The value leaves with the reply and is gone."""
        value = _classic() if (form or self.form) == "classic" else _stateless(self.app_id)
        now = self.clock.now()
        token = Token(
            len(self._by_hash) + 1,
            digest(value),
            installation,
            permissions,
            repositories,
            now,
            now + self.lifetime,
        )
        self._by_hash[token.sha256] = token
        return value, token

    def adopt(self, value, installation, permissions, repositories, scopes=None, seconds=31536000):
        """A personal access token, which somebody made by hand. `scopes`: a classic one."""
        now = self.clock.now()
        number = len(self._by_hash) + 1
        token = Token(number, digest(value), installation, permissions, repositories, now, now + (seconds or 10**9))
        token.kind = "fine" if scopes is None else "classic"
        token.scopes = list(scopes or ())
        token.expires_known = seconds is not None
        self._by_hash[token.sha256] = token
        return token

    def find(self, value):
        """The token if it is alive, and None otherwise; counts either."""
        token = self._by_hash.get(digest(value))
        if token is None:
            return None
        if token.revoked and token.lag > 0:
            token.lag -= 1
        elif token.state(self.clock.now()) != "alive":
            token.refused += 1
            return None
        token.uses += 1
        return token

    def expose(self, value):
        """Somebody reported it: it is dead, after as many requests as `lag` says."""
        token = self._by_hash.get(digest(value))
        if token is not None:
            token.revoked = True
            token.lag = self.lag

    def all(self):
        return sorted(self._by_hash.values(), key=lambda token: token.id)

    def age(self, seconds):
        """Brings what was issued so far nearer to its end; the clock stays."""
        for token in self._by_hash.values():
            token.expires -= seconds
