"""api.search.brave.com: web search.

Docs: https://api-dashboard.search.brave.com/documentation/quickstart (GET /res/v1/web/search, key in
X-Subscription-Token), https://api-dashboard.search.brave.com/app/documentation/web-search/responses.
A bad key gets 422 with SUBSCRIPTION_TOKEN_INVALID, in the service's own form of an error.
"""

from .vendor import Refusal, Vendor, json_reply


class Brave(Vendor):
    name = "brave"
    hosts = ("api.search.brave.com",)
    routes = (("web", "GET", "/res/v1/web/search", "web"),)

    def authenticate(self, request):
        if not self.presented(request, "x-subscription-token"):
            raise Refusal(422, "SUBSCRIPTION_TOKEN_INVALID", "The provided subscription token is invalid.")

    def unknown(self, _request):
        return Refusal(404, "NOT_FOUND", "The requested resource was not found.")

    def refuse(self, refusal):
        error = {"code": refusal.code, "detail": refusal.message, "status": refusal.status}
        return json_reply(refusal.status, {"type": "ErrorResponse", "error": error})

    def web(self, request):
        query = request.query.get("q", "")
        if not 1 <= len(query) <= 400:
            raise Refusal(422, "VALIDATION", "Unable to validate request parameter(s)")
        result = {
            "type": "search_result",
            "title": f"About {query}",
            "url": "https://www.example.com/",
            "description": f"All there is to say about {query}.",
        }
        return json_reply(
            200,
            {
                "type": "search",
                "query": {"original": query, "more_results_available": False},
                "web": {"type": "search", "results": [result], "family_friendly": True},
            },
        )
