"""What is cut off. One class an operation; to add one is to say how it is prepared, done, and what must be true of its own
facts whatever went wrong (invariants.py has what must be true of all).

    secrets(broker, upstream)  once, before the state is saved that each point starts from
    prepare(run)               in the point's own broker, before anything goes wrong
    perform(run)               the operation, as a client; what it raises is the client's answer
    check(run)                 afterwards: was the answer honest, and is what it promised so?
"""

import hashlib
import http.client
import os
import socket
import ssl

from harness import wait_until
from rig import PATIENCE, Wrong, require
from varlink import SESSION, CallError, Client, Closed, sealed_value

REPOSITORY = "/api/v3/repos/octo/hello"
STATIC_KEYS = ("static-key-" + "1" * 20, "static-key-" + "2" * 20)

PROFILES = """
[profile gh]
secret = github
repositories = octo/hello
permissions = contents:read, issues:read
ttl = 1h
deliver = env
env = GITHUB_TOKEN

[profile gh-other]
secret = github
repositories = octo/hello
permissions = contents:read
ttl = 1h
deliver = env
env = GITHUB_TOKEN

[profile gh-socket]
secret = github
repositories = octo/hello, octo/world
permissions = contents:write, issues:write
ttl = 1h
deliver = socket

[profile gh-proxy]
secret = github
repositories = octo/hello
permissions = contents:read, issues:read
ttl = 1h
deliver = proxy
env = GITHUB_TOKEN
allow = GET localhost:{port} /api/v3/repos/octo/hello/**
addresses = 127.0.0.0/8, ::1/128
slot = authorization

[profile api]
secret = api
ttl = 1h
deliver = proxy
env = API_KEY
allow = GET,POST localhost:{port} /static/**
addresses = 127.0.0.0/8, ::1/128
slot = bearer
"""

# The client cannot know what became of what it asked for.
UNKNOWN = ("closed", "Unavailable", "UpstreamUnknown", "Timeout")


def sha256_hex(text):
    return hashlib.sha256(text.encode()).hexdigest()


def is_refused(broker, session):
    """Whether it is given nothing, be it written down as ended or not yet."""
    try:
        broker.call("GetToken", {"session": session})
    except CallError as error:
        return error.name in ("Expired", "Revoked", "NotFound")
    return False


def nobody_listens(path):
    """It is removed, or, where that failed, a file and no more."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
        except OSError:
            return True
    return False


def nobody_has_one(run):
    rows = run.broker.sessions()
    return all(row["state"] == "ended" or is_refused(run.broker, session) for session, row in rows.items())


class _ProxyConnection(http.client.HTTPConnection):
    """TLS through CONNECT on the session's Unix socket."""

    def __init__(self, session, port):
        super().__init__("localhost", port, timeout=2 * PATIENCE)
        self._session = session
        self.context = ssl.create_default_context(cafile=session.reply["ca"])

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(self.timeout)
        sock.connect(self._session.reply["proxy_socket"])
        sock.sendall(f"CONNECT localhost:{self.port} HTTP/1.1\r\nHost: localhost:{self.port}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = sock.recv(1)
            if not byte:
                raise ConnectionError(f"CONNECT: {head!r}")
            head += byte
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(f"CONNECT: {head!r}")
        self.sock = self.context.wrap_socket(sock, server_hostname="localhost")


def ask_by_proxy(session, port, path, token):
    """Status, or None where the connection ends."""
    try:
        connection = _ProxyConnection(session, port)
    except (OSError, ssl.SSLError):  # its authority's file is gone with the session
        return None
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "User-Agent": "test"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


# Each step in each way; killed and cut off at each step; that, of the two roles that serve a sandbox; nothing.
FULL, STEPS, SANDBOX, LONG = "full", "steps", "sandbox", "long"


class Operation:
    name = None
    profiles = PROFILES
    roles = ("vault", "keyring", "supervisor", "gate", "provider")
    survives_start = False  # the broker is started by the operation itself
    # What of it every run of the tests does; --long does everything of all.
    level = LONG

    def secrets(self, broker, upstream):
        broker.add_github(upstream.github)

    def prepare(self, run):
        pass

    def perform(self, run):
        raise NotImplementedError

    def check(self, run):
        pass

    def probe(self, run):
        """The stored secret works: what is minted from it now is accepted."""
        session = run.broker.open("gh")
        run.require_alive(session.token)
        run.delivered.append(session.token)
        return session


# -- mint


def open_for(run, profile):
    """As a launcher does: its connection is the lifeline, and it goes where the answer was none."""
    client = run.broker.client()
    try:
        session = run.broker.open(profile, client=client)
    except BaseException:
        client.close()
        raise
    run.keep(client)
    return session


def was_cut_off(run, session):
    """A gate that dies between its answer and its word that it was delivered: the session ends, as its client sees."""
    if not run.fault.kills("gate") or run.supervisor_died or run.broker.sessions()[session.id]["state"] == "live":
        return False
    require(run.hangs_up(), "the session was ended, and its client is not told")
    return True


class MintOpen(Operation):
    """OpenSession with a token by environment."""

    name = "mint-open"
    level = FULL

    def perform(self, run):
        session = open_for(run, "gh")
        run.delivered.append(session.token)
        return session

    def check(self, run):
        sessions = run.broker.sessions()
        if run.succeeded:
            session = run.answer
            self.was_minted(run, session)
            if not was_cut_off(run, session) and not run.supervisor_died:
                require(sessions[session.id]["state"] == "live", "the session that was answered is not live")
                run.require_alive(session.token)
                require(run.broker.get_token(session) == session.token, "its token is another one now")
            return
        run.wait(lambda: nobody_has_one(run), "a session that nobody got stays")
        if run.error not in UNKNOWN:
            run.wait(lambda: not run.live_upstream(but_unrecoverable=True), "it said no, and a token stays alive")

    def was_minted(self, run, session):
        lines = [line["operation"] for line in run.audit() if line.get("session") == session.id]
        for wanted in ("session.open", "token.intent", "token.mint"):
            require(wanted in lines, f"a token was delivered, and the log has no {wanted}")


class MintSocket(Operation):
    """GetToken by a session's own process."""

    name = "mint-socket"
    level = SANDBOX
    roles = ("vault", "keyring", "supervisor", "gate", "provider", "session")

    def prepare(self, run):
        run.session = run.broker.open("gh-socket", want_descriptor=True)
        run.inside = run.keep(Client(fd=run.session.descriptor, interface=SESSION, timeout=run.patience()))

    def perform(self, run):
        token = run.inside.call("GetToken")["token"]
        run.delivered.append(token)
        return token

    def check(self, run):
        if run.supervisor_died:
            return
        require(run.broker.sessions()[run.session.id]["state"] == "live", "the session did not survive")
        if run.fault.kills("session"):
            # The descriptor outlives the process, but not the call that was under way: that has to be asked again.
            run.delivered.append(run.inside.call("GetToken")["token"])
        again = run.retry(lambda: run.broker.get_token(run.session))
        run.delivered.append(again)
        run.require_alive(again)
        if run.succeeded:
            run.require_alive(run.answer)
            require(again == run.answer, "there is another token than was answered")


class MintProxy(Operation):
    """A session by proxy, and its first request: the session's process and an egress are started, a token is minted and
    supplied."""

    name = "mint-proxy"
    level = SANDBOX
    roles = ("vault", "keyring", "supervisor", "gate", "provider", "session", "egress")

    def perform(self, run):
        run.session = session = open_for(run, "gh-proxy")
        status = ask_by_proxy(session, run.github.port, REPOSITORY, session.token)
        return status

    def check(self, run):
        if not run.succeeded:
            run.wait(lambda: nobody_has_one(run), "a session that nobody got stays")
            return
        require(run.answer in (200, None, 502, 503), f"the request was answered with {run.answer}")
        if run.supervisor_died or was_cut_off(run, run.session):
            return
        require(run.broker.sessions()[run.session.id]["state"] == "live", "the session that was answered is not live")
        run.wait(lambda: ask_by_proxy(run.session, run.github.port, REPOSITORY, run.session.token) == 200,
                 "the handle does not work again")


# -- revoke


class Revoking(Operation):
    """Of two sessions one is revoked, and the other one lives on."""

    roles = ("vault", "keyring", "supervisor", "gate", "provider")
    hits_all = False

    def prepare(self, run):
        run.gone = run.broker.open("gh")
        run.stays = run.broker.open("gh-other")
        run.delivered += [run.gone.token, run.stays.token]

    def selector(self, run):
        return {"session": run.gone.id}

    def perform(self, run):
        return run.broker.revoke(**self.selector(run))

    def refused(self, run, session):
        """Whether what the client holds is refused here."""
        try:
            token = run.broker.get_token(session)
        except CallError as error:
            require(error.name in ("Expired", "Revoked", "NotFound"), f"it is refused as {error.name}: {error.message}")
            return True
        run.delivered.append(token)
        return False

    def check(self, run):
        answer = run.answer if run.succeeded else None
        if answer is None:
            # Whoever got no answer asks again; so does, for a state that could not be written, the broker itself.
            if "ended here" in run.message:
                require(self.refused(run, run.gone), "it said that it ended here, and it did not")
            answer = run.retry(lambda: run.broker.revoke(**self.selector(run)))
        self.is_honest(run, answer)
        require(self.refused(run, run.gone), "what was revoked is given out")
        run.wait(lambda: nobody_listens(run.gone.path), "the revoked session's socket stays", timeout=10)
        self.upstream_refuses(run, answer)
        self.others_go_on(run)
        # Who asked again behind a start finds what that start has ended.
        wanted = ("revoke", "session.end") if run.supervisor_died else ("revoke",)
        require(any(line["operation"] in wanted for line in run.audit()), "the log knows of no revocation")

    def is_honest(self, run, answer):
        for row in answer["credentials"]:
            require(row["outcome"] in ("confirmed", "pending", "none"), f"its outcome is {row['outcome']}")
        states = {row["lease"]: row["state"] for row in run.broker.leases()}
        for row in answer["credentials"]:
            if row["outcome"] == "confirmed":
                require(states[row["lease"]] == "revoked", f"confirmed, and its lease is {states[row['lease']]}")
        pending = [row for row in answer["credentials"] if row["outcome"] == "pending"]
        require(answer["pending"] == bool(pending), "the answer contradicts itself")

    def upstream_refuses(self, run, answer):
        confirmed = {row["lease"] for row in answer["credentials"] if row["outcome"] == "confirmed"}
        mine = {row["lease"] for row in run.broker.leases(session=run.gone.id)}
        if mine & confirmed:
            run.require_dead(run.gone.token)
        run.revoked.append(run.gone.token)

    def others_go_on(self, run):
        if self.hits_all or run.supervisor_died:
            return
        require(run.broker.sessions()[run.stays.id]["state"] == "live", "another session ended with it")
        run.require_alive(run.stays.token)
        require(run.broker.get_token(run.stays) == run.stays.token, "another session's token changed")


class RevokeSession(Revoking):
    name = "revoke-session"
    level = FULL


class RevokeProfile(Revoking):
    name = "revoke-profile"

    def selector(self, run):
        return {"profile": "gh"}


class RevokeAll(Revoking):
    """Both sessions, and a token that was got by a socket."""

    name = "revoke-all"
    hits_all = True
    roles = Revoking.roles + ("session",)

    def prepare(self, run):
        super().prepare(run)
        run.third = run.broker.open("gh-socket", want_descriptor=True)
        run.inside = run.keep(Client(fd=run.third.descriptor, interface=SESSION, timeout=run.patience()))
        run.delivered.append(run.inside.call("GetToken")["token"])

    def selector(self, run):
        return {"all": True}

    def check(self, run):
        super().check(run)
        require(self.refused(run, run.stays) and self.refused(run, run.third), "of all, one is given out")
        run.revoked += [token for token in run.delivered if token not in run.revoked]


class RevokeToken(Revoking):
    """One credential by its value; its session goes on."""

    name = "revoke-token"

    def selector(self, run):
        return {"token_hash": sha256_hex(run.gone.token)}

    def check(self, run):
        answer = run.answer if run.succeeded else run.retry(lambda: run.broker.revoke(**self.selector(run)))
        self.is_honest(run, answer)
        self.upstream_refuses(run, answer)
        if not run.supervisor_died:
            require(run.broker.sessions()[run.gone.id]["state"] == "live", "the whole session ended")
            other = run.retry(lambda: run.broker.get_token(run.gone))
            run.delivered.append(other)
            require(other != run.gone.token, "what was revoked is given out")
        self.others_go_on(run)


class RevokeProxy(Revoking):
    """A session by proxy with a live connection: the egress is cut."""

    name = "revoke-proxy"
    level = SANDBOX
    roles = ("vault", "keyring", "supervisor", "gate", "provider", "session", "egress")

    def prepare(self, run):
        run.gone = run.broker.open("gh-proxy")
        run.stays = run.broker.open("gh-other")
        run.delivered.append(run.stays.token)
        require(self.by_proxy(run) == 200, "the proxy does not work before")

    def by_proxy(self, run):
        return ask_by_proxy(run.gone, run.github.port, REPOSITORY, run.gone.token)

    def check(self, run):
        super().check(run)
        uses = run.uses_upstream()
        require(self.by_proxy(run) in (None, 403, 502, 503), "a revoked handle passes")
        require(run.uses_upstream() == uses, "something left with what was revoked")

    def upstream_refuses(self, run, answer):
        pass  # the credential is unknown to whoever has the handle


# -- rotate


class Rotating(Operation):
    """Guided: the new value is made upstream by hand, and pasted."""

    name = "rotate-guided"
    level = STEPS
    secret = "github"

    def prepare(self, run):
        upstream = run.upstream
        run.old_print, run.new_print = upstream.app_key_prints()
        run.stays = run.broker.open("gh")
        run.delivered.append(run.stays.token)

    def value(self, run):
        with open(run.upstream.next_app_key, "rb") as file:
            return file.read()

    def perform(self, run):
        return run.broker.rotate(self.value(run), name=self.secret)

    def row(self, run):
        [row] = [row for row in run.broker.rows("ListSecrets", "secrets") if row["name"] == self.secret]
        return {"rotation": None, **row}

    def ended(self, run):
        """The secret's row, once its rotation is over, by itself."""
        run.wait(lambda: self.row(run)["rotation"] in (None, "needs_human"), "the rotation does not end")
        return self.row(run)

    def check(self, run):
        row = self.ended(run)
        require(not row["rotation"], "a person is asked for, who is not needed")
        require(row["generation"] in (1, 2), f"the generation is {row['generation']}")
        if run.succeeded:
            require(run.answer[-1] == "done" and row["generation"] == 2, "it said done, and is not")
        elif run.error not in UNKNOWN and run.error != "AuditUnavailable" and not run.restarted:
            require(row["generation"] == 1, f"it said {run.error}: {run.message}, and switched")
        self.in_use_works(run)
        self.only_that_one(run, row["generation"])
        lines = [line["reason"] for line in run.audit() if line["operation"] == "secret.rotate"]
        if row["generation"] == 2:
            for wanted in ("planned", "stored", "verified", "switched"):
                require(wanted in lines, f"it was rotated, and the log has no {wanted}")

    def in_use_works(self, run):
        session = run.retry(lambda: self.probe(run))
        run.retry(lambda: run.broker.revoke(session=session.id))

    def only_that_one(self, run, generation):
        """The upstream forgets the other one: so it shows which is in use."""
        with run.upstream.only_app_key(run.new_print if generation == 2 else run.old_print):
            self.in_use_works(run)


class RotateStatic(Rotating):
    """Of a key that nobody can be asked about; what is in use shows by the proxy."""

    name = "rotate-static"
    level = LONG
    secret = "api"
    roles = ("vault", "keyring", "supervisor", "gate")

    def secrets(self, broker, upstream):
        broker.add("api", "static", STATIC_KEYS[0].encode(), hosts=[f"localhost:{upstream.github.port}"])

    def prepare(self, run):
        pass

    def value(self, run):
        return STATIC_KEYS[1].encode()

    def probe(self, run):
        session = run.broker.open("api")
        status = ask_by_proxy(session, run.github.port, "/static/whoami", session.environment["API_KEY"])
        require(status == 200, f"the key in use is answered with {status}")
        return session

    def only_that_one(self, run, generation):
        with run.upstream.only_static_key(STATIC_KEYS[generation - 1]):
            self.in_use_works(run)


class Replace(Rotating):
    """`add --replace`: a key over another one."""

    name = "replace"
    level = LONG

    def perform(self, run):
        key = self.value(run)
        parameters = {"app_id": str(run.github.app_id), "installation_id": "42"}
        run.broker.add("github", "github_app", key, base_url=run.github.enterprise_url, parameters=parameters, verify=True,
                       replace=True)
        return ["done"]

    def check(self, run):
        row = self.ended(run)
        if run.succeeded:
            require(row["generation"] == 2, "it said done, and is not")
        self.in_use_works(run)
        self.only_that_one(run, row["generation"])


# -- rotate, by the provider


class RotateCloudflare(Rotating):
    """A new one is made, and the old one deleted: both live for a while."""

    name = "rotate-cloudflare"
    level = FULL
    secret = vendor = "cloudflare"
    making = "cloudflare.create"
    profiles = """
[profile cf]
secret = cloudflare
env = CLOUDFLARE_API_TOKEN
allow = GET localhost:{port} /cloudflare/client/v4/zones
addresses = 127.0.0.0/8, ::1/128
slot = bearer
"""

    def secrets(self, broker, upstream):
        value = upstream.issue(self.vendor)
        base_url = getattr(upstream.github, self.vendor + "_url")
        hosts = {"hosts": [f"localhost:{upstream.github.port}"]} if self.vendor == "cloudflare" else {}
        broker.add(self.vendor, self.vendor, value.encode(), base_url=base_url, verify=True, **hosts)

    def prepare(self, run):
        run.made = run.github.count(self.making)

    def perform(self, run):
        with run.broker.client() as client:
            return [reply["step"] for reply in client.stream("Rotate", {"name": self.vendor})]

    def probe(self, run):
        session = run.broker.open("cf")
        path = "/cloudflare/client/v4/zones"
        status = ask_by_proxy(session, run.github.port, path, session.environment["CLOUDFLARE_API_TOKEN"])
        require(status == 200, f"the token in use is answered with {status}")
        return session

    def alive(self, run):
        """The secret's own values that the upstream accepts."""
        return [item["id"] for item in run.github.credentials(self.vendor, "alive") if item["kind"] != "project"]

    def check(self, run):
        row = self.ended(run)
        require(run.github.count(self.making) <= run.made + self.most_made, "it was asked for several")
        if row["rotation"]:
            self.may_need_a_human(run, row)
            return
        require(row["generation"] in (1, 2), f"the generation is {row['generation']}")
        if run.succeeded:
            # One that is told of nothing but waiting is told at last that it goes on without them.
            require(run.answer[-1] in ("done", "waiting"), f"its last word is {run.answer[-1]}")
            require(run.answer[-1] == "waiting" or row["generation"] == 2, "it said done, and is not")
        self.in_use_works(run)
        # One is in use; any other is the old one or a lost one, and its revocation is under way.
        # What becomes of a lost one is found out a while after the rotation was given up.
        run.wait(lambda: self.others_are_known(run), "a value that is not in use is alive, and nobody revokes it")
        lines = [line["reason"] for line in run.audit() if line["operation"] == "secret.rotate"]
        if row["generation"] == 2:
            for wanted in ("planned", "created", "stored", "verified", "switched", "done"):
                require(wanted in lines, f"it was rotated, and the log has no {wanted}")

    def others_are_known(self, run):
        pending = len(run.broker.leases(state="revoking"))
        return len(self.alive(run)) - 1 <= pending

    most_made = 1

    def may_need_a_human(self, run, row):
        raise Wrong("a person is asked for, who is not needed")


class RotateGitlab(RotateCloudflare):
    """Making the new one kills the old one: where its answer is lost, a person is asked for."""

    name = "rotate-gitlab"
    secret = vendor = "gitlab"
    making = "gitlab.rotate"
    profiles = """
[profile gl]
secret = gitlab
repositories = octo/hello
permissions = api:read
ttl = 1h
deliver = env
env = GITLAB_TOKEN
"""

    def probe(self, run):
        return run.broker.open("gl")

    def may_need_a_human(self, run, row):
        original = run.upstream.issued[self.vendor]
        require(original not in self.alive(run), "a person is asked for, and the old value works")
        require(row["generation"] == 1, "a person is asked for, and it switched")
        require(not run.succeeded, "it said done, and asks for a person")
        require(self.loses_replies(run), "a person is asked for, and no answer can have been lost")
        run.needs_human = True

    @staticmethod
    def loses_replies(run):
        """The answer went to a process that died, to nobody, or came broken."""
        return run.fault.loses_replies()


# -- a start with everything half done


class Start(Operation):
    """The broker died with an open intent, a revocation and a rotation under way; it is started, and that start is cut
    off in turn."""

    name = "start"
    level = STEPS
    survives_start = True
    roles = ("vault", "keyring", "supervisor", "gate", "provider")

    def prepare(self, run):
        github, broker = run.github, run.broker
        run.old_print, run.new_print = run.upstream.app_key_prints()
        run.gone = broker.open("gh")
        run.stays = broker.open("gh-other")
        run.delivered += [run.gone.token, run.stays.token]
        mints, revokes = github.count("mint", "worked"), github.count("revoke")
        faults = [github.fault("mint", "delay", when="after"), github.fault("revoke", "delay"), github.fault("app", "delay")]
        clients = [run.keep(broker.client()) for _ in range(3)]
        clients[0].send("OpenSession", {"grants": [{"profile": "gh"}], "lifeline": "lifetime"})
        github.wait("mint", mints + 1, phase="worked")
        clients[1].send("Revoke", {"session": run.gone.id})
        github.wait("revoke", revokes + 1)
        with open(run.upstream.next_app_key, "rb") as file, sealed_value(file.read()) as sealed:
            clients[2].send("Rotate", {"name": "github"}, [sealed.fileno()], more=True)
        wait_until(lambda: self.row(run)["rotation"] == "stored", "the rotation does not begin")
        run.kill_supervisor()
        for fault in faults:
            github.release(fault)

    def row(self, run):
        [row] = run.broker.rows("ListSecrets", "secrets")
        return {"rotation": None, **row}

    def perform(self, run):
        wait_until(lambda: run.broker.supervisor_is_dead() or self.is_ready(run), "it does not start")
        if run.broker.supervisor_is_dead():
            raise ConnectionError("the supervisor has ended")

    @staticmethod
    def is_ready(run):
        try:
            return run.broker.status()["store_state"] == "ready"
        except (CallError, Closed, OSError):
            return False

    def check(self, run):
        run.revoked += [run.gone.token, run.stays.token]
        for session in run.gone, run.stays:
            try:
                run.delivered.append(run.broker.get_token(session))
                raise Wrong("a session of an earlier run is given a token")
            except CallError as error:
                require(error.name == "Expired", f"it is refused as {error.name}")
        run.wait(lambda: not self.row(run)["rotation"], "the rotation does not end")
        generation = self.row(run)["generation"]
        with run.upstream.only_app_key(run.new_print if generation == 2 else run.old_print):
            session = run.retry(lambda: self.probe(run))
            run.retry(lambda: run.broker.revoke(session=session.id))


OPERATIONS = {
    kind.name: kind
    for kind in (
        MintOpen, MintSocket, MintProxy, RevokeSession, RevokeProfile, RevokeAll, RevokeToken, RevokeProxy, Rotating,
        RotateStatic, RotateCloudflare, RotateGitlab, Replace, Start,
    )
}
