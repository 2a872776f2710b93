"""Endpoints that an installation access token opens.

Docs: "Permissions required for GitHub Apps". A repository outside the token's
set is hidden (404, "Troubleshooting the REST API"); a permission that is
missing is named (403 "Resource not accessible by integration"). The token
never gives more than the installation still has.
"""

import base64
import binascii
import dataclasses
import typing

from . import render
from .message import ApiError, empty_reply, json_reply, number
from .routing import listing
from .world import LEVELS, level


@dataclasses.dataclass
class Bearer:
    token: typing.Any
    installation: typing.Any


def _credential(request):
    """From `Bearer`, `token`, or the password of `Basic`; None without any."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        return None
    if scheme.lower() in ("bearer", "token"):
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            pass
    raise ApiError(401, "Bad credentials")


def authenticate_optional(state, request):
    """Nobody is fine, but a credential that is sent has to be good."""
    value = _credential(request)
    if value is None:
        return None
    token = state.tokens.find(value)
    if token is None:
        raise ApiError(401, "Bad credentials")
    installation = state.world.installations[token.installation]
    if installation.suspended_at:
        raise ApiError(403, "This installation has been suspended")
    return Bearer(token, installation)


def authenticate(state, request):
    bearer = authenticate_optional(state, request)
    if bearer is None:
        raise ApiError(401, "Requires authentication")
    return bearer


def bucket(bearer):
    return ("installation", bearer.installation.id) if bearer else None


def _reachable(bearer):
    """Repositories by short name that are in both token and installation."""
    if bearer is None:
        return {}
    return {
        name: item
        for name, item in bearer.installation.repositories.items()
        if bearer.token.repositories is None or name in bearer.token.repositories
    }


def _repository(call, permission, wanted):
    """The repository of the path, if this caller may do this with it."""
    full_name = (call.args["owner"] + "/" + call.args["repo"]).lower()
    item = call.state.world.repositories.get(full_name)
    if item is None:
        raise ApiError(404, "Not Found")
    bearer = call.principal
    public_read = not item.private and wanted == "read"
    if public_read:
        return item
    if item not in _reachable(bearer).values():
        raise ApiError(404, "Not Found")
    held = min(
        level(bearer.token.permissions, permission),
        level(bearer.installation.permissions, permission),
    )
    if held < LEVELS[wanted]:
        raise ApiError(
            403,
            "Resource not accessible by integration",
            {"X-Accepted-GitHub-Permissions": f"{permission}={wanted}"},
        )
    return item


def revoke(call):
    """Docs: "Revoke an installation access token": 204, and it is gone."""
    call.principal.token.revoked = True
    return empty_reply(204)


def list_repositories(call):
    items = sorted(_reachable(call.principal).values(), key=lambda item: item.id)
    narrowed = call.principal.token.repositories is not None
    selection = "selected" if narrowed else call.principal.installation.selection
    return listing(
        call,
        items,
        lambda page: {
            "total_count": len(items),
            "repository_selection": selection,
            "repositories": [render.repository(item, call.request.base_url) for item in page],
        },
    )


def get_repository(call):
    item = _repository(call, "metadata", "read")
    return json_reply(200, render.repository(item, call.request.base_url))


def get_contents(call):
    item = _repository(call, "contents", "read")
    path = call.args.get("path", "").strip("/")
    ref = call.request.query.get("ref", "main")
    if ref not in ("main", "refs/heads/main", "HEAD"):
        raise ApiError(404, f"No commit found for the ref {ref}")
    if path in item.files:
        return json_reply(200, render.file_contents(item, path, call.request.base_url))
    entries = render.directory_contents(item, path, call.request.base_url)
    if entries is None:
        raise ApiError(404, "Not Found")
    return json_reply(200, entries)


def _issue(call, item, fields):
    return render.issue(item, fields, call.state.world.app["slug"], call.request.base_url)


def list_issues(call):
    item = _repository(call, "issues", "read")
    newest_first = item.issues[::-1]
    return listing(call, newest_first, lambda page: [_issue(call, item, fields) for fields in page])


def get_issue(call):
    item = _repository(call, "issues", "read")
    wanted = number(call.args["number"])
    for fields in item.issues:
        if fields["number"] == wanted:
            return json_reply(200, _issue(call, item, fields))
    raise ApiError(404, "Not Found")


def create_issue(call):
    item = _repository(call, "issues", "write")
    body = call.request.json_object()
    if not isinstance(body.get("title"), str) or not body["title"]:
        errors = [{"resource": "Issue", "code": "missing_field", "field": "title"}]
        raise ApiError(422, "Validation Failed", errors=errors)
    fields = item.add_issue(body["title"], body.get("body"), call.state.clock.now())
    answer = _issue(call, item, fields)
    return json_reply(201, answer, {"Location": answer["url"]})


def rate_limit(call):
    """Free of charge, and open to anonymous callers (docs: "Rate limit")."""
    status = call.state.limits.status(bucket(call.principal))
    return json_reply(200, {"resources": {"core": status}, "rate": status})


def register(router):
    def add(endpoint, method, path, handler, who=authenticate, free=False):
        router.add(endpoint, method, path, who, bucket, handler, free)

    anyone = authenticate_optional
    repo = "/repos/{owner}/{repo}"
    add("revoke", "DELETE", "/installation/token", revoke)
    add("repositories", "GET", "/installation/repositories", list_repositories)
    add("repo", "GET", repo, get_repository, anyone)
    add("contents", "GET", repo + "/contents", get_contents, anyone)
    add("contents", "GET", repo + "/contents/{path*}", get_contents, anyone)
    add("issues", "GET", repo + "/issues", list_issues, anyone)
    add("issue", "GET", repo + "/issues/{number}", get_issue, anyone)
    add("create_issue", "POST", repo + "/issues", create_issue, anyone)
    add("rate_limit", "GET", "/rate_limit", rate_limit, anyone, free=True)
