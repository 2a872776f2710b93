"""gitlab.com: access tokens of persons and projects, and as much of a project as shows what they may do.

Docs: https://docs.gitlab.com/api/rest/authentication/ (PRIVATE-TOKEN or Authorization: Bearer),
https://docs.gitlab.com/api/personal_access_tokens/ (self; rotate: the old one is revoked at once, and one that
was revoked and is asked to rotate revokes all that came of it; any scope may look at and revoke itself),
https://docs.gitlab.com/api/project_access_tokens/ (scopes, access_level, expires_at: a date, and the token is
dead when that day begins), https://docs.gitlab.com/api/projects/#get-a-single-project.
"""

import datetime
import re
import urllib.parse

from ghapi.clock import iso
from ghapi.message import ApiError, empty_reply, json_reply

from . import shapes
from .issued import Ledger
from .vendor import Refusal, Vendor

SCOPES = {
    "api", "read_api", "read_user", "read_repository", "write_repository", "read_registry", "write_registry",
    "create_runner", "ai_features", "k8s_proxy", "self_rotate",
}
PROJECT_SCOPES = SCOPES - {"read_user"}
ROLES = (10, 15, 20, 30, 40, 50)
MAINTAINER = 40
DAY = 86400
MAX_DAYS = 365
PREFIX = "/api/v4"


class GitLab(Vendor):
    name = "gitlab"
    hosts = ("gitlab.com",)
    routes = tuple(
        (endpoint, method, PREFIX + pattern, handler)
        for endpoint, method, pattern, handler in (
            ("self", "GET", "/personal_access_tokens/self", "get_self"),
            ("revoke", "DELETE", "/personal_access_tokens/self", "delete_self"),
            ("rotate", "POST", "/personal_access_tokens/self/rotate", "rotate_self"),
            ("project", "GET", "/projects/(?P<project>[^/]+)", "get_project"),
            ("mint", "POST", "/projects/(?P<project>[^/]+)/access_tokens", "create_token"),
            ("issues", "GET", "/projects/(?P<project>[^/]+)/issues", "list_issues"),
            ("create_issue", "POST", "/projects/(?P<project>[^/]+)/issues", "create_issue"),
        )
    )

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.ledger = Ledger(clock, self.name)
        # Number, path, and the role of the one user there is.
        self.projects = {11: ("octo/hello", 40), 12: ("octo/tools/deep", 50), 13: ("acme/rockets", 20)}
        self._number = 100

    # -- what tests do by hand

    def add_token(self, scopes=("api",), days=90, name="mcpcred", routable=True):
        """As in a user's preferences. `days` None: one of those that never expire, as there were."""
        return self._issue("personal", name, list(scopes), self._midnight(days), {"user_id": 7}, routable=routable)

    def _midnight(self, days):
        """The beginning of the day so many days on."""
        return None if days is None else (int(self.clock.now()) // DAY + days) * DAY

    def _issue(self, kind, name, scopes, expires, details, family=None, routable=True):
        value = shapes.gitlab(routable)
        self._number += 1
        details = {"scopes": scopes, **details}
        return value, self.ledger.issue(value, self._number, kind, name, expires, details, family)

    # -- who asks

    @staticmethod
    def _value(request):
        scheme, _, value = (request.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() == "bearer" and value:
            return value.strip()
        return request.headers.get("Private-Token")

    def authenticate(self, request):
        value = self._value(request)
        if not value:
            raise Refusal(401, None, "401 Unauthorized")
        if request.method == "POST" and request.path.endswith("/rotate"):
            self._detect_reuse(value)
        request.token = self.ledger.use(value)
        if request.token is None:
            known = self.ledger.look(value)
            if known is None:
                raise Refusal(401, "invalid_token", "The access token is invalid.")
            what = "was revoked" if known.revoked else "is expired"
            raise Refusal(401, "invalid_token", f"Token {what}. You have to re-authorize from the user.")

    def _detect_reuse(self, value):
        known = self.ledger.look(value)
        if known is not None and known.revoked:
            for other in self.ledger.all():
                other.revoked = other.revoked or other.family == known.family

    def unknown(self, _request):
        return Refusal(404, None, "404 Not Found")

    def refuse(self, refusal):
        if refusal.code:
            body = {"error": refusal.code, "error_description": refusal.message}
        else:
            body = {"message": refusal.message}
        return json_reply(refusal.status, body)

    # -- checks

    @staticmethod
    def _need(token, *scopes):
        if not set(scopes) & set(token.details["scopes"]):
            raise Refusal(403, "insufficient_scope", "The request requires higher privileges than provided by the access token.")

    def _project(self, request, project, least=10):
        wanted = urllib.parse.unquote(project)
        for number, (path, role) in self.projects.items():
            if wanted in (str(number), path):
                break
        else:
            raise Refusal(404, None, "404 Project Not Found")
        if request.token.kind == "project":
            role = request.token.details["access_level"] if request.token.details["project"] == number else 0
        if role == 0:
            raise Refusal(404, None, "404 Project Not Found")
        if role < least:
            raise Refusal(403, None, "403 Forbidden")
        return number, path, role

    def _body(self, request):
        try:
            return request.json_object()
        except ApiError as error:
            raise Refusal(400, None, error.message) from None

    def _expiry(self, body, default=None):
        text = body.get("expires_at")
        if text is None:
            if default is None:
                raise Refusal(400, None, "expires_at is missing")
            return default
        if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            raise Refusal(400, None, "expires_at is invalid")
        try:
            day = datetime.datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=datetime.timezone.utc).timestamp()
        except ValueError:
            raise Refusal(400, None, "expires_at is invalid") from None
        if day <= self.clock.now():
            raise Refusal(400, None, "Expires at must be in the future")
        if day > self._midnight(MAX_DAYS):
            raise Refusal(400, None, "Expires at must be before 365 days from now")
        return day

    # -- answers

    def _describe(self, token, value=None):
        """Entities::PersonalAccessToken, and with a value PersonalAccessTokenWithToken."""
        fields = {
            "id": token.id,
            "name": token.name,
            "revoked": token.revoked,
            "created_at": iso(token.created).replace("Z", ".000Z"),
            "description": None,
            "scopes": token.details["scopes"],
            "user_id": token.details["user_id"],
            "last_used_at": None,
            "active": token.state(self.clock.now()) == "alive",
            "expires_at": None if token.expires is None else iso(token.expires)[:10],
        }
        if "access_level" in token.details:
            fields["access_level"] = token.details["access_level"]
            fields["resource_type"], fields["resource_id"] = "project", token.details["project"]
        if value is not None:
            fields["token"] = value
        return fields

    def get_self(self, request):
        return json_reply(200, self._describe(request.token))

    def delete_self(self, request):
        request.token.revoked = True
        return empty_reply(204)

    def rotate_self(self, request):
        old = request.token
        self._need(old, "api", "self_rotate")
        expires = self._expiry(self._body(request), self._midnight(7))
        old.revoked = True
        value, made = self._issue(old.kind, old.name, old.details["scopes"], expires, old.details, old.family)
        reply = json_reply(200, self._describe(made, value))
        reply.on_delivered = lambda: setattr(made, "delivered", True)
        return reply

    def get_project(self, request, project):
        self._need(request.token, "api", "read_api")
        number, path, role = self._project(request, project)
        return json_reply(200, {
            "id": number,
            "name": path.rpartition("/")[2],
            "path": path.rpartition("/")[2],
            "path_with_namespace": path,
            "permissions": {"project_access": {"access_level": role}, "group_access": None},
        })

    def create_token(self, request, project):
        self._need(request.token, "api")
        number, _, role = self._project(request, project, MAINTAINER)
        if request.token.kind == "project":
            raise Refusal(403, None, "403 Forbidden")
        body = self._body(request)
        name, scopes, level = body.get("name"), body.get("scopes"), body.get("access_level", MAINTAINER)
        if not isinstance(name, str) or not name:
            raise Refusal(400, None, "name is missing")
        if not isinstance(scopes, list) or not scopes or not set(scopes) <= PROJECT_SCOPES:
            raise Refusal(400, None, "scopes does not have a valid value")
        if level not in ROLES:
            raise Refusal(400, None, "access_level does not have a valid value")
        if level > role:
            raise Refusal(400, None, "User does not have permission to create project access token with that access level")
        details = {"user_id": 1000 + self._number, "project": number, "access_level": level}
        value, made = self._issue("project", name, scopes, self._expiry(body), details)
        reply = json_reply(201, self._describe(made, value))
        reply.on_delivered = lambda: setattr(made, "delivered", True)
        return reply

    def list_issues(self, request, project):
        self._need(request.token, "api", "read_api")
        self._project(request, project)
        return json_reply(200, [])

    def create_issue(self, request, project):
        self._need(request.token, "api")
        number, _, _ = self._project(request, project)
        title = self._body(request).get("title")
        if not title:
            raise Refusal(400, None, "title is missing")
        return json_reply(201, {"id": 1, "iid": 1, "project_id": number, "title": title, "state": "opened"})
