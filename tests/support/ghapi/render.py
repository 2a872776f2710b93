"""The JSON shapes of the REST API's objects (docs: REST API reference).

Complete enough for clients that validate what they get against a schema.
"""

import base64
import hashlib
import secrets

from .clock import iso

EPOCH = "2025-01-01T00:00:00Z"


def account(login, kind="Organization"):
    number = int(hashlib.sha256(login.encode()).hexdigest()[:6], 16)
    return {
        "login": login,
        "id": number,
        "node_id": f"ACC_{number}",
        "avatar_url": f"https://avatars.githubusercontent.com/u/{number}",
        "url": f"https://api.github.com/users/{login}",
        "html_url": f"https://github.com/{login}",
        "type": kind,
        "site_admin": False,
    }


def app(world, base_url):
    fields = world.app
    return {
        "id": fields["id"],
        "client_id": fields["client_id"],
        "slug": fields["slug"],
        "node_id": f"APP_{fields['id']}",
        "name": fields["name"],
        "owner": account(fields["owner"]),
        "external_url": "https://example.com",
        "html_url": f"{base_url}/apps/{fields['slug']}",
        "created_at": EPOCH,
        "updated_at": EPOCH,
        "installations_count": len(world.installations),
        "events": [],
    }


def installation(world, item, base_url):
    return {
        "id": item.id,
        "account": account(item.account, item.type),
        "access_tokens_url": f"{base_url}/app/installations/{item.id}/access_tokens",
        "repositories_url": f"{base_url}/installation/repositories",
        "app_id": world.app["id"],
        "client_id": world.app["client_id"],
        "app_slug": world.app["slug"],
        "target_type": item.type,
        "permissions": item.permissions,
        "events": [],
        "repository_selection": item.selection,
        "created_at": EPOCH,
        "updated_at": EPOCH,
        "suspended_at": iso(item.suspended_at) if item.suspended_at else None,
        "suspended_by": account(item.account, item.type) if item.suspended_at else None,
    }


def repository(item, base_url):
    web = f"https://github.com/{item.full_name}"
    return {
        "id": item.id,
        "node_id": f"R_{item.id}",
        "name": item.name,
        "full_name": item.full_name,
        "private": item.private,
        "owner": account(item.owner),
        "html_url": web,
        "description": None,
        "fork": False,
        "url": f"{base_url}/repos/{item.full_name}",
        "git_url": f"git://github.com/{item.full_name}.git",
        "ssh_url": f"git@github.com:{item.full_name}.git",
        "clone_url": f"{web}.git",
        "created_at": EPOCH,
        "updated_at": EPOCH,
        "pushed_at": EPOCH,
        "default_branch": "main",
        "archived": False,
        "visibility": "private" if item.private else "public",
    }


def _blob_sha(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(item, path, kind, sha, size, base_url):
    url = f"{base_url}/repos/{item.full_name}/contents/{path}?ref=main"
    html = f"https://github.com/{item.full_name}/{'blob' if kind == 'file' else 'tree'}/main/{path}"
    git = f"{base_url}/repos/{item.full_name}/git/{'blobs' if kind == 'file' else 'trees'}/{sha}"
    download = None
    if kind == "file":
        download = f"https://raw.githubusercontent.com/{item.full_name}/main/{path}"
        if item.private:
            # The real API signs the link of a private file: a credential of its own.
            download += "?token=" + secrets.token_hex(14).upper()
    return {
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        "size": size,
        "url": url,
        "html_url": html,
        "git_url": git,
        "download_url": download,
        "type": kind,
        "_links": {"self": url, "git": git, "html": html},
    }


def _wrapped(data):
    """Base64 in lines of 60 characters, each with its newline, as GitHub does it."""
    text = base64.b64encode(data).decode()
    return "".join(text[start : start + 60] + "\n" for start in range(0, len(text), 60))


def file_contents(item, path, base_url):
    data = item.files[path].encode()
    entry = _entry(item, path, "file", _blob_sha(data), len(data), base_url)
    return {**entry, "content": _wrapped(data), "encoding": "base64"}


def directory_contents(item, path, base_url):
    """None unless there is such a directory."""
    start = path + "/" if path else ""
    entries = {}
    for name, text in sorted(item.files.items()):
        if not name.startswith(start):
            continue
        child, _, rest = name[len(start) :].partition("/")
        data = text.encode()
        if rest:
            sha = hashlib.sha1((start + child).encode()).hexdigest()
            entries[child] = _entry(item, start + child, "dir", sha, 0, base_url)
        else:
            entries[child] = _entry(item, name, "file", _blob_sha(data), len(data), base_url)
    if not entries and path:
        return None
    return list(entries.values())


def issue(item, fields, slug, base_url):
    url = f"{base_url}/repos/{item.full_name}/issues/{fields['number']}"
    return {
        "url": url,
        "repository_url": f"{base_url}/repos/{item.full_name}",
        "labels_url": url + "/labels{/name}",
        "comments_url": url + "/comments",
        "events_url": url + "/events",
        "html_url": f"https://github.com/{item.full_name}/issues/{fields['number']}",
        "id": item.id * 1000 + fields["number"],
        "node_id": f"I_{item.id}_{fields['number']}",
        "number": fields["number"],
        "title": fields["title"],
        "user": account(slug + "[bot]", "Bot"),
        "labels": [],
        "state": "open",
        "locked": False,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": 0,
        "created_at": iso(fields["time"]),
        "updated_at": iso(fields["time"]),
        "closed_at": None,
        "body": fields["body"],
    }
