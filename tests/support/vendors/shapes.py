"""What the tokens of each issuer look like, put together here so that none stands in the sources."""

import base64
import hashlib
import secrets
import string
import zlib

LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
BASE36 = string.digits + string.ascii_lowercase


def _digits(number, alphabet, count):
    text = ""
    for _ in range(count):
        number, digit = divmod(number, len(alphabet))
        text = alphabet[digit] + text
    return text


def _random(count, letters=LETTERS):
    return "".join(secrets.choice(letters) for _ in range(count))


def github_classic(prefix="ghp"):
    """36 letters, the last six of them the CRC-32 of those before in base62."""
    payload = _random(30)
    return prefix + "_" + payload + _digits(zlib.crc32(payload.encode()), LETTERS, 6)


def github_fine():
    base = "github" + "_pat_" + _random(22) + "_" + _random(43)
    check = base64.b32encode(hashlib.sha256(base.encode()).digest())[:8].decode()
    return base + check + _random(8)


def gitlab(routable=True):
    if not routable:
        return "glpat" + "-" + _random(20)
    payload = _random(31)
    base = "glpat" + "-" + payload + ".01." + _digits(len(payload), BASE36, 2)
    return base + _digits(zlib.crc32(base.encode()), BASE36, 7)


def cloudflare():
    return "cfut" + "_" + _random(40) + _random(8, "0123456789abcdef")
