"""Starts the GitHub stand-in for a test, and speaks to its admin side.

    with Standin() as github:
        github.fault("mint", "drop", when="after")
        ...  # run the client under test against github.base_url
        github.wait("mint", 2)
        [lost, kept] = github.tokens()

See ghapi/faults.py for the faults, ghapi/journal.py for phases and endpoints.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile

from ghclient import app_jwt, Client

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "github_standin.py")
INTERPRETER = "/usr/bin/python3"  # the one that Debian's python3-cryptography is for


class AdminError(Exception):
    pass


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("admin", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Standin:
    """One running stand-in; see github_standin.py for what the options mean."""

    program = PROGRAM

    def __init__(
        self, directory=None, names=(), port=0, world=None, lifetime=None, token_format=None
    ):
        self._own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="standin-")
        self._command = [INTERPRETER, self.program, "--dir", self.directory, "--port", str(port)]
        for name in names:
            self._command += ["--name", name]
        if world is not None:
            path = os.path.join(self.directory, "world.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(world, file)
            self._command += ["--world", path]
        if lifetime is not None:
            self._command += ["--lifetime", str(lifetime)]
        if token_format is not None:
            self._command += ["--token-format", token_format]
        self._process = None

    # -- life

    def start(self):
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the stand-in did not start: status {self._process.wait()}")
        ready = json.loads(line)
        self.port = ready["port"]
        self.admin_path = ready["admin"]
        self.ca = ready["ca"]
        self.app_key = ready["app_key"]
        self.app_id = ready["app_id"]
        self.client_id = ready["client_id"]
        self.installations = ready["installations"]
        return self

    def stop(self):
        if self._process is not None:
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()
            self._process = None
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_exception):
        self.stop()

    @property
    def base_url(self):
        return f"https://localhost:{self.port}"

    @property
    def enterprise_url(self):
        return self.base_url + "/api/v3"

    @property
    def gitlab_url(self):
        return self.base_url + "/gitlab/api/v4"

    @property
    def cloudflare_url(self):
        return self.base_url + "/cloudflare/client/v4"

    @property
    def static_url(self):
        return self.base_url + "/static"

    # -- as a client of the API

    def client(self, **options):
        return Client(self.port, self.ca, **options)

    def jwt(self):
        return app_jwt(self.app_key, self.app_id)

    def mint(self, installation=42, **narrowing):
        """A token for tests whose subject is not the minting."""
        path = f"/app/installations/{installation}/access_tokens"
        with self.client() as client:
            answer = client.call("POST", path, self.jwt(), narrowing)
        if answer.status != 201:
            raise RuntimeError(f"no token: {answer.status} {answer.body!r}")
        return answer.json()["token"]

    # -- the admin side

    def admin(self, verb, **arguments):
        return self._call(verb, arguments, 30)

    def _call(self, verb, arguments, timeout):
        connection = _UnixConnection(self.admin_path, timeout)
        try:
            connection.request("POST", "/" + verb, json.dumps(arguments))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise AdminError(answer["error"])
        return answer

    def tokens(self, state=None, after=0):
        """In the order of their ids; those behind `after` alone."""
        return self.admin("tokens", state=state, after=after)["tokens"]

    def reset(self):
        """For the next test of the same stand-in."""
        self.admin("reset")

    def credentials(self, vendor=None, state=None):
        """What GitHub, GitLab and Cloudflare have issued, by vendor and state ("alive", "revoked", "expired")."""
        return self.admin("credentials", vendor=vendor, state=state)["credentials"]

    def requests(self, endpoint=None):
        return self.admin("requests", endpoint=endpoint)["requests"]

    def connections(self):
        return self.admin("connections")["connections"]

    def count(self, endpoint, phase="arrived"):
        return self.admin("counts")["counts"].get(endpoint, {}).get(phase, 0)

    def wait(self, endpoint, count=1, phase="arrived", timeout=20):
        """Counts from the start of the stand-in, so no event can be missed."""
        arguments = {"endpoint": endpoint, "count": count, "phase": phase, "timeout": timeout}
        answer = self._call("wait", arguments, timeout + 10)
        if not answer["reached"]:
            raise TimeoutError(f"{answer['count']} of {count} requests {phase} at {endpoint}")

    def fault(self, endpoint, kind, **options):
        """Returns the id by which `release` knows the fault."""
        return self.admin("fault", endpoint=endpoint, kind=kind, **options)["id"]

    def faults(self):
        return self.admin("faults")["faults"]

    def release(self, fault=None):
        self.admin("release", id=fault)

    def keys(self):
        return self.admin("keys")["keys"]

    def add_key(self, path):
        """Registers a key file, private or public; returns its fingerprint."""
        with open(path, encoding="ascii") as file:
            return self.admin("add_key", pem=file.read())["fingerprint"]

    def remove_key(self, fingerprint):
        self.admin("remove_key", fingerprint=fingerprint)

    def suspend(self, installation=42):
        self.admin("suspend", installation=installation)

    def unsuspend(self, installation=42):
        self.admin("unsuspend", installation=installation)

    def set_permissions(self, installation, **permissions):
        self.admin("set_permissions", installation=installation, permissions=permissions)

    def remove_repository(self, installation, name):
        self.admin("remove_repository", installation=installation, name=name)

    def set_tokens(self, **options):
        self.admin("set_tokens", **options)

    def add_personal_token(self, value, **options):
        return self.admin("add_personal_token", value=value, **options)["id"]

    def add_issued(self, vendor, **options):
        """(value, id) of a token of "gitlab" or "cloudflare", as if a user had made it."""
        answer = self.admin("add_issued", vendor=vendor, **options)
        return answer["value"], answer["id"]

    def only_issued(self, vendor, identifiers):
        self.admin("only_issued", vendor=vendor, ids=identifiers)

    def kill_token(self, number):
        self.admin("kill_token", id=number)

    def age_tokens(self, seconds):
        self.admin("age_tokens", seconds=seconds)

    def advance_clock(self, seconds):
        self.admin("advance_clock", seconds=seconds)

    def add_static_key(self, name, value):
        self.admin("add_static_key", name=name, value=value)

    def remove_static_key(self, name):
        self.admin("remove_static_key", name=name)
