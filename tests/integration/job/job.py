"""The whole job at the standard places: broker, real MCP client, real sandboxed server, stand-in of GitHub.

A test file calls `main()`, which starts it again in a machine of its own (machine.sh): there /run/user/<uid>,
the home and port 443 are the test's, and the standard paths can be used without meeting anybody's.
"""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", "..", ".."))
for folder in ("support", "integration/broker", "integration/mcp"):
    sys.path.insert(0, os.path.join(ROOT, "tests", folder))
sys.dont_write_bytecode = True

import sandboxed_server  # noqa: E402
from harness import BUILD, WAIT, Log, wait_gone, wait_until  # noqa: E402
from mcp_session import McpSession, SessionEnded  # noqa: E402, F401
from standin import Standin  # noqa: E402
from varlink import CallError, Client  # noqa: E402, F401

MODULES = os.environ.get("MCPCRED_NODE_MODULES") or os.path.join(BUILD, "node")
MCPCRED = os.path.join(BUILD, "client-lib", "cli", "mcpcred")
MCPCREDD = os.path.join(BUILD, "broker", "supervisor", "mcpcredd")
LIBEXEC = os.path.join(BUILD, "libexec")
IN_MACHINE = "MCPCRED_TEST_MACHINE"
UID = os.getuid()
USER = pwd.getpwuid(UID)
RUN_USER = f"/run/user/{UID}"
RUNTIME = RUN_USER + "/mcpcred"
HOME = pathlib.Path(USER.pw_dir)
STATE = HOME / ".local/state/mcpcred"
CONFIG = HOME / ".config/mcpcred"
# What the SDK of a real MCP client passes to a server, and nothing else.
CLIENT_ENVIRONMENT = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
PASSPHRASE = "correct horse battery staple"
README = {"owner": "octo", "repo": "hello", "path": "README.md"}
ERROR_DENIED = 5
EXEC_FAILED = 125

CONFIGURATION = """
[broker]
store   = {store}
ca_file = {ca}

[profile github]
secret       = github
repositories = octo/hello
permissions  = contents:read
ttl          = 30m
deliver      = env
env          = GITHUB_PERSONAL_ACCESS_TOKEN

[profile other]
secret       = github
repositories = octo/world
permissions  = contents:read
deliver      = env
env          = OTHER_TOKEN

[profile search]
secret        = search
deliver       = env
env           = SEARCH_KEY
expose_secret = yes
command       = /bin/sh -c "echo ready; read line"
"""

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class Done:
    def __init__(self, process):
        self.status, self.out, self.err = process.returncode, process.stdout, process.stderr

    def __repr__(self):
        return f"status {self.status}\n{self.out}{self.err}"


def peer_of(path):
    """The process that listens there, and a pidfd of it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        pid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid, os.pidfd_open(pid)


class Keyring:
    """A real gnome-keyring-daemon, unlocked, on a bus at the standard place."""

    def __init__(self):
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": RUN_USER, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={RUN_USER}/bus"}
        config = HOME / "bus.conf"
        config.write_text(BUS.format(path=RUN_USER + "/bus"))
        self.bus = subprocess.Popen(
            ["dbus-daemon", "--nofork", "--nosyslog", "--print-address=1", f"--config-file={config}"],
            env=self.environment,
            stdout=subprocess.PIPE,
        )
        self.bus.stdout.readline()
        self.daemon = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--components=secrets", "--unlock"],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.daemon.stdin.write(b"login password")
        self.daemon.stdin.close()
        wait_until(self._is_there, "no keyring daemon on the bus")

    def _is_there(self):
        call = ["gdbus", "call", "--session", "-d", "org.freedesktop.DBus", "-o", "/", "-m", "org.freedesktop.DBus.NameHasOwner"]
        done = subprocess.run([*call, "org.freedesktop.secrets"], env=self.environment, capture_output=True, check=False)
        return b"true" in done.stdout

    def close(self):
        for process in (self.daemon, self.bus):
            process.terminate()
            process.wait()
        self.bus.stdout.close()


class Case(unittest.TestCase):
    """Each test has an empty home and runtime directory, and a broker with the App's key in its store."""

    store = "memory"
    configuration = CONFIGURATION

    @classmethod
    def setUpClass(cls):
        cls.github = Standin(directory=str(HOME / "github"), port=443).start()
        cls.addClassCleanup(shutil.rmtree, HOME / "github")
        cls.addClassCleanup(cls.github.stop)
        cls.server = sandboxed_server.command(MODULES, cls.github.ca, cls.github.directory)

    def setUp(self):
        self.broker = self.log = None
        self.set_up_broker(self.addCleanup)

    def set_up_broker(self, cleanup):
        for directory in (RUNTIME, STATE, CONFIG):
            shutil.rmtree(directory, ignore_errors=True)
        CONFIG.mkdir(parents=True, mode=0o700)
        (CONFIG / "mcpcred.conf").write_text(self.configuration.format(store=self.store, ca=self.github.ca))
        if self.store == "secret-service":
            keyring = Keyring()
            cleanup(keyring.close)
        cleanup(self.stop_broker)
        self.start_broker()
        self.unlock(create=True)
        self.add_secrets()

    # -- the broker

    def start_broker(self):
        self.broker = subprocess.Popen(
            [MCPCREDD, "--foreground", "--libexec", LIBEXEC],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.log = Log(self.broker.stderr)
        self.log.wait("state: ready" if self.store == "sealed-file" else "store: .* is open")

    def unlock(self, create=False):
        if self.store == "sealed-file":
            self.good("unlock", "--stdin", *(["--create"] if create else []), stdin=PASSPHRASE)

    def stop_broker(self):
        """Whoever started it."""
        try:
            pid, pidfd = peer_of(RUNTIME + "/broker.sock")
        except OSError:
            pid, pidfd = None, None
        if pidfd is not None:
            os.kill(pid, signal.SIGTERM)
        if self.broker is not None:
            self.assertEqual(self.broker.wait(WAIT), 0)
            self.log.join()
            self.broker = None
        if pidfd is not None:
            self.assertTrue(wait_gone(pidfd))
            os.close(pidfd)

    # -- the command

    def run_mcpcred(self, *arguments, stdin=""):
        command = [MCPCRED, *map(str, arguments)]
        return Done(subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False))

    def good(self, *arguments, **options):
        done = self.run_mcpcred(*arguments, **options)
        self.assertEqual(done.status, 0, done)
        return done.out

    def add_secrets(self):
        self.add_github()

    def add_github(self):
        """No base URL: it is the real one, which the stand-in has here."""
        ids = ["--app-id", self.github.app_id, "--installation-id", "42"]
        said = self.good("add", "github", *ids, "--file", self.github.app_key)
        self.assertIn("standin-app", said)

    def exec_command(self, *command, profile="github", options=()):
        start = ["--broker", MCPCREDD, "--libexec", LIBEXEC]
        return [MCPCRED, "exec", profile, *start, *options, "--", *command]

    # -- sessions

    def open_mcp(self, *options):
        """A session of the real client with the real server, and the token that it got."""
        session = McpSession(MODULES, self.exec_command(*self.server, options=options))
        self.addCleanup(session.close)
        [row] = [line for line in self.sessions() if line["state"] == "live"]
        token = self.good("token", "--session", row["session"]).strip()
        self.assertEqual(self.use(token), 200)
        return session, row["session"], token

    def sessions(self):
        with Client(RUNTIME + "/broker.sock") as client:
            return [row for reply in client.stream("ListSessions", {"all": True}) for row in reply["sessions"]]

    def use(self, token, path="/repos/octo/hello/contents/README.md"):
        """The status that a holder of the token gets at the stand-in, outside of any sandbox."""
        with self.github.client(host="api.github.com") as client:
            return client.call("GET", path, token).status

    def assert_reads(self, session):
        answer = session.call("get_file_contents", **README)
        self.assertIn("result", answer, answer)
        self.assertIn("Hello from octo/hello", answer["result"]["content"][0]["text"])

    def assert_refused(self, answer, text="Bad credentials"):
        self.assertIn("error", answer, answer)
        self.assertIn(text, answer["error"]["message"])


def _install():
    if not os.path.isdir(os.path.join(MODULES, "node_modules", "@modelcontextprotocol")):
        done = subprocess.run([os.path.join(ROOT, "tests/integration/mcp/install.sh"), MODULES], check=False)
        if done.returncode != 0:
            print("the MCP packages cannot be installed", file=sys.stderr)
            sys.exit(77)


def enter_machine(program, modules=True, hosts=(), keep=()):
    """Does not return outside of a machine. Inside, nothing of what arranged for it is left."""
    if os.environ.pop(IN_MACHINE, None) is None:
        keep = [ROOT, BUILD, *keep]
        if modules:
            _install()
            keep.append(MODULES)
        node = os.path.realpath(shutil.which("node") or "/usr/bin/node")
        if not node.startswith("/usr/"):
            keep.append(os.path.dirname(os.path.dirname(node)))
        options = [word for path in keep for word in ("--keep", path)]
        options += [word for name in hosts for word in ("--host", name)]
        script = os.path.join(HERE, "machine.sh")
        command = [script, *options, "--", "/usr/bin/python3", os.path.abspath(program), *sys.argv[1:]]
        os.execve(script, command, {**os.environ, IN_MACHINE: "1", "MCPCRED_NODE_MODULES": MODULES, "MCPCRED_BUILD": BUILD})
    own = {"HOME": USER.pw_dir, "LOGNAME": USER.pw_name, "USER": USER.pw_name, "SHELL": "/bin/sh", "TERM": "dumb"}
    path = os.environ["PATH"]
    os.environ.clear()
    os.environ.update(own, PATH=path)


def main(program):
    enter_machine(program)
    unittest.main(verbosity=2)
