"""Requests and replies as the handlers see them, free of sockets."""

import dataclasses
import hashlib
import json
import typing

DOCUMENTATION = "https://docs.github.com/rest"


class ApiError(Exception):
    """A refusal with GitHub's error body (docs: troubleshooting the REST API)."""

    def __init__(self, status, message, headers=None, errors=None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}
        self.errors = errors

    def reply(self):
        body = {"message": self.message}
        if self.errors:
            body["errors"] = self.errors
        body["documentation_url"] = DOCUMENTATION
        body["status"] = str(self.status)
        return json_reply(self.status, body, self.headers)


@dataclasses.dataclass
class Request:
    method: str
    target: str  # as it came, with prefix and query
    prefix: str  # "" or "/api/v3"
    path: str  # without prefix and query, still percent-encoded
    query: dict
    headers: typing.Any  # case-insensitive mapping
    body: bytes
    token: typing.Any = None  # what a vendor's authentication found

    @property
    def base_url(self):
        return "https://" + self.headers.get("Host", "localhost") + self.prefix

    def json_object(self):
        """The body as an object; an absent body is an empty one."""
        if not self.body:
            return {}
        try:
            value = json.loads(self.body)
        except ValueError:
            raise ApiError(400, "Problems parsing JSON") from None
        if not isinstance(value, dict):
            raise ApiError(400, "Body should be a JSON object")
        return value


@dataclasses.dataclass
class Reply:
    status: int
    body: bytes
    headers: dict = dataclasses.field(default_factory=dict)
    raw: bool = False  # body is sent as it is, without any HTTP around it
    repeat: int = 1  # how many times body is sent: large replies cost no memory
    declared_length: typing.Optional[int] = None  # a Content-Length that lies
    close: bool = False
    pieces: typing.Optional[typing.Iterable] = None  # the body as chunks, each sent when it is there
    on_delivered: typing.Optional[typing.Callable] = None  # the last byte was written


def number(text):
    """A plain decimal number, and None for all else that int() would take."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def json_reply(status, value, headers=None):
    body = json.dumps(value, separators=(",", ":")).encode()
    fields = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    return Reply(status, body, fields)


def empty_reply(status):
    return Reply(status, b"")


def digest(secret):
    """What the records keep instead of a credential."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
