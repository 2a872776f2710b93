"""Misbehaviour on order: what an upstream or a network can do to a client.

A fault applies to one endpoint (or `*`), lets `skip` requests pass, then hits
`count` of them (0: all). `when` says whether the request's work is done before
the fault strikes: a reply lost after the work is the case that matters most.

kind            options (default)
delay           when (before): holds the request until it is released
hang            when (before): holds it, and then closes without an answer
drop            when (before), reset (false): closes without an answer
status          when (before), status (500), body, headers
error_body      when (before), body ({"error": ...}): 200 with an error in it
garbage         when (before), bytes ("..."): no HTTP at all
content_type    value (text/html): the real reply under a wrong type
truncate        the real reply's head, and half of its body
huge_body       when (before), size (104857600), status (200)
rate_limit      when (before), status (403), reset (60), retry_after, form (delta)
secondary_limit when (before), status (403), retry_after (60), form (delta)
unauthorized    when (before): 401 Bad credentials

`retry_after` is in seconds; `form` is `delta` or `date` (RFC 9110 10.2.3);
null leaves the header out. On the endpoint `connect`, where there is no request
yet, `delay`, `hang` and `drop` act before the TLS handshake.
"""

import dataclasses
import select
import socket

from .clock import http_date
from .message import ApiError, json_reply, Reply

CHUNK = b" " * 65536
NEEDS_REPLY = {"content_type", "truncate"}
CONNECT_KINDS = {"delay", "hang", "drop"}


class Drop(Exception):
    """Close this connection now, and say nothing."""

    def __init__(self, reset=False):
        super().__init__("dropped")
        self.reset = reset


class Gate:
    """Holds requests until it is opened; notices clients that leave meanwhile.

    A client has left when its end of the TCP connection is closed. That is seen
    without reading from the connection, so nothing that is in it gets lost.
    """

    def __init__(self):
        self._read, self._write = socket.socketpair()

    def open(self):
        self._write.close()

    def wait(self, connection):
        """True when the gate was opened, False when the client left."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        poll.register(connection, select.POLLRDHUP)
        return any(fd == self._read.fileno() for fd, _ in poll.poll())


class Fault:
    def __init__(self, number, endpoint, kind, count=1, skip=0, when="before", **options):
        if kind not in KINDS:
            raise ValueError(f"unknown kind of fault: {kind}")
        if when not in ("before", "after"):
            raise ValueError("when is before or after")
        if endpoint == "connect" and kind not in CONNECT_KINDS:
            raise ValueError(f"no {kind} before there is a request")
        unknown = set(options) - KINDS[kind][1]
        if unknown:
            raise ValueError(f"{kind} has no option {', '.join(sorted(unknown))}")
        self.id = number
        self.endpoint = endpoint
        self.kind = kind
        self.count = count
        self.skip = skip
        self.when = "after" if kind in NEEDS_REPLY else when
        self.options = options
        self.hits = 0
        self.gate = Gate()

    def matches(self, endpoint):
        return self.endpoint == endpoint or (self.endpoint == "*" and endpoint != "connect")

    def spent(self):
        return self.count > 0 and self.hits >= self.count

    def strike(self, state, connection, reply):
        return KINDS[self.kind][0](self, state, connection, reply)

    def record(self):
        names = ("id", "endpoint", "kind", "count", "skip", "when", "options", "hits")
        return {name: getattr(self, name) for name in names}


class Faults:
    def __init__(self):
        self._faults = []
        self._number = 0

    def add(self, endpoint, kind, **options):
        self._number += 1
        fault = Fault(self._number, endpoint, kind, **options)
        self._faults.append(fault)
        return fault

    def take(self, endpoint):
        """The first fault that wants this request, counted as used."""
        for fault in self._faults:
            if not fault.matches(endpoint) or fault.spent():
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.hits += 1
            return fault
        return None

    def release(self, number=None):
        """Opens the gate of one fault, or of all, and takes it out of use."""
        chosen = [fault for fault in self._faults if number in (None, fault.id)]
        if number is not None and not chosen:
            raise ValueError("no such fault")
        for fault in chosen:
            self._faults.remove(fault)
            fault.gate.open()

    def records(self):
        return [fault.record() for fault in self._faults]


def _delay(fault, _state, connection, reply):
    if not fault.gate.wait(connection):
        raise Drop()
    return reply


def _hang(fault, _state, connection, _reply):
    fault.gate.wait(connection)
    raise Drop()


def _drop(fault, _state, _connection, _reply):
    raise Drop(reset=fault.options.get("reset", False))


def _status(fault, _state, _connection, _reply):
    options = fault.options
    status = options.get("status", 500)
    if "body" not in options:
        return ApiError(status, "Server Error", options.get("headers")).reply()
    body = options["body"]
    if not isinstance(body, str):
        return json_reply(status, body, options.get("headers"))
    return Reply(status, body.encode(), {"Content-Type": "text/html", **options.get("headers", {})})


def _error_body(fault, _state, _connection, _reply):
    """As GitHub's OAuth endpoints and others do: an error behind a 200."""
    default = {"error": "bad_verification", "error_description": "It went wrong."}
    return json_reply(200, fault.options.get("body", default))


def _garbage(fault, _state, _connection, _reply):
    text = fault.options.get("bytes", "\x00\x01\x02 this is not HTTP \r\n\r\n\xff\xfe")
    return Reply(0, text.encode("latin-1"), raw=True, close=True)


def _content_type(fault, _state, _connection, reply):
    return dataclasses.replace(
        reply, headers={**reply.headers, "Content-Type": fault.options.get("value", "text/html")}
    )


def _truncate(_fault, _state, _connection, reply):
    return dataclasses.replace(
        reply,
        body=reply.body[: len(reply.body) // 2],
        declared_length=len(reply.body),
        close=True,
        on_delivered=None,
    )


def _huge_body(fault, _state, _connection, _reply):
    size = fault.options.get("size", 100 << 20)
    return Reply(
        fault.options.get("status", 200),
        CHUNK,
        {"Content-Type": "application/json; charset=utf-8"},
        repeat=-(-size // len(CHUNK)),
    )


def _retry_after(options, state, default):
    seconds = options.get("retry_after", default)
    if seconds is None:
        return {}
    if options.get("form", "delta") == "date":
        return {"Retry-After": http_date(state.clock.now() + seconds)}
    return {"Retry-After": str(seconds)}


def _rate_limit(fault, state, _connection, _reply):
    options = fault.options
    reset = int(state.clock.now()) + options.get("reset", 60)
    headers = {
        "x-ratelimit-limit": "5000",
        "x-ratelimit-used": "5000",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(reset),
        "x-ratelimit-resource": "core",
        **_retry_after(options, state, None),
    }
    return ApiError(options.get("status", 403), "API rate limit exceeded", headers).reply()


def _secondary_limit(fault, state, _connection, _reply):
    headers = {"x-ratelimit-remaining": "4000", **_retry_after(fault.options, state, 60)}
    message = "You have exceeded a secondary rate limit. Please wait before you try again."
    return ApiError(fault.options.get("status", 403), message, headers).reply()


def _unauthorized(_fault, _state, _connection, _reply):
    return ApiError(401, "Bad credentials").reply()


KINDS = {
    "delay": (_delay, set()),
    "hang": (_hang, set()),
    "drop": (_drop, {"reset"}),
    "status": (_status, {"status", "body", "headers"}),
    "error_body": (_error_body, {"body"}),
    "garbage": (_garbage, {"bytes"}),
    "content_type": (_content_type, {"value"}),
    "truncate": (_truncate, set()),
    "huge_body": (_huge_body, {"size", "status"}),
    "rate_limit": (_rate_limit, {"status", "reset", "retry_after", "form"}),
    "secondary_limit": (_secondary_limit, {"status", "retry_after", "form"}),
    "unauthorized": (_unauthorized, set()),
}
