"""The binary form of the roles' messages, written down once more for tests.

Frames as in broker/ipc/channel.h, fields as in broker/wire/schema.h: in the table's
order a presence byte, then the value; integers little-endian, texts with a length.
"""

import os
import re
import struct

REQUEST, REPLY, MORE, FAULT = range(4)
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")


def fault_names():
    """The names of the codes, in the order of the header that defines them."""
    with open(os.path.join(ROOT, "broker", "wire", "fault.h"), encoding="utf-8") as file:
        return re.findall(r"^\s+FAULT_(\w+),", file.read(), re.MULTILINE)


class Record:
    """Fields as (name, kind) or (name, kind, record)."""

    def __init__(self, *fields):
        self.fields = fields

    def encode(self, values):
        unknown = set(values) - {field[0] for field in self.fields}
        if unknown:
            raise ValueError(f"no such field: {unknown}")
        return b"".join(self._encode(field, values.get(field[0])) for field in self.fields)

    def _encode(self, field, value):
        if value is None:
            return b"\x00"
        return b"\x01" + encode(field, value)

    def decode(self, reader):
        values = {}
        for field in self.fields:
            present = reader.take(1)[0]
            assert present in (0, 1)
            values[field[0]] = decode(field, reader) if present else None
        return values


def _bytes(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack("<I", len(data)) + data


def encode(field, value):
    kind = field[1]
    if kind == "bool":
        return bytes([value])
    if kind == "u64":
        return struct.pack("<Q", value)
    if kind == "enum":
        return struct.pack("<I", value)
    if kind in ("text", "secret"):
        return _bytes(value)
    if kind == "texts":
        return struct.pack("<I", len(value)) + b"".join(_bytes(item) for item in value)
    if kind == "map":
        pairs = (_bytes(key) + _bytes(item) for key, item in value.items())
        return struct.pack("<I", len(value)) + b"".join(pairs)
    if kind == "records":
        return struct.pack("<I", len(value)) + b"".join(field[2].encode(item) for item in value)
    return field[2].encode(value)


class Reader:
    def __init__(self, data):
        self._data = data
        self._at = 0

    def take(self, size):
        taken = self._data[self._at : self._at + size]
        assert len(taken) == size, "the message is cut short"
        self._at += size
        return taken

    def unpack(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self):
        return self.take(self.unpack("<I")).decode()

    def end(self):
        assert self._at == len(self._data), "bytes too many"


def decode(field, reader):
    kind = field[1]
    if kind == "bool":
        return bool(reader.take(1)[0])
    if kind == "u64":
        return reader.unpack("<Q")
    if kind == "enum":
        return reader.unpack("<I")
    if kind in ("text", "secret"):
        return reader.text()
    if kind == "texts":
        return [reader.text() for _ in range(reader.unpack("<I"))]
    if kind == "map":
        return {reader.text(): reader.text() for _ in range(reader.unpack("<I"))}
    if kind == "records":
        return [field[2].decode(reader) for _ in range(reader.unpack("<I"))]
    return field[2].decode(reader)


def frame(method, kind, serial, body):
    return struct.pack("<HBBI", method, kind, 0, serial) + body


def parse_frame(data):
    """(method, kind, serial, reader of the body)"""
    method, kind, zero, serial = struct.unpack("<HBBI", data[:8])
    assert zero == 0
    return method, kind, serial, Reader(data[8:])


EMPTY = Record()
FAULT_BODY = Record(
    ("fault", "u64"), ("message", "text"), ("remedy", "text"), ("field", "text"),
    ("retry_after_usec", "u64"),
)
ATTACH = Record(("peer", "enum"), ("session", "text"), ("profile", "text"))
LOG = Record(("level", "enum"), ("text", "text"))
SCOPE = Record(("repositories", "texts"), ("permissions", "map"))
UPSTREAM = Record(
    ("provider", "text"), ("base_url", "text"), ("parameters", "map"), ("proof", "secret")
)
VERIFY = Record(("upstream", "record", UPSTREAM))
VERIFY_REPLY = Record(
    ("identity", "text"), ("checked", "bool"), ("rights_known", "bool"), ("rights", "texts"), ("expires", "u64"),
    ("secret_id", "text"),
)
MINT = Record(("upstream", "record", UPSTREAM), ("scope", "record", SCOPE), ("label", "text"))
MINT_REPLY = Record(
    ("token", "secret"), ("expires", "u64"), ("upstream_id", "text"), ("granted", "record", SCOPE)
)
REVOKE = Record(("upstream", "record", UPSTREAM), ("token", "secret"), ("upstream_id", "text"))
REVOKE_REPLY = Record(("probed", "bool"))

ROTATE = Record(("upstream", "record", UPSTREAM), ("label", "text"))
ROTATE_REPLY = Record(("secret", "secret"), ("secret_id", "text"), ("old_secret_id", "text"), ("expires", "u64"))
REVOKE_SECRET = Record(("upstream", "record", UPSTREAM), ("secret", "secret"), ("secret_id", "text"))
REVOKE_SECRETS = Record(
    ("upstream", "record", UPSTREAM), ("secrets", "records", Record(("secret", "secret"))), ("calls_max", "u64")
)
REVOKE_SECRETS_REPLY = Record(("ends", "records", Record(("end", "enum"))), ("calls", "u64"))
ABANDON = Record(("upstream", "record", UPSTREAM), ("label", "text"))
ABANDON_REPLY = Record(("ended", "u64"))

PROVIDER_METHODS = {
    "Verify": (0, VERIFY, VERIFY_REPLY),
    "Mint": (1, MINT, MINT_REPLY),
    "Revoke": (2, REVOKE, REVOKE_REPLY),
    "Rotate": (3, ROTATE, ROTATE_REPLY),
    "RevokeSecret": (4, REVOKE_SECRET, REVOKE_REPLY),
    "Abandon": (5, ABANDON, ABANDON_REPLY),
    "RevokeSecrets": (6, REVOKE_SECRETS, REVOKE_SECRETS_REPLY),
}
ROLE_VAULT = 3
