"""Verification of the JSON Web Token that an app authenticates with.

Docs: "Generating a JSON Web Token (JWT) for a GitHub App". RS256 only; `iat`
in the past (60 seconds of drift are recommended); `exp` no more than ten
minutes into the future; `iss` is the app's ID or its client ID. The documented
example is iat = now - 60 with exp = now + 600, so exp - iat may be 660.

The signature is checked with `cryptography`, which shares no code with any
client written against mbedTLS.
"""

import base64
import binascii
import hashlib
import json
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from .message import ApiError

MAX_AHEAD = 600
DRIFT = 60
MAX_KEYS = 25
UNDECODABLE = "A JSON web token could not be decoded"


class AppKeys:
    """The public keys registered for the app, by the fingerprint the UI shows."""

    def __init__(self):
        self._keys = {}

    def add(self, pem):
        """Takes a private or a public PEM; keeps the public half only."""
        data = pem.encode()
        if b"PRIVATE KEY" in data:
            public = serialization.load_pem_private_key(data, None).public_key()
        else:
            public = serialization.load_pem_public_key(data)
        der = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        fingerprint = base64.b64encode(hashlib.sha256(der).digest()).decode()
        if len(self._keys) >= MAX_KEYS:
            raise ValueError("an app has at most 25 keys")
        self._keys[fingerprint] = public
        return fingerprint

    def remove(self, fingerprint):
        if fingerprint not in self._keys:
            raise ValueError("no such key")
        del self._keys[fingerprint]

    def fingerprints(self):
        return sorted(self._keys)

    def verify(self, signature, data):
        for key in self._keys.values():
            try:
                key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
                return True
            except InvalidSignature:
                continue
        return False


def _decode(part):
    """Unpadded base64url, and nothing else (RFC 7515 section 2)."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", part) or len(part) % 4 == 1:
        raise ApiError(401, UNDECODABLE)
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise ApiError(401, UNDECODABLE) from None


def _object(part):
    try:
        value = json.loads(_decode(part))
    except ValueError:
        raise ApiError(401, UNDECODABLE) from None
    if not isinstance(value, dict):
        raise ApiError(401, UNDECODABLE)
    return value


def _is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _check_times(claims, now):
    issued, expires = claims.get("iat"), claims.get("exp")
    if not _is_integer(issued) or issued > now:
        raise ApiError(
            401,
            "'Issued at' claim ('iat') must be an Integer representing the time that the "
            "assertion was issued",
        )
    if not _is_integer(expires) or expires <= now:
        raise ApiError(
            401,
            "'Expiration time' claim ('exp') must be a numeric value representing the future "
            "time at which the assertion expires",
        )
    if expires > now + MAX_AHEAD or expires - issued > MAX_AHEAD + DRIFT:
        raise ApiError(401, "'Expiration time' claim ('exp') is too far in the future")


def verify(token, app, keys, now):
    """Raises ApiError(401) unless the token proves to be the app's."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ApiError(401, UNDECODABLE)
    header, claims = _object(parts[0]), _object(parts[1])
    if header.get("alg") != "RS256":
        raise ApiError(401, UNDECODABLE)
    if not keys.verify(_decode(parts[2]), ".".join(parts[:2]).encode()):
        raise ApiError(401, UNDECODABLE)
    if str(claims.get("iss")) not in (str(app["id"]), app["client_id"]):
        # What an unknown issuer gets is not documented; 401 is the family.
        raise ApiError(401, "Integration not found")
    _check_times(claims, now)
