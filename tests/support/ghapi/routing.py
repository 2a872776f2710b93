"""Which handler answers which path, who may call it, and what it costs."""

import dataclasses
import re
import typing
import urllib.parse

from .message import ApiError, json_reply, number, Reply

ENTERPRISE = "/api/v3"


@dataclasses.dataclass
class Call:
    """One request on its way through a handler."""

    state: typing.Any
    request: typing.Any
    principal: typing.Any  # what the route's authentication returned
    args: dict


@dataclasses.dataclass
class Route:
    endpoint: str  # the name that faults, waits and records use
    method: str
    pattern: typing.Pattern
    authenticate: typing.Callable  # (state, request) -> principal, or ApiError
    bucket: typing.Callable  # principal -> key of its rate limit, None for anonymous
    handler: typing.Callable
    free: bool = False  # costs nothing of the primary rate limit


class Router:
    def __init__(self):
        self._routes = []

    def add(self, endpoint, method, path, authenticate, bucket, handler, free=False):
        pattern = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.*)", path)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
        self._routes.append(
            Route(endpoint, method, re.compile(pattern), authenticate, bucket, handler, free)
        )

    def find(self, request):
        for route in self._routes:
            match = route.pattern.fullmatch(request.path)
            if match and route.method == request.method:
                groups = match.groupdict().items()
                return route, {name: urllib.parse.unquote(text) for name, text in groups}
        return None, {}

    def endpoint(self, request):
        route, _ = self.find(request)
        return route.endpoint if route else "unknown"

    def dispatch(self, state, request):
        """The reply to a request, refusals included."""
        headers = {}
        try:
            reply = self._dispatch(state, request, headers)
        except ApiError as error:
            reply = error.reply()
        reply.headers = {**headers, **reply.headers}
        return reply

    def _dispatch(self, state, request, headers):
        if not request.headers.get("User-Agent"):
            return _no_user_agent()
        route, args = self.find(request)
        if route is None:
            raise ApiError(404, "Not Found")
        try:
            principal = route.authenticate(state, request)
        except ApiError:
            headers.update(state.limits.headers(None))
            raise
        bucket = route.bucket(principal)
        if not route.free:
            state.limits.charge(bucket)
        headers.update(state.limits.headers(bucket))
        return route.handler(Call(state, request, principal, args))


class Mounted:
    """A vendor under a path of another host's, as GitLab can be installed."""

    def __init__(self, vendor, prefix):
        self._vendor = vendor
        self._prefix = prefix

    def _inner(self, request):
        return dataclasses.replace(request, path=request.path[len(self._prefix) :])

    def endpoint(self, request):
        return self._vendor.endpoint(self._inner(request))

    def dispatch(self, state, request):
        return self._vendor.dispatch(state, self._inner(request))


def _no_user_agent():
    """Docs: "Getting started with the REST API", User agent required."""
    text = (
        "Request forbidden by administrative rules. Please make sure your request has a "
        "User-Agent header.\n"
    )
    return Reply(403, text.encode(), {"Content-Type": "text/html; charset=utf-8"})


def split_target(target):
    """(prefix, path, query) of a request target in origin form."""
    path, _, query = target.partition("?")
    prefix = ""
    if path.startswith(ENTERPRISE + "/"):
        prefix, path = ENTERPRISE, path[len(ENTERPRISE) :]
    return prefix, path, dict(urllib.parse.parse_qsl(query, keep_blank_values=True))


def _positive(query, name, default):
    return number(query.get(name, "")) or default


def paginate(request, items):
    """(page, headers). Docs: "Using pagination in the REST API"."""
    size = min(_positive(request.query, "per_page", 30), 100)
    page = _positive(request.query, "page", 1)
    last = max(1, -(-len(items) // size))
    links = []

    def link(target, relation):
        query = urllib.parse.urlencode({**request.query, "per_page": size, "page": target})
        links.append(f'<{request.base_url}{request.path}?{query}>; rel="{relation}"')

    if page > 1:
        link(page - 1, "prev")
    if page < last:
        link(page + 1, "next")
        link(last, "last")
    if page > 1:
        link(1, "first")
    headers = {"Link": ", ".join(links)} if links else {}
    return items[(page - 1) * size : page * size], headers


def listing(call, items, wrap=lambda page: page):
    page, headers = paginate(call.request, items)
    return json_reply(200, wrap(page), headers)
