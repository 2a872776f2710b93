"""What exists on the stand-in: one app, its installations, their repositories.

A test may pass its own world as JSON of the same shape.
"""

import copy

LEVELS = {"read": 1, "write": 2, "admin": 3}

DEFAULT = {
    "app": {"id": 1001, "slug": "standin-app", "name": "Stand-in App", "owner": "octo"},
    "installations": [
        {
            "id": 42,
            "account": "octo",
            "type": "Organization",
            "permissions": {
                "contents": "write",
                "issues": "write",
                "metadata": "read",
                "pull_requests": "read",
            },
            "repositories": ["hello", "world", "plans"],
        },
        {
            "id": 43,
            "account": "acme",
            "type": "Organization",
            "permissions": {"contents": "read", "metadata": "read"},
            "repositories": ["rockets"],
        },
    ],
    "files": {
        "octo/hello": {
            "README.md": "Hello from octo/hello\n",
            "src/main.c": "int main(void) { return 0; }\n",
        },
        "octo/plans": {"README.md": "Nobody else may read this\n"},
        "acme/rockets": {"README.md": "Rockets\n"},
    },
    "issues": {"octo/hello": [{"title": "First issue", "body": "It says hello twice."}]},
    "public": [],
}


class Repository:
    def __init__(self, number, owner, name, private, files, issues):
        self.id = number
        self.owner = owner
        self.name = name
        self.full_name = owner + "/" + name
        self.private = private
        self.files = files
        self.issues = []
        for issue in issues:
            self.add_issue(issue["title"], issue.get("body"), 0)

    def add_issue(self, title, body, now):
        issue = {"number": len(self.issues) + 1, "title": title, "body": body, "time": now}
        self.issues.append(issue)
        return issue


class Installation:
    def __init__(self, spec, repositories):
        self.id = spec["id"]
        self.account = spec["account"]
        self.type = spec.get("type", "Organization")
        self.permissions = dict(spec["permissions"])
        self.selection = spec.get("selection", "selected")
        self.repositories = repositories  # by short name
        self.suspended_at = None


class World:
    def __init__(self, spec=None):
        spec = copy.deepcopy(spec or DEFAULT)
        self.app = spec["app"]
        # The Client ID has the older of the two documented forms.
        self.app.setdefault("client_id", "Iv1." + format(self.app["id"], "016x"))
        self.installations = {}
        self.repositories = {}  # by full name in lower case: GitHub ignores case
        for item in spec["installations"]:
            own = {}
            for name in item["repositories"]:
                repository = self._repository(spec, item["account"], name)
                own[name.lower()] = repository
                self.repositories[repository.full_name.lower()] = repository
            self.installations[item["id"]] = Installation(item, own)

    def _repository(self, spec, owner, name):
        full = owner + "/" + name
        return Repository(
            5000 + len(self.repositories),
            owner,
            name,
            full not in spec.get("public", []),
            spec.get("files", {}).get(full, {}),
            spec.get("issues", {}).get(full, []),
        )


def level(permissions, name):
    """The rank of a permission, 0 when it is absent."""
    return LEVELS.get(permissions.get(name), 0)
