"""Endpoints that an app calls with its JWT (docs: REST API, "Apps").

What a mint may ask for is in "Create an installation access token for an app":
at most 500 repositories, named without their owner or by id, and permissions
that do not exceed the installation's.
"""

from . import appjwt, render
from .clock import iso
from .message import ApiError, empty_reply, json_reply, number
from .routing import listing
from .world import level, LEVELS

MAX_REPOSITORIES = 500
STATELESS_HEADER = "X-GitHub-Stateless-S2S-Token"  # changelog of 2026-05-15
FORMS = {"enabled": "stateless", "disabled": "classic"}  # any other value is ignored
MISSING_REPOSITORY = (
    "There is at least one repository that does not exist or is not accessible to the parent "
    "installation."
)


def authenticate(state, request):
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value:
        raise ApiError(401, appjwt.UNDECODABLE)
    appjwt.verify(value.strip(), state.world.app, state.keys, state.clock.now())
    return state.world.app


def bucket(app):
    return ("app", app["id"])


def _installation(call):
    item = call.state.world.installations.get(number(call.args["id"]))
    if item is None:
        raise ApiError(404, "Not Found")
    return item


def get_app(call):
    return json_reply(200, render.app(call.state.world, call.request.base_url))


def list_installations(call):
    world = call.state.world
    items = [world.installations[key] for key in sorted(world.installations)]
    return listing(
        call,
        items,
        lambda page: [render.installation(world, item, call.request.base_url) for item in page],
    )


def _one_installation(call, item):
    return json_reply(200, render.installation(call.state.world, item, call.request.base_url))


def get_installation(call):
    return _one_installation(call, _installation(call))


def find_installation(call):
    """By organisation, user or repository."""
    owner, repo = call.args["owner"].lower(), call.args.get("repo")
    for item in call.state.world.installations.values():
        if item.account.lower() == owner and (repo is None or repo.lower() in item.repositories):
            return _one_installation(call, item)
    raise ApiError(404, "Not Found")


def suspend(call):
    _installation(call).suspended_at = call.state.clock.now()
    return empty_reply(204)


def unsuspend(call):
    _installation(call).suspended_at = None
    return empty_reply(204)


def _wanted_repositories(item, body):
    """Short names in lower case, or None when the request does not narrow."""
    if "repositories" not in body and "repository_ids" not in body:
        return None
    names, ids = body.get("repositories", []), body.get("repository_ids", [])
    if not isinstance(names, list) or not isinstance(ids, list):
        raise ApiError(422, "Invalid request. repositories must be an array.")
    if not names and not ids:
        # Not documented; refused, so that nobody comes to depend on a guess.
        raise ApiError(422, "Invalid request. No repositories were given.")
    if len(names) + len(ids) > MAX_REPOSITORIES:
        raise ApiError(422, "Invalid request. No more than 500 repositories can be given.")
    by_id = {repository.id: name for name, repository in item.repositories.items()}
    wanted = [name.lower() if isinstance(name, str) else None for name in names]
    wanted += [by_id.get(key) if isinstance(key, int) else None for key in ids]
    if any(name not in item.repositories for name in wanted):
        raise ApiError(422, MISSING_REPOSITORY)
    return sorted(set(wanted))


def _wanted_permissions(item, body):
    if "permissions" not in body:
        return dict(item.permissions)
    wanted = body["permissions"]
    if not isinstance(wanted, dict) or any(value not in list(LEVELS) for value in wanted.values()):
        raise ApiError(422, "Invalid request. permissions must be an object of access levels.")
    if any(level(wanted, name) > level(item.permissions, name) for name in wanted):
        raise ApiError(422, "The permissions requested are not granted to this installation.")
    return {**wanted, "metadata": wanted.get("metadata", "read")}


def mint(call):
    item = _installation(call)
    if item.suspended_at:
        raise ApiError(403, "This installation has been suspended")
    body = call.request.json_object()
    repositories = _wanted_repositories(item, body)
    permissions = _wanted_permissions(item, body)
    form = FORMS.get(call.request.headers.get(STATELESS_HEADER, ""))
    value, token = call.state.tokens.issue(item.id, permissions, repositories, form)
    answer = {
        "token": value,
        "expires_at": iso(token.expires),
        "permissions": permissions,
        "repository_selection": "selected" if repositories is not None else item.selection,
    }
    if repositories is not None:
        base_url = call.request.base_url
        answer["repositories"] = [
            render.repository(item.repositories[name], base_url) for name in repositories
        ]
    reply = json_reply(201, answer)
    reply.on_delivered = lambda: setattr(token, "delivered", True)
    return reply


def register(router):
    def add(endpoint, method, path, handler):
        router.add(endpoint, method, path, authenticate, bucket, handler)

    add("app", "GET", "/app", get_app)
    add("installations", "GET", "/app/installations", list_installations)
    add("installation", "GET", "/app/installations/{id}", get_installation)
    add("mint", "POST", "/app/installations/{id}/access_tokens", mint)
    add("suspend", "PUT", "/app/installations/{id}/suspended", suspend)
    add("unsuspend", "DELETE", "/app/installations/{id}/suspended", unsuspend)
    add("find_installation", "GET", "/orgs/{owner}/installation", find_installation)
    add("find_installation", "GET", "/users/{owner}/installation", find_installation)
    add("find_installation", "GET", "/repos/{owner}/{repo}/installation", find_installation)
