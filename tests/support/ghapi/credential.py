"""Where a request can carry a credential, and what must never be there: a handle of the broker's."""

import base64
import binascii
import re

# A handle stands for a credential inside a sandbox; one that gets this far was not replaced.
HANDLE = re.compile(rb"mcpch_")


def _basic(value):
    """(user, password), or None."""
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


def credentials(headers):
    """[(place, value)]: "bearer", "token", "basic" (its password, else its user), or a header's name."""
    found = []
    scheme, _, value = (headers.get("Authorization") or "").partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        pair = _basic(value)
        found.append(("basic", (pair[1] or pair[0]) if pair else value))
    elif value:
        found.append((scheme.lower(), value))
    for name in ("X-Api-Key", "X-Subscription-Token", "Private-Token"):
        if headers.get(name):
            found.append((name.lower(), headers[name]))
    return found


def carries_handle(target, headers, body=b""):
    texts = [target, *(value for _, value in headers.items()), *(value for _, value in credentials(headers))]
    return any(HANDLE.search(text.encode("utf-8", "surrogateescape")) for text in texts) or bool(HANDLE.search(body))
