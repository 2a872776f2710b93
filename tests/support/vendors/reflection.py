"""Forms in which an upstream may send a credential back: what a proxy has to recognise."""

import base64
import gzip
import html
import json
import urllib.parse
import zlib

FORMS = {
    "raw": lambda data: data,
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
    "base64-unpadded": lambda data: base64.b64encode(data).rstrip(b"="),
    "hex": lambda data: data.hex().encode(),
    "hex-upper": lambda data: data.hex().upper().encode(),
    "percent": lambda data: b"".join(b"%%%02X" % byte for byte in data),
    "percent-lower": lambda data: b"".join(b"%%%02x" % byte for byte in data),
    "quoted": lambda data: urllib.parse.quote(data, safe="").encode(),
    "form": lambda data: urllib.parse.quote_plus(data).encode(),
    "json-plain": lambda data: json.dumps(data.decode())[1:-1].encode(),
    "json-slashes": lambda data: json.dumps(data.decode())[1:-1].replace("/", "\\/").encode(),
    "json": lambda data: b"".join(b"\\u%04x" % byte for byte in data),
    "json-upper": lambda data: b"".join(b"\\u%04X" % byte for byte in data),
    "json-mixed": lambda data: b"".join(b"\\u%04x" % byte if at % 3 else bytes([byte]) for at, byte in enumerate(data)),
    "html-plain": lambda data: html.escape(data.decode()).encode(),
    "html": lambda data: b"".join(b"&#%d;" % byte for byte in data),
    "html-hex": lambda data: b"".join(b"&#x%x;" % byte for byte in data),
}
CODINGS = {"gzip": gzip.compress, "deflate": zlib.compress, "raw-deflate": lambda data: _raw_deflate(data)}
BEFORE, AFTER = b"It was [", b"], was it not?\n"


def _raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def reflect(credential, form, before=0, after=0):
    """The credential in its form, with so many other bytes at either side in the encoded data."""
    return FORMS[form](b"\x01" * before + credential + b"\x02" * after if before or after else credential)


def body(credential, form, before=0, after=0):
    return BEFORE + reflect(credential, form, before, after) + AFTER


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
