"""What the small JSON APIs have in common: routes, keys, and the shape of a refusal."""

import re

from ghapi.credential import credentials
from ghapi.message import Reply, digest, json_reply


class Refusal(Exception):
    """A documented error; each vendor writes it in its own form."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Keys:
    """Keys of one host by name; only their hashes are kept."""

    def __init__(self):
        self._names = {}

    def add(self, name, value):
        self._names[digest(value)] = name

    def remove(self, name):
        self._names = {key: other for key, other in self._names.items() if other != name}

    def name(self, value):
        return self._names.get(digest(value))


class Vendor:
    """A host of which every request is one JSON document in, and one document or stream out."""

    name = ""
    hosts = ()
    routes = ()  # (endpoint, method, pattern, name of the handler)

    def __init__(self):
        self.keys = Keys()

    def _find(self, request):
        for endpoint, method, pattern, handler in self.routes:
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                return endpoint, getattr(self, handler), match.groupdict()
        return "unknown", None, {}

    def endpoint(self, request):
        return f"{self.name}.{self._find(request)[0]}"

    def dispatch(self, _state, request):
        try:
            self.authenticate(request)
            _, handler, arguments = self._find(request)
            if handler is None:
                raise self.unknown(request)
            return handler(request, **arguments)
        except Refusal as refusal:
            return self.refuse(refusal)

    def presented(self, request, *places):
        """The name of the key in one of the places, or None; "" is a place that is empty."""
        for place, value in credentials(request.headers):
            if place in places:
                return self.keys.name(value)
        return ""

    # -- what each vendor has of its own

    def authenticate(self, request):
        raise NotImplementedError

    def unknown(self, request):
        raise NotImplementedError

    def refuse(self, refusal):
        raise NotImplementedError


def event_stream(pieces, headers=None):
    return Reply(200, b"", {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", **(headers or {})}, pieces=pieces)


__all__ = ["Keys", "Refusal", "Vendor", "event_stream", "json_reply"]
