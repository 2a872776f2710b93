"""A small upstream with static API keys, for secrets that can only be injected.

`/static/echo` sends back what it was sent, the credential included: upstreams
that reflect credentials exist, and a proxy has to scrub what they say.
"""

from .message import ApiError, digest, json_reply


class StaticKeys:
    """Named keys; only their hashes are kept."""

    def __init__(self):
        self._names = {}

    def add(self, name, value):
        self._names[digest(value)] = name

    def remove(self, name):
        self._names = {key: other for key, other in self._names.items() if other != name}

    def name(self, value):
        return self._names.get(digest(value))

    def names(self):
        return sorted(self._names.values())


def authenticate(state, request):
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    name = state.static_keys.name(value) if scheme.lower() == "bearer" else None
    if name is None:
        raise ApiError(401, "invalid API key", {"WWW-Authenticate": 'Bearer realm="static"'})
    return name


def bucket(name):
    return ("static", name)


def whoami(call):
    return json_reply(200, {"name": call.principal})


def echo(call):
    request = call.request
    return json_reply(
        200,
        {
            "method": request.method,
            "target": request.target,
            "headers": [[name, value] for name, value in request.headers.items()],
            "body": request.body.decode("utf-8", "replace"),
        },
    )


def register(router):
    def add(endpoint, method, path, handler):
        router.add(endpoint, method, path, authenticate, bucket, handler, free=True)

    add("whoami", "GET", "/static/whoami", whoami)
    add("echo", "GET", "/static/echo", echo)
    add("echo", "POST", "/static/echo", echo)
