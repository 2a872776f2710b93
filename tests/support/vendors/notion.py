"""api.notion.com: who a token is, search, and a page.

Docs: https://developers.notion.com/reference/authentication (Authorization: Bearer),
https://developers.notion.com/reference/versioning (Notion-Version is required),
https://developers.notion.com/reference/status-codes (401 unauthorized, 400 missing_version, 404 object_not_found),
https://developers.notion.com/reference/post-search, https://developers.notion.com/reference/get-self.
"""

from .vendor import Refusal, Vendor, json_reply

BOT = {"object": "user", "id": "0b8f2f4e-3d0c-4f68-9d0a-2f7c1c5a9a01", "type": "bot", "name": "Stand-in", "avatar_url": None, "bot": {}}


class Notion(Vendor):
    name = "notion"
    hosts = ("api.notion.com",)
    routes = (
        ("self", "GET", "/v1/users/me", "get_self"),
        ("search", "POST", "/v1/search", "search"),
        ("page", "GET", "/v1/pages/(?P<page>[^/]+)", "page"),
    )

    def authenticate(self, request):
        if not self.presented(request, "bearer"):
            raise Refusal(401, "unauthorized", "API token is invalid.")
        if not request.headers.get("Notion-Version"):
            raise Refusal(400, "missing_version", "Notion-Version header failed validation: Notion-Version header should be defined, instead was `undefined`.")

    def unknown(self, _request):
        return Refusal(400, "invalid_request_url", "Invalid request URL.")

    def refuse(self, refusal):
        return json_reply(refusal.status, {"object": "error", "status": refusal.status, "code": refusal.code, "message": refusal.message})

    def get_self(self, _request):
        return json_reply(200, BOT)

    def search(self, request):
        query = request.json_object().get("query", "")
        page = {"object": "page", "id": "7d2c1f00-0000-4000-8000-000000000001", "url": f"https://www.notion.so/{len(query)}", "properties": {}}
        return json_reply(200, {"object": "list", "results": [page], "next_cursor": None, "has_more": False, "type": "page_or_database", "page_or_database": {}})

    def page(self, _request, page):
        raise Refusal(404, "object_not_found", f"Could not find page with ID: {page}.")
