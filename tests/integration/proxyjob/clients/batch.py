"""What the HTTP clients in Python have in common: requests from standard input, results to standard output.

A request is {"method", "url", "headers", "body", "size"}: `size` makes a body of so many bytes. In URL, headers
and body, @{NAME} stands for the variable NAME and @b64{TEXT} for TEXT in Base64, so that a handle is where a
program would have put it and not among the test's own arguments.
"""

import base64
import hashlib
import json
import os
import re
import sys

LIMIT = 4096


def expand(text):
    text = re.sub(r"@\{(\w+)\}", lambda match: os.environ[match[1]], text)
    return re.sub(r"@b64\{([^}]*)\}", lambda match: base64.b64encode(match[1].encode()).decode(), text)


def result(status, headers, body):
    return {
        "status": status,
        "headers": {name.lower(): value for name, value in headers},
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "body": body[:LIMIT].decode("latin-1"),
    }


def run(send):
    """`send(method, url, headers, body)` gives a result, or raises."""
    for request in json.load(sys.stdin):
        headers = {name: expand(value) for name, value in request.get("headers", {}).items()}
        body = bytes(request["size"]) if "size" in request else expand(request.get("body") or "").encode() or None
        try:
            answer = send(request.get("method", "GET"), expand(request["url"]), headers, body)
        except Exception as error:  # noqa: BLE001: whatever a client raises is its answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
