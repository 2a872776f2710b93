"""api.cloudflare.com: a user's API tokens, which make and delete one another.

Docs: https://developers.cloudflare.com/api/resources/user/subresources/tokens/ (verify, get, list, create,
delete), https://developers.cloudflare.com/fundamentals/api/how-to/create-via-api/ ("API Tokens Write"; the value
is shown once; times to the second), https://developers.cloudflare.com/fundamentals/api/reference/permissions/.
Errors have codes: 1000 "Invalid API Token", 9109 "Unauthorized to access requested resource", 1001 and 400 for
what is not valid, 1003 and 404 for a token that there is not.
"""

import datetime
import re
import secrets

from ghapi.clock import iso
from ghapi.message import ApiError, json_reply, number

from . import shapes
from .issued import Ledger
from .vendor import Refusal, Vendor

USER = "com.cloudflare.api.user." + "7c5dae5552338874e5053f2534d2767a"
ZONE = "com.cloudflare.api.account.zone." + "eb78d65290b24279ba6f44721b3ea3c4"
GROUPS = {
    "API Tokens Write": "686d18d5ac6c441c867cbf6771e58a0a",
    "Account API Tokens Write": "5bc3f8b21c554832afc660159ab75fa4",
    "API Tokens Read": "0cc3a61731504c89b99ec1be78b77aa0",
    "DNS Read": "82e64a83756745bbbb1c9c2701bf816b",
    "DNS Write": "4755a26eedb94da69e1066d98aa820be",
    "Zone Read": "c8fed203ed3043cba015a93ad1616f1f",
}
NAMES = {identifier: name for name, identifier in GROUPS.items()}
NAME_MAX = 120
PAGE_MAX = 50
PREFIX = "/client/v4"
# A user's tokens, or those that belong to an account.
OWNER = "/(?:user|accounts/(?P<account>[0-9a-f]{32}))"


def policy(resource, *groups):
    return {
        "id": secrets.token_hex(16),
        "effect": "allow",
        "resources": {resource: "*"},
        "permission_groups": [{"id": GROUPS[group], "name": group} for group in groups],
    }


class Cloudflare(Vendor):
    name = "cloudflare"
    hosts = ("api.cloudflare.com",)
    routes = tuple(
        (endpoint, method, PREFIX + pattern, handler)
        for endpoint, method, pattern, handler in (
            ("verify", "GET", OWNER + "/tokens/verify", "verify"),
            ("list", "GET", OWNER + "/tokens", "list_tokens"),
            ("create", "POST", OWNER + "/tokens", "create"),
            ("get", "GET", OWNER + "/tokens/(?P<identifier>[0-9a-f]{32})", "get_token"),
            ("delete", "DELETE", OWNER + "/tokens/(?P<identifier>[0-9a-f]{32})", "delete"),
            ("zones", "GET", "/zones", "list_zones"),
        )
    )

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.ledger = Ledger(clock, self.name)

    # -- what tests do by hand

    def add_token(self, name="mcpcred", groups=("API Tokens Write",), zone_groups=("DNS Read",), seconds=None, condition=None, account=None):
        policies = [policy(USER, *groups)] if groups else []
        policies += [policy(ZONE, *zone_groups)] if zone_groups else []
        expires = None if seconds is None else int(self.clock.now()) + seconds
        return self._issue(name, policies, condition, expires, account)

    def _issue(self, name, policies, condition, expires, account):
        value = shapes.cloudflare()
        details = {"policies": policies, "condition": condition, "account": account}
        return value, self.ledger.issue(value, secrets.token_hex(16), "user", name, expires, details)

    # -- who asks

    def authenticate(self, request):
        scheme, _, value = (request.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not value:
            raise Refusal(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
        request.token = self.ledger.use(value.strip())
        if request.token is None:
            raise Refusal(401, 1000, "Invalid API Token")

    def unknown(self, _request):
        return Refusal(404, 7000, "No route for that URI")

    def refuse(self, refusal):
        error = {"code": refusal.code, "message": refusal.message}
        return json_reply(refusal.status, {"success": False, "errors": [error], "messages": [], "result": None})

    def _groups(self, token):
        return {group["name"] for item in token.details["policies"] for group in item["permission_groups"]}

    def _need(self, request, account, *groups):
        """Of the owner's kind, and of that owner."""
        if request.token.details["account"] != account:
            raise Refusal(403, 9109, "Unauthorized to access requested resource")
        groups = [("Account " if account and group.startswith("API ") else "") + group for group in groups]
        if not set(groups) & self._groups(request.token):
            raise Refusal(403, 9109, "Unauthorized to access requested resource")

    # -- answers

    @staticmethod
    def _result(result, **more):
        return json_reply(200, {"success": True, "errors": [], "messages": [], "result": result, **more})

    def _describe(self, token, value=None):
        state = token.state(self.clock.now())
        fields = {
            "id": token.id,
            "name": token.name,
            "status": {"alive": "active", "expired": "expired", "revoked": "disabled"}[state],
            "issued_on": iso(token.created),
            "modified_on": iso(token.created),
            "policies": token.details["policies"],
        }
        if token.expires is not None:
            fields["expires_on"] = iso(token.expires)
        if token.details["condition"]:
            fields["condition"] = token.details["condition"]
        if value is not None:
            fields["value"] = value
        return fields

    def verify(self, request, account=None):
        if request.token.details["account"] != account:
            raise Refusal(401, 1000, "Invalid API Token")
        fields = {"id": request.token.id, "status": "active"}
        if request.token.expires is not None:
            fields["expires_on"] = iso(request.token.expires)
        return self._result(fields)

    def _token(self, identifier, account):
        token = self.ledger.by_id(identifier)
        if token is None or token.revoked or token.details["account"] != account:
            raise Refusal(404, 1003, "Invalid or missing token")
        return token

    def get_token(self, request, identifier, account=None):
        self._need(request, account, "API Tokens Read", "API Tokens Write")
        return self._result(self._describe(self._token(identifier, account)))

    def list_tokens(self, request, account=None):
        self._need(request, account, "API Tokens Read", "API Tokens Write")
        there = [token for token in self.ledger.all() if not token.revoked and token.details["account"] == account]
        size = number(request.query.get("per_page", "20")) or 0
        page = number(request.query.get("page", "1")) or 0
        if not 5 <= size <= PAGE_MAX or page < 1:
            raise Refusal(400, 1001, "Invalid pagination")
        shown = there[(page - 1) * size : page * size]
        info = {"page": page, "per_page": size, "count": len(shown), "total_count": len(there)}
        return self._result([self._describe(token) for token in shown], result_info=info)

    def delete(self, request, identifier, account=None):
        self._need(request, account, "API Tokens Write")
        self._token(identifier, account).revoked = True
        return self._result({"id": identifier})

    def _policy(self, given):
        if not isinstance(given, dict) or given.get("effect") not in ("allow", "deny"):
            raise Refusal(400, 1001, "Invalid policy effect")
        resources, groups = given.get("resources"), given.get("permission_groups")
        if not isinstance(resources, dict) or not resources or not all(name.startswith("com.cloudflare.") for name in resources):
            raise Refusal(400, 1001, "Invalid policy resources")
        if not isinstance(groups, list) or not groups or any(set(item) - {"id", "meta"} or item.get("id") not in NAMES for item in groups):
            raise Refusal(400, 1001, "Invalid permission group")
        named = [{"id": item["id"], "name": NAMES[item["id"]]} for item in groups]
        return {"id": secrets.token_hex(16), "effect": given["effect"], "resources": resources, "permission_groups": named}

    def _moment(self, text):
        if text is None:
            return None
        if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
            raise Refusal(400, 1001, "Invalid expires_on")
        moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
        if moment <= self.clock.now():
            raise Refusal(400, 1001, "expires_on must be in the future")
        return moment

    def _condition(self, given):
        if given is not None and (not isinstance(given, dict) or set(given) - {"request_ip"}):
            raise Refusal(400, 1001, "Invalid condition")
        return given

    def create(self, request, account=None):
        self._need(request, account, "API Tokens Write")
        try:
            body = request.json_object()
        except ApiError as error:
            raise Refusal(400, 6007, error.message) from None
        unknown = set(body) - {"name", "policies", "condition", "expires_on", "not_before"}
        if unknown:
            raise Refusal(400, 1001, f"Unknown field {sorted(unknown)[0]}")
        name, policies = body.get("name"), body.get("policies")
        if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX:
            raise Refusal(400, 1001, "Invalid token name")
        if not isinstance(policies, list) or not policies:
            raise Refusal(400, 1001, "Token must have at least one policy")
        made = [self._policy(item) for item in policies]
        condition, expires = self._condition(body.get("condition")), self._moment(body.get("expires_on"))
        value, token = self._issue(name, made, condition, expires, account)
        reply = self._result(self._describe(token, value))
        reply.on_delivered = lambda: setattr(token, "delivered", True)
        return reply

    def list_zones(self, request):
        self._need(request, request.token.details["account"], "Zone Read", "DNS Read", "DNS Write")
        return self._result([{"id": ZONE.rpartition(".")[2], "name": "example.test", "status": "active"}])
