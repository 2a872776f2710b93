"""github.com: git over HTTPS, by git's own http-backend.

Docs: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation
("HTTP-based Git access": x-access-token and the token as the password, with the permission `contents`);
https://git-scm.com/docs/http-protocol (smart HTTP; "Authentication": 401 with WWW-Authenticate first, and
the client tries again), https://git-scm.com/docs/git-http-backend (the CGI).
"""

import os
import re
import subprocess

from ghapi.credential import credentials
from ghapi.message import digest
from ghapi.world import LEVELS, level

IDENTITY = "Stand-in <standin@example.test> 1700000000 +0000"
CHALLENGE = {"WWW-Authenticate": 'Basic realm="GitHub"', "Content-Type": "text/plain"}
SERVICE = re.compile(r"/(?P<owner>[^/]+)/(?P<repo>[^/]+?)(?:\.git)?/(?P<rest>info/refs|git-upload-pack|git-receive-pack)")


def _import_stream(files):
    """A first commit, as `git fast-import` takes it."""
    lines = [b"commit refs/heads/main\n", f"committer {IDENTITY}\n".encode(), b"data 6\nFirst\n\n"]
    for path, text in sorted(files.items()):
        data = text.encode()
        lines.append(b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(data), data))
    return b"".join(lines)


class GitHost:
    name = "git"
    hosts = ("github.com",)

    def __init__(self, directory, state):
        self.root = os.path.join(directory, "git")
        self.state = state
        for repository in state.world.repositories.values():
            self._create(repository)

    def path(self, full_name):
        return os.path.join(self.root, full_name.lower() + ".git")

    def _git(self, *arguments, data=None):
        environment = {"PATH": os.environ["PATH"], "HOME": self.root, "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *arguments], input=data, env=environment, check=True, stdout=subprocess.DEVNULL)

    def _create(self, repository):
        path = self.path(repository.full_name)
        os.makedirs(path)
        self._git("init", "--quiet", "--bare", "--initial-branch=main", path)
        self._git("-C", path, "config", "http.receivepack", "true")
        self._git("-C", path, "fast-import", "--quiet", data=_import_stream(repository.files))

    def endpoint_of(self, _method, target):
        match = SERVICE.match(target)
        if match is None:
            return "git.unknown"
        return "git." + ("push" if "receive-pack" in target else "fetch")

    def _level(self, exchange):
        """What the request may do with its repository's contents; None: it said nobody's name."""
        found = [value for place, value in credentials(exchange.headers) if place == "basic"]
        if not found:
            return None
        with self.state.lock:
            token = self.state.tokens.find(found[0])
            if token is None:
                return None
            exchange.record["key"] = digest(found[0])
            match = SERVICE.fullmatch(exchange.path)
            installation = self.state.world.installations[token.installation]
            name = match["repo"].lower()
            reachable = token.repositories is None or name in token.repositories
            item = installation.repositories.get(name)
            if installation.suspended_at or not reachable or item is None or item.owner.lower() != match["owner"].lower():
                return 0
            return min(level(token.permissions, "contents"), level(installation.permissions, "contents"))

    def serve(self, exchange):
        match = SERVICE.fullmatch(exchange.path)
        if match is None:
            exchange.reply(404, b"Not Found\n", {"Connection": "close"})
            exchange.close()
            return
        held = self._level(exchange)
        wanted = LEVELS["write" if "receive-pack" in exchange.target else "read"]
        if exchange.headers.get("Expect"):
            exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b"".join(exchange.body())
        if held is None:
            exchange.reply(401, b"Repository not found.\n", CHALLENGE)
        elif held < LEVELS["read"]:
            exchange.reply(404, b"Repository not found.\n")
        elif held < wanted:
            exchange.reply(403, b"Write access to repository not granted.\n")
        else:
            self._backend(exchange, match, body)

    def _backend(self, exchange, match, body):
        headers = exchange.headers
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.root,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": self.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{match['owner'].lower()}/{match['repo'].lower()}.git/{match['rest']}",
            "QUERY_STRING": exchange.target.partition("?")[2],
            "REQUEST_METHOD": exchange.method,
            "CONTENT_TYPE": headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
            "REMOTE_USER": "x-access-token",
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_COMMITTER_NAME": "stand-in",
            "GIT_COMMITTER_EMAIL": "standin@example.test",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
        status = int(fields.pop("Status", "200").split()[0])
        exchange.reply(status, rest, fields)
