#!/usr/bin/python3
"""The proxy beside a direct connection, mitmproxy and srt's own proxy, in one run. Nothing is asserted.

    tests/bench/proxy.sh [ROUNDS] [VARIANT...]

Rounds are interleaved, and medians of the rounds are quoted. Variants:

direct       the client at nginx
mcpcred      in `exec --sandbox`, TLS straight to port 443 of the sandbox
connect      in `exec --sandbox`, through the HTTP proxy of the sandbox
mitmproxy    through mitmdump, which terminates TLS
srt          in srt, whose proxy passes TLS on unseen
srt-tls      in srt, whose proxy terminates TLS and puts the key in, as mcpcred does

Packages: nginx hey mitmproxy bubblewrap socat ripgrep, and srt from tests/integration/mcp/install.sh.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration" / "proxyjob")]

import proxyjob  # noqa: E402, I001: it says where the others are
import job  # noqa: E402
import certs  # noqa: E402
from harness import Log, children_of, wait_until  # noqa: E402
from job import HOME, LIBEXEC, MCPCRED, MCPCREDD, MODULES, RUNTIME  # noqa: E402
from upstreams import make_key  # noqa: E402

HOST = "echo.example.test"
URL = f"https://{HOST}"
VARIANTS = ("direct", "mcpcred", "connect", "mitmproxy", "srt", "srt-tls")
LOAD = ["/usr/bin/python3", str(HERE / "load.py"), URL]
CHILD = ["/bin/echo", "here"]
SRT = ["node", f"{MODULES}/node_modules/@anthropic-ai/sandbox-runtime/dist/cli.js", "--settings"]
BWRAP = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run"]
BWRAP += ["--unshare-all", "--die-with-parent", "--"]
MITM_PORT = 8899
RUN_MAX = 120  # seconds of one variant's measurements

NGINX = """
daemon off; master_process off; pid {top}/pid; error_log {top}/error.log; worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 300s; client_max_body_size 0;
  client_body_temp_path {top}/b; proxy_temp_path {top}/p; fastcgi_temp_path {top}/f; uwsgi_temp_path {top}/u; scgi_temp_path {top}/s;
  server {{
    listen 127.0.0.1:443 ssl; server_name {host};
    ssl_certificate {top}/server.pem; ssl_certificate_key {top}/server-key.pem; ssl_session_cache shared:a:1m;
    root {top}/www;
    location = /small {{ default_type text/plain; return 200 "{small}"; }}
    location /put/ {{ dav_methods PUT; }}
  }}
}}
"""

CONFIGURATION = """
[broker]
store   = memory
ca_file = {ca}

[profile bench]
secret     = bench
deliver    = proxy
slot       = bearer
env        = BENCH_KEY
allow      = * {host} /**
addresses  = 127.0.0.0/8
concurrent = 64

[profile second]
secret     = bench
deliver    = proxy
slot       = bearer
env        = BENCH_KEY
allow      = * {host} /**
addresses  = 127.0.0.0/8
"""


def cpu(pid):
    """Seconds that the process has had."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss(pid):
    """MiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


def until_first_byte(command, environment):
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    process.stdout.read(1)
    first = time.perf_counter() - start
    process.stdout.read()
    error = process.stderr.read()
    if process.wait() != 0:
        raise SystemExit(f"{command}: {error.decode()}")
    return first, time.perf_counter() - start


class Bench:
    def __init__(self):
        self.top = HOME / "bench"
        (self.top / "www/put").mkdir(parents=True)
        self.paths = certs.prepare(str(self.top), (HOST,))
        (self.top / "www/big").write_bytes(bytes(10_000_000))
        self.key = make_key()
        self.environment = {**os.environ, "SSL_CERT_FILE": self.paths["ca"], "BENCH_KEY": self.key}
        self.processes = []

    # -- what runs beside

    def spawn(self, command, **options):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            process.wait()

    def wait_port(self, port, what):
        def is_open():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(is_open, f"{what} does not listen")

    def start_nginx(self):
        text = NGINX.format(top=self.top, host=HOST, small="s" * 100)
        if os.geteuid() == 0:
            text = "user root;\n" + text
        (self.top / "nginx.conf").write_text(text)
        self.nginx = self.spawn(["/usr/sbin/nginx", "-c", str(self.top / "nginx.conf"), "-p", str(self.top)])
        self.wait_port(443, "nginx")

    def start_mitmproxy(self):
        command = ["mitmdump", "--quiet", "--listen-host", "127.0.0.1", "--listen-port", str(MITM_PORT)]
        command += ["--set", f"confdir={self.top}/mitm", "--set", f"ssl_verify_upstream_trusted_ca={self.paths['ca']}"]
        command += ["--set", "stream_large_bodies=1m"]
        self.mitm = self.spawn(command, stderr=subprocess.DEVNULL)
        self.wait_port(MITM_PORT, "mitmproxy")

    def start_broker(self):
        job.CONFIG.mkdir(parents=True, mode=0o700)
        (job.CONFIG / "mcpcred.conf").write_text(CONFIGURATION.format(ca=self.paths["ca"], host=HOST))
        command = [MCPCREDD, "--foreground", "--libexec", LIBEXEC]
        self.broker = self.spawn(command, stderr=subprocess.PIPE)
        self.log = Log(self.broker.stderr)
        self.log.wait("store: .* is open")
        subprocess.run([MCPCRED, "add", "bench", "--host", HOST, "--stdin"], input=self.key, text=True, check=True, stdout=subprocess.DEVNULL)

    def srt_settings(self, terminate):
        network = {"allowedDomains": [HOST, "127.0.0.1:443"], "deniedDomains": []}
        settings = {"network": network, "filesystem": {"denyRead": [], "allowWrite": ["/tmp"], "denyWrite": []}}
        if terminate:
            network["tlsTerminate"] = {}
            settings["credentials"] = {"envVars": [{"name": "BENCH_KEY", "mode": "mask", "injectHosts": [HOST]}]}
        path = self.top / f"srt-{terminate}.json"
        path.write_text(json.dumps(settings))
        return str(path)

    # -- how a command is run in each

    def exec_command(self, command, profile="bench"):
        return [MCPCRED, "exec", profile, "--sandbox", "--", *command]

    def variant(self, name):
        """(command, environment)"""
        node = {**self.environment, "NODE_EXTRA_CA_CERTS": self.paths["ca"]}
        mitm = {**self.environment, "SSL_CERT_FILE": f"{self.top}/mitm/mitmproxy-ca-cert.pem"}
        return {
            "direct": (LOAD, self.environment),
            "mcpcred": (self.exec_command(LOAD), dict(os.environ)),
            "connect": (self.exec_command([*LOAD, "env"]), dict(os.environ)),
            "mitmproxy": ([*LOAD, f"http://127.0.0.1:{MITM_PORT}"], mitm),
            "srt": ([*SRT, self.srt_settings(False), *LOAD, "env"], node),
            "srt-tls": ([*SRT, self.srt_settings(True), *LOAD, "env"], node),
        }[name]

    def workers(self):
        """{role: [pid]} of the way out, and what else works for the variants."""
        found = {"nginx": [self.nginx.pid]}
        if getattr(self, "mitm", None):
            found["mitmproxy"] = [self.mitm.pid]
        if getattr(self, "broker", None):
            for pid, name in children_of(self.broker.pid).items():
                found.setdefault(name.removeprefix("mcpcred-"), []).append(pid)
        return found

    def run(self, name):
        """{measure: result} of one round."""
        command, environment = self.variant(name)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        results = {}
        limit = threading.Timer(RUN_MAX, process.kill)
        limit.start()
        for line in process.stdout:
            if line.startswith("ready "):
                measure = line.split()[1]
                before = {pid: cpu(pid) for pids in self.workers().values() for pid in pids}
                process.stdin.write("\n")
                process.stdin.flush()
            else:
                results[measure] = json.loads(line)
                spent = {
                    role: sum(cpu(pid) - before[pid] for pid in pids if pid in before) for role, pids in self.workers().items()
                }
                results[measure]["cpu"] = spent
                if name == "mcpcred" and measure == "up" and os.geteuid() == 0:
                    self.memory("a session that was used, and its egress")
        limit.cancel()
        error = process.stderr.read()
        if process.wait() != 0:
            print(f"  {name}: ended in the middle, behind {list(results)}: {error.strip()[-600:]}", flush=True)
        return results

    # -- what is printed

    def memory(self, what):
        sizes = [f"{role} {pss(pid):.2f}" for role, pids in sorted(self.workers().items()) for pid in pids if role in ("session", "egress")]
        print(f"  memory, MiB proportional: {what}: {', '.join(sizes) or 'no process'}", flush=True)

    def launches(self, pairs):
        commands = {
            "plain spawn": (CHILD, self.environment),
            "bubblewrap": ([*BWRAP, *CHILD], self.environment),
            "exec --sandbox": (self.exec_command(CHILD), dict(os.environ)),
            "srt": ([*SRT, self.srt_settings(False), *CHILD], self.environment),
        }
        times = {name: [] for name in commands}
        for pair in range(pairs):
            for name, (command, environment) in commands.items():
                if name != "srt" or pair < 5:
                    times[name].append(until_first_byte(command, environment))
        base = statistics.median(first for first, _ in times["bubblewrap"])
        print("launch, ms: until the child runs, until all is over, more than bubblewrap until it runs")
        for name, values in times.items():
            first, whole = (statistics.median(column) for column in zip(*values))
            print(f"  {name:16}{1000 * first:9.1f}{1000 * whole:9.1f}{1000 * (first - base):9.1f}", flush=True)

    def sessions(self):
        """What sessions cost that do nothing, and the second profile's egress."""
        wait = ["/bin/sh", "-c", "echo ready; read line"]
        held = []
        for profile in ("bench", "bench", "second"):
            child = subprocess.Popen(self.exec_command(wait, profile), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            child.stdout.readline()
            held.append(child)
        self.memory("three sessions that do nothing, of two profiles")
        for child in held:
            child.stdin.close()
            child.wait()
            child.stdout.close()


def median_of(rounds, measure, field):
    values = [one[measure][field] for one in rounds if measure in one and one[measure].get(field)]
    return statistics.median(values) if values else None


def cell(value, scale, form="{:10.1f}"):
    return f"{'-':>10}" if value is None else form.format(value * scale)


def table(rounds):
    print("one client, µs: warm p50, more than direct; with its connection p50, more than direct")
    direct = {measure: median_of(rounds["direct"], measure, "p50") for measure in ("warm", "cold")}
    for name, found in rounds.items():
        line = ""
        for measure in ("warm", "cold"):
            value = median_of(found, measure, "p50")
            more = None if value is None or direct[measure] is None else value - direct[measure]
            line += cell(value, 1e6) + cell(more, 1e6)
        print(f"  {name:12}{line}", flush=True)
    print("requests a second with 8 clients (hey), as a part of direct; MB/s down, up, with their parts")
    for name, found in rounds.items():
        line = ""
        for measure, scale in (("small", 1), ("down", 1e-6), ("up", 1e-6)):
            value, base = median_of(found, measure, "rate"), median_of(rounds["direct"], measure, "rate")
            line += cell(value, scale) + cell(value and base and value / base, 100, "{:9.1f}%")
        print(f"  {name:12}{line}", flush=True)
        for one in found:
            if one.get("small", {}).get("failed") or set(one.get("small", {}).get("codes", {"200": 0})) != {"200"}:
                print(f"    not all were answered well: {one['small']}")
    print("processor time, µs a request with 8 clients")
    for name, found in rounds.items():
        roles = sorted({role for one in found for role in one.get("small", {}).get("cpu", {})})
        parts = []
        for role in roles:
            values = [1e6 * one["small"]["cpu"][role] / one["small"]["n"] for one in found if one.get("small", {}).get("n") and role in one["small"]["cpu"]]
            if values and statistics.median(values) > 0.2:
                parts.append(f"{role} {statistics.median(values):.1f}")
        print(f"  {name:12}{', '.join(parts)}", flush=True)


def main():
    proxyjob.enter(__file__)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    names = sys.argv[2:] or VARIANTS
    with open("/proc/loadavg", encoding="ascii") as file:
        print(f"load {file.read().split()[0]}, {os.cpu_count()} processors, {rounds} rounds", flush=True)
    bench = Bench()
    try:
        bench.start_nginx()
        if "mitmproxy" in names:
            bench.start_mitmproxy()
        found = {name: [] for name in names}
        if {"mcpcred", "connect"} & set(names):
            bench.start_broker()
            bench.launches(15)
            if os.geteuid() == 0:
                bench.sessions()
        for _ in range(rounds):
            for name in names:
                found[name].append(bench.run(name))
        table(found)
    finally:
        bench.close()
        shutil.rmtree(RUNTIME, ignore_errors=True)


main()
