"""What happened so far, and waiting for it: tests wait for events, never sleep.

A request passes the phases `arrived` (read to its end), `worked` (its effect
has taken place) and `answered` (the reply was written); a request whose client
left, or whose connection was dropped on purpose, is `abandoned`. `time` says when
it arrived, and `left` when it was answered or abandoned. Connections count under the endpoint `connect`: `arrived` (accepted), `worked` (TLS is up),
`closed`.
"""

import threading
import time

from .credential import carries_handle, credentials
from .message import digest

HIDDEN = {"authorization", "proxy-authorization", "cookie", "x-api-key", "x-subscription-token", "private-token"}
# Whose body is credentials and nothing else.
HIDDEN_BODIES = {"revoke_credentials"}
BODY_LIMIT = 4096


def _credential(request):
    """The hash that a token's record has too, so that a test can match them."""
    found = credentials(request.headers)
    return digest(found[0][1]) if found else None


class Journal:
    def __init__(self, lock):
        self._changed = threading.Condition(lock)
        self._counts = {}
        self.requests = []
        self.connections = []

    def reset(self):
        with self._changed:
            self._counts.clear()
            self.requests.clear()

    def _count(self, endpoint, phase):
        for name in (endpoint, "*") if endpoint != "connect" else (endpoint,):
            key = (name, phase)
            self._counts[key] = self._counts.get(key, 0) + 1
        self._changed.notify_all()

    def accepted(self):
        with self._changed:
            record = {"id": len(self.connections) + 1, "open": True, "tls": False, "requests": 0}
            self.connections.append(record)
            self._count("connect", "arrived")
            return record

    def secured(self, connection):
        with self._changed:
            connection["tls"] = True
            self._count("connect", "worked")

    def closed(self, connection):
        with self._changed:
            connection["open"] = False
            self._count("connect", "closed")

    def arrived(self, connection, endpoint, request):
        """Credentials are kept as hashes: the records may go into a log."""
        with self._changed:
            connection["requests"] += 1
            record = {
                "id": len(self.requests) + 1,
                "time": time.time(),
                "left": None,
                "connection": connection["id"],
                "endpoint": endpoint,
                "method": request.method,
                "target": request.target,
                "headers": [
                    [name, "sha256:" + digest(value) if name.lower() in HIDDEN else value]
                    for name, value in request.headers.items()
                ],
                "credential_sha256": _credential(request),
                "handle": carries_handle(request.target, request.headers, request.body),
                "body": "" if endpoint in HIDDEN_BODIES else request.body[:BODY_LIMIT].decode("utf-8", "replace"),
                "phase": "arrived",
                "status": None,
                "fault": None,
            }
            self.requests.append(record)
            self._count(endpoint, "arrived")
            return record

    def advance(self, record, phase, status=None):
        with self._changed:
            record["phase"] = phase
            if phase in ("answered", "abandoned"):
                record["left"] = time.time()
            record["status"] = status or record["status"]
            self._count(record["endpoint"], phase)

    def count(self, endpoint, phase):
        return self._counts.get((endpoint, phase), 0)

    def counts(self):
        result = {}
        for (endpoint, phase), number in sorted(self._counts.items()):
            result.setdefault(endpoint, {})[phase] = number
        return result

    def wait(self, endpoint, phase, count, timeout):
        with self._changed:
            return self._changed.wait_for(lambda: self.count(endpoint, phase) >= count, timeout)
