"""The side of the stand-in that only tests use.

JSON over HTTP on a Unix socket: POST /<verb> with an object of arguments, for
instance `curl --unix-socket S -d '{"seconds": 3600}' http://admin/age_tokens`.
A Unix socket, because a sandbox that can reach the loopback must not reach this.
Every answer is an object; an error is {"error": "..."} with status 400.
"""

import http.server
import inspect
import json
import os
import socketserver


class Verbs:
    """Each method that does not start with an underscore is a verb."""

    def __init__(self, state):
        self._state = state

    # -- what happened

    def tokens(self, state=None, after=0):
        """Those issued behind the one with the id `after`."""
        now = self._state.clock.now()
        chosen = [token for token in self._state.tokens.all() if token.id > after and state in (None, token.state(now))]
        return {"tokens": [token.record(now) for token in chosen]}

    def credentials(self, vendor=None, state=None):
        """All that was issued, whoever by: what is alive there, for one."""
        now = self._state.clock.now()
        tokens = self._state.tokens.all() if vendor in (None, "github") else ()
        github = [{"vendor": "github", **token.record(now)} for token in tokens]
        others = [issued.record(now) for issuer in self._state.issuers.values() for issued in issuer.ledger.all()]
        chosen = [item for item in github + others if vendor in (None, item["vendor"]) and state in (None, item["state"])]
        return {"credentials": chosen}

    def requests(self, endpoint=None):
        records = self._state.journal.requests
        return {"requests": [item for item in records if endpoint in (None, item["endpoint"])]}

    def connections(self):
        return {"connections": self._state.journal.connections}

    def counts(self):
        return {"counts": self._state.journal.counts()}

    def wait(self, endpoint, count=1, phase="arrived", timeout=10):
        """Returns when `count` requests, since the start, have reached the phase."""
        reached = self._state.journal.wait(endpoint, phase, count, timeout)
        return {"reached": reached, "count": self._state.journal.count(endpoint, phase)}

    def reset(self):
        """As if just started, but for the world and its keys; what is under way is not waited for."""
        self._state.faults.release()
        self._state.journal.reset()
        self._state.forget()
        return {}

    # -- the app and its installations

    def keys(self):
        return {"keys": self._state.keys.fingerprints()}

    def add_key(self, pem):
        return {"fingerprint": self._state.keys.add(pem)}

    def remove_key(self, fingerprint):
        self._state.keys.remove(fingerprint)
        return {}

    def _installation(self, number):
        if number not in self._state.world.installations:
            raise ValueError("no such installation")
        return self._state.world.installations[number]

    def suspend(self, installation):
        self._installation(installation).suspended_at = self._state.clock.now()
        return {}

    def unsuspend(self, installation):
        self._installation(installation).suspended_at = None
        return {}

    def set_permissions(self, installation, permissions):
        """Tokens that are out lose at once what the installation loses."""
        self._installation(installation).permissions = dict(permissions)
        return {}

    def remove_repository(self, installation, name):
        if self._installation(installation).repositories.pop(name.lower(), None) is None:
            raise ValueError("no such repository")
        return {}

    # -- tokens and time

    def set_tokens(self, lifetime=None, token_format=None, lag=None):
        """How the tokens to come are made. `lag`: for how many requests one that was reported is still good."""
        tokens = self._state.tokens
        tokens.lifetime = tokens.lifetime if lifetime is None else lifetime
        tokens.form = tokens.form if token_format is None else token_format
        tokens.lag = tokens.lag if lag is None else lag
        return {}

    def add_personal_token(self, value, installation=42, permissions=None, repositories=None, scopes=None, seconds=31536000):
        """As if a user had made one, fine-grained; without permissions it has the installation's.

        With `scopes` it is a classic one. `seconds` null: it never expires."""
        held = permissions or self._installation(installation).permissions
        return {"id": self._state.tokens.adopt(value, installation, dict(held), repositories, scopes, seconds).id}

    def _issuer(self, vendor):
        if vendor not in self._state.issuers:
            raise ValueError("no such issuer")
        return self._state.issuers[vendor]

    def add_issued(self, vendor, **options):
        """A token that a user made by hand at GitLab or Cloudflare; its value is in this answer alone."""
        value, issued = self._issuer(vendor).add_token(**options)
        return {"value": value, "id": issued.id}

    def kill_issued(self, vendor, id):
        """Revoked by somebody else."""
        issued = self._issuer(vendor).ledger.by_id(id)
        if issued is None:
            raise ValueError("no such token")
        issued.revoked = True
        return {}

    def only_issued(self, vendor, ids):
        """These are alive and no other, whatever had happened to them: a test goes back to where it was."""
        for issued in self._issuer(vendor).ledger.all():
            issued.revoked = str(issued.id) not in [str(id) for id in ids]
        return {}

    def kill_token(self, id):
        """The upstream revokes a token by itself, as after a leak."""
        for token in self._state.tokens.all():
            if token.id == id:
                token.revoked = True
                return {}
        raise ValueError("no such token")

    def age_tokens(self, seconds):
        """Tokens that are out get older; the clock, and so the JWTs, stay."""
        self._state.tokens.age(seconds)
        return {}

    def advance_clock(self, seconds):
        """The whole stand-in moves: a client's JWT may then be too old for it."""
        self._state.clock.advance(seconds)
        return {"now": self._state.clock.now()}

    # -- the static upstream

    def static_keys(self):
        return {"names": self._state.static_keys.names()}

    def add_static_key(self, name, value):
        self._state.static_keys.add(name, value)
        return {}

    def remove_static_key(self, name):
        self._state.static_keys.remove(name)
        return {}

    # -- faults

    def faults(self):
        return {"faults": self._state.faults.records()}

    def fault(self, endpoint, kind, **options):
        return {"id": self._state.faults.add(endpoint, kind, **options).id}

    def release(self, id=None):
        """Lets go what the fault holds and removes it; without id, all of them."""
        self._state.faults.release(id)
        return {}


def run(state, verb, arguments):
    verbs = state.verbs(state)
    method = None if verb.startswith("_") else getattr(verbs, verb, None)
    if method is None:
        raise ValueError(f"no such verb: {verb}")
    try:
        inspect.signature(method).bind(**arguments)
    except TypeError as error:
        raise ValueError(f"{verb}: {error}") from None
    # `wait` gives the lock up while it waits.
    with state.lock:
        return json.dumps(method(**arguments)).encode()


class Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def do_POST(self):
        try:
            length = int(self.headers.get("Content-Length", 0))
            arguments = json.loads(self.rfile.read(length) or b"{}")
            if not isinstance(arguments, dict):
                raise ValueError("arguments are an object")
            status, body = 200, run(self.server.state, self.path.strip("/"), arguments)
        except (ValueError, TypeError) as error:
            status, body = 400, json.dumps({"error": str(error)}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path, state):
        self.state = state
        if os.path.exists(path):
            os.unlink(path)
        mask = os.umask(0o077)
        try:
            super().__init__(path, Connection)
        finally:
            os.umask(mask)
