#!/usr/bin/python3
"""What a session costs: `exec --sandbox` beside plain bubblewrap, and each call of its life. Nothing is asserted.

    tests/bench/session_bench.py [--state DIR] ROUNDS BUILD...

Several builds, each with a broker of its own, are measured in turns of the same run. The state is in memory, or
in a directory of DIR. Each broker has one profile whose egress runs already, as with a client that is used daily.
"""

import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration" / "job"), str(HERE.parent / "integration/broker")]

import job  # noqa: E402
from harness import Log, children_of  # noqa: E402
from varlink import SESSION, Client  # noqa: E402

HOST = "echo.example.test"
CHILD = ["/bin/echo", "here"]
BWRAP = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run"]
BWRAP += ["--unshare-all", "--die-with-parent", "--"]
CONFIGURATION = """
[broker]
store = memory
"""
PROFILE = f"""
[profile %s]
secret    = bench
deliver   = proxy
slot      = bearer
env       = BENCH_KEY
allow     = * {HOST} /**
addresses = 127.0.0.0/8
"""
# Profiles that nobody has used yet, whose egress has to be started.
FRESH = 8


def until_first_byte(command):
    """From before the spawn until the child has written something, and until all is over."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(1)
    first = time.perf_counter() - start
    process.stdout.read()
    error = process.stderr.read()
    if process.wait() != 0:
        raise SystemExit(f"{command}: {error.decode()}")
    return first, time.perf_counter() - start


def pss(pid):
    """MiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


class Build:
    def __init__(self, name, build, top, state):
        self.name, self.build, self.top = name, build, top
        for folder in ("runtime", "config"):
            (top / folder).mkdir(parents=True, mode=0o700)
        profiles = ["bench", "second", *(f"fresh{number}" for number in range(FRESH))]
        state.mkdir(parents=True, mode=0o700)
        (top / "config/mcpcred.conf").write_text(CONFIGURATION + "".join(PROFILE % name for name in profiles))
        command = [f"{build}/broker/supervisor/mcpcredd", "--foreground", "--libexec", f"{build}/libexec"]
        command += ["--runtime", str(top / "runtime"), "--state", str(state), "--config", str(top / "config")]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.log = Log(self.process.stderr)
        self.log.wait("store: .* is open")
        self.mcpcred = [f"{build}/client-lib/cli/mcpcred", "--runtime", str(top / "runtime")]
        key = "k" * 40
        subprocess.run([*self.mcpcred, "add", "bench", "--host", HOST, "--stdin"], input=key, text=True, check=True, stdout=subprocess.DEVNULL)
        self.times = {}

    def note(self, name, seconds):
        self.times.setdefault(name, []).append(seconds)

    def timed(self, name, call):
        start = time.perf_counter()
        result = call()
        self.note(name, time.perf_counter() - start)
        return result

    def launch(self, profile="bench", what="exec --sandbox"):
        first, whole = until_first_byte([*self.mcpcred, "exec", profile, "--sandbox", "--", *CHILD])
        self.note(f"{what}: child runs", first)
        self.note(f"{what}: all is over", whole)

    def calls(self):
        """The session's life without a sandbox."""
        start = time.perf_counter()
        with Client(str(self.top / "runtime/broker.sock")) as client:
            client.call("Status")
            self.note("connect and Status", time.perf_counter() - start)
            parameters = {"grants": [{"profile": "bench"}], "want_descriptor": True, "proxy": "127.0.0.1:3128", "sandboxed": True}
            reply = self.timed("OpenSession", lambda: client.call("OpenSession", parameters))
            with Client(fd=client.take_fd(), interface=SESSION) as session:
                for name in ("first", "second", "third"):
                    with socket.socket() as served:
                        served.bind(("127.0.0.1", 0))
                        served.listen()
                        self.timed(f"Serve, the {name}", lambda: session.call("Serve", {"service": "loopback"}, [served.fileno()]))
                self.timed("CloseSession", lambda: client.call("CloseSession", {"session": reply["session"]}))

    def memory(self):
        held = []
        wait = ["/bin/sh", "-c", "echo ready; read line"]
        for profile in ("bench", "bench", "second"):
            command = [*self.mcpcred, "exec", profile, "--sandbox", "--", *wait]
            held.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            held[-1].stdout.readline()
        time.sleep(1)
        roles = children_of(self.process.pid)
        print(f"  {self.name}: " + ", ".join(f"{role.removeprefix('mcpcred-')} {pss(pid):.2f}" for pid, role in sorted(roles.items(), key=lambda item: item[1])))
        for child in held:
            child.stdin.close()
            child.wait()
            child.stdout.close()

    def close(self):
        self.process.terminate()
        self.process.wait()


def table(values, base):
    for name, seconds in values.items():
        ordered = sorted(1000 * value for value in seconds)
        more = f"{statistics.median(ordered) - base:9.1f}" if "child runs" in name else ""
        print(f"  {name:32}{statistics.median(ordered):9.2f}{ordered[0]:9.2f}{ordered[-1]:9.2f}{more}")


def load():
    return pathlib.Path("/proc/loadavg").read_text().split()[0]


def main():
    arguments = sys.argv[1:]
    state = arguments[1] if arguments[:1] == ["--state"] else None
    rounds, *paths = arguments[2:] if state else arguments
    job.enter_machine(__file__, modules=False, hosts=[HOST], keep=[*paths, *([state] if state else [])])
    top = pathlib.Path(job.HOME) / "bench"
    builds = []
    for number, path in enumerate(paths):
        place = pathlib.Path(state or top) / f"state-{os.getpid()}-{number}"
        builds.append(Build(path, path, top / str(number), place))
    try:
        print(f"load {load()}, {os.cpu_count()} processors, {rounds} rounds")
        for number in range(FRESH):
            for build in builds:
                build.launch(f"fresh{number}", "a profile's first")
        for build in builds:
            build.launch()
            del build.times["exec --sandbox: child runs"], build.times["exec --sandbox: all is over"]
        plain = []
        for _ in range(int(rounds)):
            plain.append(until_first_byte([*BWRAP, *CHILD])[0])
            for build in builds:
                build.launch()
                build.calls()
        base = 1000 * statistics.median(plain)
        print(f"load {load()}; milliseconds: median, minimum, maximum, more than bubblewrap's {base:.1f}")
        for build in builds:
            print(build.name)
            table(build.times, base)
        if os.geteuid() == 0:
            print("memory, MiB proportional, with three idle sessions of two profiles")
            for build in builds:
                build.memory()
    finally:
        for build in builds:
            build.close()


main()
