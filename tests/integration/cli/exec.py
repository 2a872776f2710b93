#!/usr/bin/env python3
"""mcpcred exec, and how secrets are typed, against a broker of straw."""
import importlib.util
import json
import os
import pathlib
import pty
import resource
import select
import signal
import socket
import stat
import subprocess
import sys
import termios
import threading
import time

spec = importlib.util.spec_from_file_location("support", pathlib.Path(__file__).with_name("support.py"))
support = importlib.util.module_from_spec(spec)
spec.loader.exec_module(support)
Broker, Drop, Fault, Home = support.Broker, support.Drop, support.Fault, support.Home
equal, holds, times = support.equal, support.holds, support.times

SESSION = "s-0123456789abcdef"
SECRET = "not-" + "a-real-" + "secret"
STANDALONE = dict(start_new_session=True)


def home_for_exec(**handlers):
    """A broker that opens sessions, with a live inner socket for each."""
    home = Home({})
    inner = Broker(home.path / "s", {"GetToken": lambda p: {"profile": "p", "token": SECRET}}, "io.mcpcred.Session")
    home.inner = inner

    def open_session(parameters):
        ours, theirs = socket.socketpair()
        threading.Thread(target=inner.serve, args=(ours,), daemon=True).start()
        reply = {"session": SESSION, "expires": times(1800), "socket": str(inner.path),
                 "directory": str(home.path / "s"), "grants": [{"profile": "p", "deliver": "env"}],
                 "environment": [{"name": "MCPCRED_SOCK", "value": str(inner.path)},
                                 {"name": "MCPCRED_SESSION", "value": "mcpcs_x"},
                                 {"name": "GITHUB_TOKEN", "value": SECRET}]}
        return support.WithFds(reply, [theirs.detach()])
    home.broker.handlers.update({"OpenSession": open_session,
                                 "CloseSession": lambda p: {"sessions": 1, "credentials": [], "pending": False}})
    home.broker.handlers.update(handlers)
    return home


def ended(lifeline, seconds=5):
    """Whether the other end of a lifeline is closed."""
    lifeline.settimeout(seconds)
    try:
        return lifeline.recv(1) == b""
    except TimeoutError:
        return False


def test_status_passes_through():
    with home_for_exec() as home:
        for status in (0, 1, 42, 125):
            done = home.run("exec", "p", "--", "sh", "-c", f"exit {status}")
            equal((done.returncode, done.stdout, done.stderr), (status, b"", b""))
        equal([call[1]["session"] for call in home.broker.asked("CloseSession")], [SESSION] * 4)
        for lifeline in home.broker.lifelines:
            holds(ended(lifeline))


def test_signal_of_the_child_is_128_and_its_number():
    with home_for_exec() as home:
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
            equal(home.run("exec", "p", "--", "sh", "-c", f"kill -{int(number)} $$").returncode, 128 + number)


def test_what_cannot_be_run():
    with home_for_exec() as home:
        done = home.run("exec", "p", "--", "no-such-program")
        equal((done.returncode, done.stdout), (127, b""))
        holds(b"no-such-program" in done.stderr)
        equal(home.run("exec", "p", "--", "/etc/passwd").returncode, 126)
        equal(home.run("exec", "p", "--", "/etc/passwd/x").returncode, 127)
        equal(len(home.broker.asked("CloseSession")), 3)


def test_own_failure_is_125_and_on_stderr():
    def deny(parameters):
        raise Fault("PolicyDenied", message="The profile is for another command.")
    with home_for_exec(OpenSession=deny) as home:
        for words in (["exec", "p", "--", "true"], ["exec", "p"], ["exec", "--", "true"], ["exec", "p", "--"],
                      ["exec", "p", "--nonsense", "--", "true"], ["exec", "p", "--repo", "--", "true"],
                      ["exec", "P", "--", "true"], ["exec", "p", "--permission", "x", "--", "true"],
                      ["exec", "p", "--json", "--", "true"]):
            done = home.run(*words)
            equal((done.returncode, done.stdout), (125, b""), words)
            holds(done.stderr, words)
        error = json.loads(home.run("exec", "p", "--json", "--", "true").stderr)["error"]
        equal((error["code"], error["message"]), ("PolicyDenied", "The profile is for another command."))


def test_stdio_is_the_childs_own():
    data = bytes(range(256)) * 1000
    with home_for_exec() as home:
        done = home.run("exec", "p", "--", "cat", stdin=data)
        equal((done.stdout == data, done.stderr), (True, b""))
        done = home.run("exec", "p", "--", "sh", "-c", "cat >&2; exit 3", stdin=data)
        equal((done.returncode, done.stderr == data, done.stdout), (3, True, b""))


def test_child_alone_holds_stdout():
    """When the child closes stdout, its reader sees the end, though the child lives on."""
    with home_for_exec() as home:
        process = subprocess.Popen([support.MCPCRED, "exec", "p", "--", "sh", "-c", "exec >&-; echo closed >&2; read x"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=home.environment())
        equal(process.stderr.readline(), b"closed\n")
        holds(select.select([process.stdout], [], [], 5)[0])
        equal(process.stdout.read(), b"")
        equal(process.poll(), None)
        process.stdin.write(b"go\n")
        process.stdin.close()
        equal(process.wait(10), 0)


def test_clean_environment():
    with home_for_exec() as home:
        env = {"AWS_SECRET_ACCESS_KEY": "x", "LC_ALL": "C", "KEEP": "k", "MCPCRED_SESSION": "old", "MCPCRED_FD": "9",
               "DBUS_SESSION_BUS_ADDRESS": "x"}
        done = home.run("exec", "p", "--env", "KEEP", "--env", "SET=a=b", "--env", "ABSENT", "--", "env", env=env)
        got = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
        equal(got, {"HOME": str(home.path), "PATH": os.environ["PATH"], "TERM": "dumb", "LANG": "C.UTF-8", "LC_ALL": "C",
                    "KEEP": "k", "SET": "a=b", "GITHUB_TOKEN": SECRET, "MCPCRED_FD": "3",
                    "MCPCRED_SOCK": str(home.path / "s/broker.sock"), "MCPCRED_SESSION": "mcpcs_x"})
        done = home.run("exec", "p", "--no-clean-env", "--", "env", env=env)
        got = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
        equal((got["AWS_SECRET_ACCESS_KEY"], got["MCPCRED_SESSION"], got["MCPCRED_FD"]), ("x", "mcpcs_x", "3"))
        for bad in ("MCPCRED_SOCK=x", "1X=y", "=y"):
            equal(home.run("exec", "p", "--env", bad, "--", "true").returncode, 125, bad)


def test_request_says_what_was_asked():
    with home_for_exec() as home:
        home.run("exec", "p,q", "--repo", "octo/a", "--repo", "octo/b", "--permission", "contents:read", "--ttl", "10m",
                 "--label", "L", "--", "true", "--flag")
        parameters = home.broker.asked("OpenSession")[0][1]
        scope = {"repositories": ["octo/a", "octo/b"], "permissions": {"contents": "read"}}
        holds(parameters.pop("proxy").startswith("127.0.0.1:"))
        equal(parameters, {"grants": [{"profile": "p", "scope": scope}, {"profile": "q", "scope": scope}], "label": "L",
                           "lifetime": 600, "lifeline": "descriptor", "want_descriptor": True,
                           "command": ["true", "--flag"]})
        equal(home.run("exec", "p", "--", "true", *["x" * 100] * 600).returncode, 0)
        equal("command" in home.broker.asked("OpenSession")[1][1], False)
        equal(home.run("exec", "p", "--", "printf", b"\xff".decode("latin1")).returncode, 0)


def test_loopback_port_where_a_profile_goes_by_the_proxy():
    """It is offered to the session before the command runs, and the command does not hold it."""
    for proxy in (True, False):
        served = []

        def serve(parameters):
            served.append(parameters)
            return {}
        with home_for_exec() as home:
            opening = home.broker.handlers["OpenSession"]

            def open_session(parameters):
                reply = opening(parameters)
                if proxy:
                    reply.parameters["proxy_socket"] = str(home.path / "s/proxy.sock")
                return reply
            home.broker.handlers["OpenSession"] = open_session
            home.inner.handlers["Serve"] = serve
            script = "import os; print(sorted(int(f) for f in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + f)))"
            done = home.run("exec", "p", "--", sys.executable, "-c", script)
            equal(done.stdout, b"[0, 1, 2, 3]\n", done)
            address = home.broker.asked("OpenSession")[0][1]["proxy"]
            equal(served, [{"service": "loopback"}] if proxy else [])
            if proxy:
                end = home.inner.served[0]
                equal("%s:%d" % end.getsockname(), address)
                equal(end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), 1)
                end.close()
            port = int(address.rpartition(":")[2])
            with socket.socket() as client:
                holds(client.connect_ex(("127.0.0.1", port)) != 0, "nobody else keeps the port")


def test_refused_port_ends_the_session():
    with home_for_exec() as home:
        opening = home.broker.handlers["OpenSession"]

        def open_session(parameters):
            reply = opening(parameters)
            reply.parameters["proxy_socket"] = "/x"
            return reply

        def refuse(parameters):
            raise Fault("Unavailable", message="Not now.")
        home.broker.handlers["OpenSession"] = open_session
        home.inner.handlers["Serve"] = refuse
        done = home.run("exec", "p", "--", "sh", "-c", "echo ran")
        equal((done.returncode, done.stdout, len(home.broker.asked("CloseSession"))), (125, b"", 1))
        holds(b"Not now." in done.stderr, done)


def test_descriptors():
    with home_for_exec() as home:
        read, write = os.pipe()
        script = ("import os,socket\n"
                  "def is_open(fd):\n"
                  "  try: return bool(os.fstat(fd))\n"
                  "  except OSError: return False\n"
                  "print([fd for fd in range(1024) if is_open(fd)])\n"
                  "s=socket.socket(fileno=int(os.environ['MCPCRED_FD']))\n"
                  "s.sendall(b'{\"method\":\"io.mcpcred.Session.GetToken\"}\\0');print(s.recv(999).decode())")
        done = home.run("exec", "p", "--", sys.executable, "-c", script, pass_fds=[read, write])
        lines = done.stdout.decode().splitlines()
        equal(lines[0], "[0, 1, 2, 3]", done)
        holds(SECRET in lines[1], lines)
        os.close(read), os.close(write)


def test_session_token_inside():
    with home_for_exec() as home:
        for words in (["token"], ["token", "p"]):
            done = home.run("exec", "p", "--", support.MCPCRED, *words)
            equal(done.stdout.decode(), SECRET + "\n", done)


def test_examples_speak_with_a_session():
    """The snippets of examples/clients, with the descriptor and with the path."""
    snippet = pathlib.Path(__file__).resolve().parents[3] / "examples/clients/session_token.py"
    with home_for_exec() as home:
        for words in ([], ["p"]):
            done = home.run("exec", "p", "--", sys.executable, snippet, *words)
            equal((done.returncode, done.stdout.decode()), (0, SECRET + "\n"), done)
        done = home.run("exec", "p", "--", "env", "-u", "MCPCRED_FD", sys.executable, snippet)
        equal((done.returncode, done.stdout.decode()), (0, SECRET + "\n"), done)


def test_child_is_marked_for_ever():
    with home_for_exec() as home:
        script = ("import resource as r,subprocess,sys;"
                  "soft,hard=r.getrlimit(r.RLIMIT_RTTIME);print(hard)")
        hard = int(home.run("exec", "p", "--", sys.executable, "-c", script).stdout)
        holds(hard not in (-1, resource.RLIM_INFINITY) and hard >= 1 << 60, hard)
        done = home.run("exec", "p", "--", support.MCPCRED, "exec", "p", "--", "true")
        equal(done.returncode, 125)
        holds(b"belongs to a session" in done.stderr, done.stderr)
        equal(len(home.broker.asked("OpenSession")), 2)


def test_finite_limit_is_left_alone():
    with home_for_exec() as home:
        limit = 200000

        def lower():
            resource.setrlimit(resource.RLIMIT_RTTIME, (limit, limit))
        done = home.run("exec", "p", "--", "true", preexec_fn=lower)
        equal(done.returncode, 125)


def start(home, *arguments, **options):
    return subprocess.Popen([support.MCPCRED, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=home.environment(), **options)


def test_signals_are_forwarded():
    with home_for_exec() as home:
        for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH"):
            number = getattr(signal, "SIG" + name)
            process = start(home, "exec", "p", "--", "sh", "-c",
                            f"trap 'echo got; exit 7' {name}; echo ready; while :; do sleep 0.01; done", **STANDALONE)
            equal(process.stdout.readline(), b"ready\n")
            process.send_signal(number)
            equal((process.wait(10), process.stdout.read()), (7, b"got\n"), name)
        holds(len(home.broker.asked("CloseSession")) == 7)


def test_ignored_signals_stay_ignored():
    with home_for_exec() as home:
        process = start(home, "exec", "p", "--", "sh", "-c", "echo ready; read x; exit 5",
                        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        equal(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        equal(process.poll(), None)
        process.stdin.write(b"\n")
        process.stdin.close()
        equal(process.wait(10), 5)


def test_terminal_interrupt_reaches_the_child_once():
    with home_for_exec() as home:
        script = "n=0; trap 'n=$((n+1))' INT; echo ready; while [ $n = 0 ]; do sleep 0.05; done; sleep 0.3; echo n=$n"
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(support.MCPCRED, [support.MCPCRED, "exec", "p", "--", "sh", "-c", script], home.environment())
        read_until(terminal, b"ready")
        os.write(terminal, b"\x03")
        holds(b"n=1" in read_until(terminal, b"n="))
        equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        os.close(terminal)


def test_kill_of_exec_ends_the_lifeline():
    with home_for_exec() as home:
        process = start(home, "exec", "p", "--", "sh", "-c", "echo ready; read x")
        equal(process.stdout.readline(), b"ready\n")
        lifeline = home.broker.lifelines[0]
        holds(not ended(lifeline, 0.1))
        process.kill()
        process.wait()
        holds(ended(lifeline))
        process.stdin.close()


def test_no_secret_in_command_lines_or_our_environment():
    with home_for_exec() as home:
        process = start(home, "exec", "p", "--", "sh", "-c", "echo ready; read x")
        equal(process.stdout.readline(), b"ready\n")
        for pid in [process.pid] + children(process.pid):
            holds(SECRET.encode() not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes())
        try:
            holds(SECRET.encode() not in pathlib.Path(f"/proc/{process.pid}/environ").read_bytes())
        except PermissionError:
            holds(os.geteuid() != 0, "only root looks into a process that is not dumpable")
        deadline = time.monotonic() + 5 # the child may be quicker than its parent
        while SECRET.encode() in memory_of(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        holds(SECRET.encode() not in memory_of(process.pid), "the parent wiped its copies")
        process.stdin.close()
        process.wait(10)


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory_of(pid):
    """All that can be read of a process; needs root."""
    found = b""
    try:
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
            for line in maps:
                span, mode = line.split()[:2]
                begin, end = (int(x, 16) for x in span.split("-"))
                if "rw" not in mode or end - begin > 1 << 26:
                    continue
                try:
                    mem.seek(begin)
                    found += mem.read(end - begin)
                except (OSError, ValueError):
                    pass
    except PermissionError:
        pass
    return found


def test_closing_survives_a_restart_of_the_gate():
    dropped = []

    def close(parameters):
        if not dropped:
            dropped.append(1)
            raise Drop()
        return {"sessions": 1, "credentials": [], "pending": False}
    with home_for_exec(CloseSession=close) as home:
        done = home.run("exec", "p", "--", "true")
        equal((done.returncode, done.stderr, len(home.broker.asked("CloseSession"))), (0, b"", 2))


def test_gone_session_is_no_complaint():
    for name in ("NotFound", "Expired", "Revoked"):
        def close(parameters, name=name):
            raise Fault(name)
        with home_for_exec(CloseSession=close) as home:
            done = home.run("exec", "p", "--", "sh", "-c", "exit 9")
            equal((done.returncode, done.stderr), (9, b""))


# ---- starting a broker ----

STRAW = '''#!{python}
import importlib.util, json, os, sys, time
spec = importlib.util.spec_from_file_location("support", {support!r})
support = importlib.util.module_from_spec(spec)
spec.loader.exec_module(support)
runtime = sys.argv[sys.argv.index("--runtime") + 1]
with open({log!r}, "a") as log:
    log.write(json.dumps([sys.argv[1:], dict(os.environ), os.getsid(0) == os.getpid(),
                          sorted(os.listdir("/proc/self/fd"))]) + "\\n")
{body}
'''
SERVING = '''
import socket
def opened(p):
    a, b = socket.socketpair()
    globals()["kept"] = a
    return support.WithFds({"session": "s-0123456789abcdef", "expires": support.times(100), "socket": "/x",
                            "directory": "/", "grants": [], "environment": []}, [b.detach()])
support.Broker(runtime, {"OpenSession": opened,
                         "CloseSession": lambda p: {"sessions": 1, "credentials": [], "pending": False}})
for _ in range(200):
    time.sleep(0.1)
    if not os.path.exists(runtime):
        break
'''


def straw(home, body):
    path = home.path / "straw"
    path.write_text(STRAW.format(python=sys.executable, log=str(home.path / "log"), body=body,
                                 support=str(pathlib.Path(support.__file__).resolve())))
    path.chmod(0o755)
    return path


def starts(home):
    path = home.path / "log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_exec_starts_one_broker():
    with Home() as home:
        broker = straw(home, SERVING)
        several = [start(home, "exec", "p", "--broker", str(broker), "--state", "/st", "--", "true") for _ in range(4)]
        for process in several:
            output = process.communicate(timeout=60)
            equal((process.returncode, output), (0, (b"", b"")))
        equal(len(starts(home)), 1)
        argv, environment, leads, fds = starts(home)[0]
        equal(argv, ["--foreground", "--runtime", str(home.runtime), "--state", "/st"])
        holds(leads)
        equal(environment["HOME"] == str(home.path), False)
        holds(set(environment) <= {"HOME", "USER", "LOGNAME", "PATH", "LANG", "XDG_RUNTIME_DIR",
                                   "DBUS_SESSION_BUS_ADDRESS", "LC_CTYPE"}, environment)
        equal(stat.S_IMODE(home.runtime.stat().st_mode), 0o700)


def test_environment_chooses_no_broker():
    with Home() as home:
        broker = straw(home, SERVING)
        evil = {"MCPCRED_BROKER": str(broker), "MCPCREDD": str(broker), "PATH": str(home.path)}
        (home.path / "mcpcredd").symlink_to(broker)
        done = home.run("exec", "p", "--", "true", env=evil)
        equal((done.returncode, starts(home)), (125, []))


def test_broker_that_fails_is_told_of():
    with Home() as home:
        broker = straw(home, 'sys.stderr.write("mcpcred.conf:3: unknown key\\n"); sys.exit(2)')
        done = home.run("exec", "p", "--broker", broker, "--", "true")
        equal(done.returncode, 125)
        holds(b"mcpcred.conf:3: unknown key" in done.stderr, done.stderr)
        done = home.run("add", "k", "--host", "h.example", "--stdin", "--broker", home.path / "absent", stdin="x")
        equal(done.returncode, 7)


def test_marked_process_starts_no_broker():
    with Home() as home:
        broker = straw(home, SERVING)

        def mark():
            resource.setrlimit(resource.RLIMIT_RTTIME, (1 << 62, 1 << 62))
        equal(home.run("exec", "p", "--broker", broker, "--", "true", preexec_fn=mark).returncode, 125)
        equal(home.run("add", "k", "--host", "h", "--stdin", "--broker", broker, stdin="x", preexec_fn=mark).returncode, 5)
        equal(starts(home), [])


def test_broker_that_died_is_started_once_more_at_the_end():
    with home_for_exec() as home:
        broker = straw(home, SERVING)
        process = start(home, "exec", "p", "--broker", str(broker), "--", "sh", "-c", "echo ready; read x; exit 4")
        equal(process.stdout.readline(), b"ready\n")
        home.broker.stop()
        process.stdin.close()
        equal((process.wait(60), len(starts(home))), (4, 1))


# ---- the terminal ----

def read_until(terminal, text, seconds=10):
    got, end = b"", time.monotonic() + seconds
    while text not in got and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:
                break
            if not chunk:
                break
            got += chunk
    if text not in got:
        raise AssertionError(f"no {text!r} in {got!r}")
    return got


def typed(home, words, prompt, keys):
    """Runs a verb on a terminal. What was typed into it is never seen on it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(support.MCPCRED, [support.MCPCRED, *words], home.environment())
    shown = b""
    before = termios.tcgetattr(terminal)
    for wanted, key in zip(prompt if isinstance(prompt, list) else [prompt], keys if isinstance(keys, list) else [keys]):
        shown += read_until(terminal, wanted)
        while termios.tcgetattr(terminal)[3] & termios.ECHO and wanted != b"(y|n)" and b"ID" not in wanted:
            time.sleep(0.01)
        os.write(terminal, key)
    deadline = time.monotonic() + 15
    while True:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:
                break
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"still running: {shown!r}")
    else:
        status = 0
    if not done:
        status = os.waitpid(pid, 0)[1]
    while select.select([terminal], [], [], 0.05)[0]:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    del before
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown


ADD = ["add", "k", "--host", "h.example"]


def home_for_add():
    return Home({"AddSecret": lambda p: {"generation": 1},
                 "Unlock": lambda p: {"store": "sealed-file", "store_state": "ready"},
                 "RemoveSecret": lambda p: {"sessions": 1, "leases": 2}})


def test_typed_without_echo():
    with home_for_add() as home:
        status, shown = typed(home, ADD, b"Secret: ", SECRET.encode() + b"\r")
        equal((status, home.broker.calls[-1][2]), (0, [SECRET.encode()]))
        holds(SECRET.encode() not in shown, shown)
        status, shown = typed(home, ADD, b"Secret: ", b"wrong\x15ab\x7f" + "ü".encode() + b"\x7fcd\r")
        equal((status, home.broker.calls[-1][2]), (0, [b"acd"]))


def test_long_line_is_whole():
    with home_for_add() as home:
        # More than a terminal's own line may have; typed in pieces, since a pty holds 4096 bytes.
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(support.MCPCRED, [support.MCPCRED, *ADD], home.environment())
        read_until(terminal, b"Secret: ")
        while termios.tcgetattr(terminal)[3] & termios.ECHO:
            time.sleep(0.01)
        for _ in range(10):
            os.write(terminal, b"0123456789" * 100)
            time.sleep(0.05)
        os.write(terminal, b"\r")
        read_until(terminal, b"Stored")
        os.waitpid(pid, 0)
        os.close(terminal)
        equal(home.broker.calls[-1][2], [b"0123456789" * 1000])


def test_pem_is_read_to_its_end():
    kind = "RSA PRIVATE" + " KEY"
    pem = f"-----BEGIN {kind}-----\nMIIB\nAAAA\n-----END {kind}-----"
    with home_for_add() as home:
        status, shown = typed(home, ADD, b"Secret: ", pem.replace("\n", "\r").encode() + b"\r")
        equal((status, home.broker.calls[-1][2]), (0, [pem.encode()]))
        holds(b"MIIB" not in shown)


def test_control_bytes_are_refused():
    for bad in (b"ab\x1b[200~c\r", b"a\tb\r", b"\x00\r", b"a\x1ab\r"):
        with home_for_add() as home:
            status, shown = typed(home, ADD, b"Secret: ", bad)
            equal((status, home.broker.calls), (2, []), bad)
            holds(b"control character" in shown, shown)


def test_cancelled():
    for keys in (b"abc\x03", b"\x04", b"\r"):
        with home_for_add() as home:
            status, _ = typed(home, ADD, b"Secret: ", keys)
            equal((status, home.broker.calls), (2, []), keys)


def test_passphrase_is_typed_twice():
    with home_for_add() as home:
        words = ["unlock", "--create"]
        status, _ = typed(home, words, [b"New passphrase: ", b"Once more: "], [b"one\r", b"two\r"])
        equal((status, home.broker.calls), (2, []))
        status, _ = typed(home, words, [b"New passphrase: ", b"Once more: "], [b"one\r", b"one\r"])
        equal((status, home.broker.calls[-1][2]), (0, [b"one"]))


def test_remove_asks_on_a_terminal():
    with home_for_add() as home:
        status, shown = typed(home, ["remove", "k"], b"(y|n)", b"n\r")
        equal((status, [c[1].get("dry_run") for c in home.broker.calls]), (2, [True]))
        status, shown = typed(home, ["remove", "k"], b"(y|n)", b"y\r")
        equal((status, home.broker.calls[-1][1]), (0, {"name": "k"}))
        holds(b"1 session and 2 leases" in shown, shown)


def test_github_app_is_asked_for():
    with home_for_add() as home:
        status, _ = typed(home, ["add", "github"], [b"App ID: ", b"Installation ID: ", b"PEM file): "],
                          [b"12\r", b"34\r", b"x\r"])
        equal((status, home.broker.calls[-1][1]["parameters"]), (0, {"app_id": "12", "installation_id": "34"}))


def test_colours_only_where_wanted():
    with Home({"Doctor": lambda p: {"checks": [{"id": "x", "status": "ok", "summary": "fine"}]}}) as home:
        for env, wanted in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
            pid, terminal = pty.fork()
            if pid == 0:
                os.execve(support.MCPCRED, [support.MCPCRED, "doctor"], home.environment(**env))
            shown = read_until(terminal, b"failures")
            os.waitpid(pid, 0)
            os.close(terminal)
            equal(b"\033[" in shown, wanted, env)
        holds(b"\033[" not in home.run("doctor", env={"TERM": "xterm"}).stdout)


support.main(globals())
