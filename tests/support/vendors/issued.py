"""Tokens that an upstream issued, by their hashes: who has one can be told, and what it was cannot."""

import dataclasses
import typing

from ghapi.clock import iso
from ghapi.message import digest


@dataclasses.dataclass
class Issued:
    id: typing.Any
    vendor: str
    kind: str
    name: str
    sha256: str
    created: float
    expires: typing.Optional[float]  # None: never
    details: dict  # the vendor's own: scopes, policies, ...
    family: int = 0  # of those that came of one another by rotation
    revoked: bool = False
    delivered: bool = False  # the reply that carries it was written to the end
    uses: int = 0  # requests that it authenticated
    refused: int = 0  # requests that it was too dead for

    def state(self, now):
        if self.revoked:
            return "revoked"
        return "expired" if self.expires is not None and now >= self.expires else "alive"

    def record(self, now):
        fields = dataclasses.asdict(self)
        fields.update(state=self.state(now), created=iso(self.created))
        fields["expires"] = None if self.expires is None else iso(self.expires)
        del fields["revoked"]
        return fields


class Ledger:
    def __init__(self, clock, vendor):
        self.clock = clock
        self.vendor = vendor
        self._by_hash = {}

    def issue(self, value, identifier, kind, name, expires, details, family=None):
        number = len(self._by_hash) + 1
        issued = Issued(
            identifier, self.vendor, kind, name, digest(value), self.clock.now(), expires, details, family or number
        )
        self._by_hash[issued.sha256] = issued
        return issued

    def look(self, value):
        """Whatever became of it."""
        return self._by_hash.get(digest(value))

    def use(self, value):
        """The token if it is alive, and None otherwise; counts either."""
        issued = self.look(value)
        if issued is None:
            return None
        if issued.state(self.clock.now()) != "alive":
            issued.refused += 1
            return None
        issued.uses += 1
        return issued

    def all(self):
        return list(self._by_hash.values())

    def alive(self):
        now = self.clock.now()
        return [issued for issued in self.all() if issued.state(now) == "alive"]

    def by_id(self, identifier):
        for issued in self.all():
            if str(issued.id) == str(identifier):
                return issued
        return None
