"""Real clients in `mcpcred exec --sandbox`, against stand-ins under the upstreams' real names.

    test_NAME.py             in the sandbox, with a handle
    test_NAME.py --direct    the clients themselves, with the real keys and the stand-ins' authority: what fails
                             there is not the proxy's doing
"""

import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "job"))
sys.dont_write_bytecode = True

import job  # noqa: E402
from job import HOME, MODULES, Done  # noqa: E402
from upstreams import HOSTS, Upstreams, make_aws_key, make_key  # noqa: E402

CLIENTS = os.path.join(HERE, "clients")
PYTHON_MODULES = os.path.join(job.BUILD, "python")
PYTHON = os.path.join(PYTHON_MODULES, "bin", "python")
ECHO = "echo.example.test"
BASE = f"https://{ECHO}"
DIRECT = "--direct" in sys.argv
# The sources and what the clients are made of may stand in a home or in /tmp, which a sandbox does not have.
PLACES = [os.path.realpath(path) for path in (job.ROOT, job.BUILD, MODULES, PYTHON_MODULES)]
SANDBOX = ["--sandbox", *(word for path in PLACES for word in ("--ro", path))]

# What each encoding has another form of.
ODD_CHARACTERS = "+/=&<>'\"\\%~!"

# What a client is called, and how it is started; each reads requests as clients/batch.py says.
HTTP_CLIENTS = {
    "curl": ["/usr/bin/python3", CLIENTS + "/http_curl.py"],
    "requests": [PYTHON, CLIENTS + "/http_requests.py"],
    "httpx": [PYTHON, CLIENTS + "/http_httpx.py"],
    "fetch": ["node", CLIENTS + "/http_fetch.mjs"],
    "node-fetch": ["node", CLIENTS + "/http_node_fetch.mjs", MODULES],
}

# (profile, its host, further hosts, the variables that its preset sets)
SECRETS = {
    "echo": (ECHO, (), ("ECHO_KEY",)),
    "odd": (ECHO, (), ("ODD_KEY",)),
    "aws": ("sts.us-east-1.amazonaws.com", ("s3.us-east-1.amazonaws.com",), ("AWS_ACCESS_KEY_ID",)),
    "openai": ("api.openai.com", (), ("OPENAI_API_KEY",)),
    "anthropic": ("api.anthropic.com", (), ("ANTHROPIC_API_KEY",)),
    "brave": ("api.search.brave.com", (), ("BRAVE_API_KEY",)),
    "notion": ("api.notion.com", (), ("NOTION_TOKEN",)),
    "github": ("api.github.com", ("github.com",), ("GITHUB_PERSONAL_ACCESS_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")),
}

# Profiles that are of another secret than their names say.
SAME = {
    "app": "github", "strict": "echo", "basic": "echo", "query": "echo", "path": "echo", "form": "echo",
    "openai-url": "openai", "anthropic-url": "anthropic",
}

CONFIGURATION = """
[broker]
store   = {store}
ca_file = {ca}

[profile echo]
secret    = echo
deliver   = proxy
slot      = bearer
env       = ECHO_KEY
allow     = * echo.example.test /**
deny      = * echo.example.test /denied/**
addresses = 127.0.0.0/8
websocket = yes
concurrent = 256

[profile strict]
secret    = echo
deliver   = proxy
slot      = bearer
env       = ECHO_KEY
allow     = * echo.example.test /**
addresses = 127.0.0.0/8
scrub     = strict

[profile basic]
secret    = echo
deliver   = proxy
slot      = basic
env       = BASIC_KEY
allow     = * echo.example.test /**
addresses = 127.0.0.0/8

[profile query]
secret    = echo
deliver   = proxy
slot      = query key
env       = QUERY_KEY
allow     = * echo.example.test /**
addresses = 127.0.0.0/8

[profile path]
secret    = echo
deliver   = proxy
slot      = path bot
env       = PATH_KEY
allow     = * echo.example.test /**
addresses = 127.0.0.0/8

[profile form]
secret    = echo
deliver   = proxy
slot      = form token
env       = FORM_KEY
allow     = * echo.example.test /**
addresses = 127.0.0.0/8

[profile odd]
secret    = odd
deliver   = proxy
slot      = header x-api-key
env       = ODD_KEY
allow     = * echo.example.test /**
addresses = 127.0.0.0/8

[profile aws]
secret    = aws
deliver   = proxy
slot      = sigv4
env       = AWS_ACCESS_KEY_ID
set       = AWS_SECRET_ACCESS_KEY=none-of-it-is-used
set       = AWS_DEFAULT_REGION=us-east-1
allow     = POST sts.us-east-1.amazonaws.com /
allow     = GET,PUT s3.us-east-1.amazonaws.com /bucket/**
addresses = 127.0.0.0/8

[profile openai]
secret    = openai
preset    = openai
deliver   = proxy
addresses = 127.0.0.0/8

[profile openai-url]
secret    = openai
preset    = openai
deliver   = endpoint
addresses = 127.0.0.0/8

[profile anthropic-url]
secret    = anthropic
preset    = anthropic
deliver   = endpoint
slot      = bearer
addresses = 127.0.0.0/8

[profile anthropic]
secret    = anthropic
preset    = anthropic
deliver   = proxy
addresses = 127.0.0.0/8

[profile brave]
secret    = brave
preset    = brave
deliver   = proxy
addresses = 127.0.0.0/8

[profile notion]
secret    = notion
preset    = notion
deliver   = proxy
env       = NOTION_TOKEN
addresses = 127.0.0.0/8

[profile github]
secret    = github
preset    = github
deliver   = proxy
allow     = GET api.github.com /repos/octo/hello/**
allow     = POST api.github.com /repos/octo/hello/issues
allow     = GET github.com /octo/hello.git/info/refs
allow     = POST github.com /octo/hello.git/git-upload-pack
allow     = POST github.com /octo/hello.git/git-receive-pack
addresses = 127.0.0.0/8

[profile app]
secret       = app
preset       = github
repositories = octo/hello
permissions  = contents:write, issues:write
deliver      = proxy
addresses    = 127.0.0.0/8
"""

DIRECT_CA = ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO")


class Case(job.Case):
    """A broker with a secret for each upstream, which a test's clients never see; one for all tests of a class."""

    # A session of these sends its handle to all places where it may not stand, and would end with the first.
    configuration = re.sub(r"(\[profile [^]]+\]\n)", r"\1on_leak = none\n", CONFIGURATION)
    started = None  # by the test that came first

    @classmethod
    def setUpClass(cls):
        cls.upstreams = cls.github = Upstreams(directory=str(HOME / "upstreams"), port=443).start()
        cls.addClassCleanup(job.shutil.rmtree, HOME / "upstreams")
        cls.addClassCleanup(cls.upstreams.stop)
        permissions = {"contents": "write", "issues": "write", "metadata": "read"}
        narrow = {"api.github.com": {"permissions": permissions, "repositories": ["hello"]}}
        cls.keys = {name: cls.upstreams.new_key(host, **narrow.get(host, {})) for name, (host, *_) in SECRETS.items() if name not in ("aws", "odd")}
        cls.keys["odd"] = cls.upstreams.new_key(ECHO, "odd", value=make_key() + ODD_CHARACTERS + make_key())
        cls.keys["aws"] = cls.upstreams.new_key(SECRETS["aws"][0], value=make_aws_key())

    def setUp(self):
        self.mark = len(self.upstreams.requests())
        if DIRECT:
            return
        cls = type(self)
        if cls.started is None:
            self.broker = self.log = None
            self.set_up_broker(cls.addClassCleanup)
            cls.started = self
        self.broker, self.log = cls.started.broker, cls.started.log
        self.audit_mark = self.audit_lines()[-1]["sequence"]

    def add_secrets(self):
        for name, (host, more, _) in SECRETS.items():
            hosts = [word for item in (host, *more) for word in ("--host", item)]
            self.good("add", name, "--provider", "static", *hosts, "--stdin", stdin=self.keys[name])
        ids = ["--app-id", self.upstreams.app_id, "--installation-id", "42"]
        self.good("add", "app", *ids, "--file", self.upstreams.app_key)

    # -- running something

    def command(self, command, profile, options=()):
        """In the sandbox; or as it is, with what it needs for that."""
        if not DIRECT:
            return self.exec_command(*command, profile=profile, options=[*SANDBOX, *options])
        variables = {name: self.upstreams.ca for name in DIRECT_CA}
        for one in profile.split(","):
            secret = SAME.get(one, one)
            names = SECRETS[secret][2] if secret != "echo" or one in ("echo", "strict") else (one.upper() + "_KEY",)
            variables.update({name: self.keys[secret] for name in names})
            if one == "aws":
                variables.update(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), self.keys["aws"].split(":")))
        return ["/usr/bin/env", *(f"{name}={value}" for name, value in variables.items()), *command]

    def run_client(self, command, profile, stdin="", options=()):
        full = self.command(command, profile, options)
        done = Done(subprocess.run(full, input=stdin, capture_output=True, text=True, timeout=120, check=False))
        self.assertEqual(done.status, 0, done)
        return done

    def batch(self, client, profile, requests, options=()):
        """The result of each request by one of HTTP_CLIENTS."""
        done = self.run_client(HTTP_CLIENTS[client], profile, json.dumps(requests), options)
        results = [json.loads(line) for line in done.out.splitlines()]
        self.assertEqual(len(results), len(requests), done)
        return results

    # -- what arrived

    def arrived(self, endpoint=None):
        """Records of the requests of this test."""
        return [item for item in self.upstreams.requests()[self.mark :] if endpoint in (None, item["endpoint"])]

    def assert_clean(self):
        """No handle came through to an upstream."""
        self.assertEqual([item for item in self.arrived() if item["handle"]], [])

    def assert_refused(self, answer, reason=None):
        """By the proxy with a reason, or the client could not even connect."""
        if "error" in answer:
            return
        self.assertIn("x-mcpcred-reason", answer["headers"], answer)
        if reason is not None:
            self.assertIn(answer["headers"]["x-mcpcred-reason"], reason if isinstance(reason, tuple) else (reason,), answer)

    def audit_lines(self, lines=1000):
        return [json.loads(line) for line in self.good("audit", "tail", "--lines", lines, "--json").splitlines()]

    def audit(self):
        """Lines of this test."""
        return [line for line in self.audit_lines() if line["sequence"] > self.audit_mark]


def bearer(name="ECHO_KEY"):
    return {"Authorization": f"Bearer @{{{name}}}"}


def _install():
    if subprocess.run([os.path.join(HERE, "install-python.sh"), PYTHON_MODULES], check=False).returncode != 0:
        print("the Python packages cannot be installed", file=sys.stderr)
        sys.exit(77)


def enter(program):
    """Does not return outside of a machine with the upstreams' names and the clients' packages."""
    if job.IN_MACHINE not in os.environ:
        _install()
    job.enter_machine(program, hosts=HOSTS, keep=[PYTHON_MODULES])


def main(program):
    enter(program)
    if DIRECT:
        sys.argv.remove("--direct")
    job.unittest.main(verbosity=2)


__all__ = ["BASE", "CLIENTS", "Case", "DIRECT", "ECHO", "HTTP_CLIENTS", "MODULES", "PYTHON", "bearer", "main", "time"]
