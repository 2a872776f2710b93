"""The primary rate limit and its headers.

Docs: "Rate limits for the REST API". 5,000 requests an hour for an installation
and for an app, 60 without authentication; over it 403 with remaining 0.
"""

from .message import ApiError

AUTHENTICATED = 5000
ANONYMOUS = 60
WINDOW = 3600


class RateLimits:
    def __init__(self, clock):
        self.clock = clock
        self._buckets = {}  # principal -> [used, reset]

    def _bucket(self, principal):
        bucket = self._buckets.get(principal)
        if bucket is None or self.clock.now() >= bucket[1]:
            bucket = self._buckets[principal] = [0, int(self.clock.now()) + WINDOW]
        return bucket

    @staticmethod
    def limit(principal):
        return AUTHENTICATED if principal else ANONYMOUS

    def status(self, principal):
        used, reset = self._bucket(principal)
        limit = self.limit(principal)
        used = min(used, limit)
        return {"limit": limit, "used": used, "remaining": limit - used, "reset": reset}

    def headers(self, principal):
        fields = self.status(principal)
        names = {"x-ratelimit-" + name: str(value) for name, value in fields.items()}
        return {**names, "x-ratelimit-resource": "core"}

    def charge(self, principal):
        bucket = self._bucket(principal)
        bucket[0] += 1
        if bucket[0] > self.limit(principal):
            raise ApiError(403, "API rate limit exceeded", self.headers(principal))
