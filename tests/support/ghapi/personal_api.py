"""What GitHub does with personal access tokens, and with anybody's credentials that were found somewhere.

Docs: "Get the authenticated user"; "Scopes for OAuth apps" (X-OAuth-Scopes, of classic tokens);
"Managing your personal access tokens" (github-authentication-token-expiration); "Revoke a list of credentials"
(without authentication, 1 to 1,000 of them, 60 requests an hour, 202 and done later).
"""

import datetime
import re

from .message import ApiError, json_reply, Reply
from .repository_api import authenticate as authenticate_token

CREDENTIALS_MAX = 1000
REQUESTS_MAX = 60
HOUR = 3600
FORMS = re.compile(r"(ghp|gho|ghu|ghr)_[A-Za-z0-9]{36,76}|github_pat_[A-Za-z0-9_]{82}")


def _expiration(timestamp):
    return datetime.datetime.fromtimestamp(int(timestamp), datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def get_user(call):
    token = call.principal.token
    if token.kind == "installation":
        raise ApiError(403, "Resource not accessible by integration")
    headers = {}
    if token.kind == "classic":
        headers = {"X-OAuth-Scopes": ", ".join(token.scopes), "X-Accepted-OAuth-Scopes": ""}
    if token.expires_known:
        headers["github-authentication-token-expiration"] = _expiration(token.expires)
    return json_reply(200, {"login": "octocat", "id": 583231, "type": "User", "name": "The Octocat"}, headers)


def revoke_credentials(call):
    state, request = call.state, call.request
    if request.headers.get("Authorization"):
        raise ApiError(403, "This endpoint must be called without authentication.")
    now = state.clock.now()
    state.revocation_calls = [moment for moment in state.revocation_calls if moment > now - HOUR]
    if len(state.revocation_calls) >= REQUESTS_MAX:
        raise ApiError(429, "API rate limit exceeded", {"Retry-After": str(int(state.revocation_calls[0] + HOUR - now) + 1)})
    state.revocation_calls.append(now)
    given = request.json_object().get("credentials")
    if not isinstance(given, list) or not 0 < len(given) <= CREDENTIALS_MAX:
        raise ApiError(422, "Validation failed")
    if not all(isinstance(value, str) and FORMS.fullmatch(value) for value in given):
        raise ApiError(422, "Validation failed")
    for value in given:
        state.tokens.expose(value)
    return Reply(202, b"{}", {"Content-Type": "application/json; charset=utf-8"})


def _anybody(_state, _request):
    return None


def register(router):
    router.add("user", "GET", "/user", authenticate_token, lambda bearer: ("token", bearer.token.id), get_user)
    router.add("revoke_credentials", "POST", "/credentials/revoke", _anybody, lambda _: None, revoke_credentials, free=True)
