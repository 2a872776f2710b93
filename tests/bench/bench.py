#!/usr/bin/python3
"""Benchmarks: differences and ratios within one run. Nothing is asserted, since machines are shared.

    MCPCRED_BUILD=DIR tests/bench/bench.py [PAIRS]

Pairs are interleaved (A B A B ...), and medians are quoted with minimum and maximum.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration" / "broker"), str(HERE.parent / "support")]

from harness import BUILD, Broker, children_of  # noqa: E402
from standin import Standin  # noqa: E402

COMMAND = f"{BUILD}/client-lib/cli/mcpcred"
CHILD = ["/bin/echo", "here"]
PROFILES = f"""
[profile github]
secret = github
repositories = octo/hello
permissions = contents:read
ttl = 1h
deliver = env
env = GITHUB_TOKEN

[profile socket]
secret = github
repositories = octo/hello
permissions = contents:read
ttl = 1h
deliver = socket

[profile stored]
secret = key
ttl = 1h
deliver = env
env = API_KEY
expose_secret = yes
command = {" ".join(CHILD)}
"""


def milliseconds(seconds):
    return f"{1000 * seconds:8.2f}"


def row(name, values, note=""):
    ordered = sorted(values)
    print(f"  {name:44}{milliseconds(statistics.median(ordered))}{milliseconds(ordered[0])}"
          f"{milliseconds(ordered[-1])}  {note}", flush=True)


def until_first_byte(command):
    """From before the spawn until the child has written something, and until all is over."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    process.stdout.read(1)
    first = time.perf_counter() - start
    process.stdout.read()
    if process.wait() != 0:
        raise SystemExit(f"{command[0]} failed")
    process.stdout.close()
    return first, time.perf_counter() - start


def launches(broker, profile, pairs):
    plain, first, whole = [], [], []
    command = [COMMAND, "--runtime", broker.path("runtime"), "exec", profile, "--", *CHILD]
    for _ in range(pairs):
        plain.append(until_first_byte(CHILD)[0])
        a, b = until_first_byte(command)
        first.append(a)
        whole.append(b)
    row(f"exec {profile}: child runs", first)
    row(f"exec {profile}: all is over", whole)
    row("plain spawn of the same child", plain)
    row(f"exec {profile}: added until the child runs", [a - b for a, b in zip(first, plain)])


def mints(github, pairs):
    values = []
    for _ in range(pairs):
        start = time.perf_counter()
        github.mint(repositories=["hello"], permissions={"contents": "read"})
        values.append(time.perf_counter() - start)
    row("the upstream alone: one mint, new connection", values)


def tokens(broker, pairs):
    """A token that is there already, over the session's own socket: two hops and the vault's look-up."""
    session = broker.open("socket", want_descriptor=True)
    values, status = [], []
    with session.connect() as client, broker.client() as control:
        client.call("GetToken", {"session": session.secret})
        for _ in range(pairs * 10):
            start = time.perf_counter()
            client.call("GetToken", {"session": session.secret})
            middle = time.perf_counter()
            control.call("Status")
            status.append(time.perf_counter() - middle)
            values.append(middle - start)
    row("GetToken of a live token, path socket", values)
    row("Status, control socket (with its attestation)", status)


def memory(broker):
    total = 0
    processes = {broker.process.pid: "supervisor", **children_of(broker.process.pid)}
    for pid, name in sorted(processes.items(), key=lambda item: item[1]):
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            pss = next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        total += pss
        print(f"  {name:44}{pss / 1024:8.2f} MiB")
    print(f"  {'all of it':44}{total / 1024:8.2f} MiB")


def main():
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    with open("/proc/loadavg", encoding="ascii") as file:
        print(f"load {file.read().split()[0]}, {os.cpu_count()} processors; milliseconds: median, minimum, maximum")
    with Standin() as github:
        broker = Broker(config=PROFILES, store="sealed-file", ca_file=github.ca)
        try:
            broker.start_sealed()
            if os.geteuid() == 0:
                print("proportional memory, idle")
                memory(broker)
            broker.add_github(github)
            broker.add("key", "static", b"a" * 40, hosts=["api.search.example"])
            print("launch")
            for profile in ("stored", "socket", "github"):
                launches(broker, profile, pairs)
            mints(github, pairs)
            print("calls")
            tokens(broker, pairs)
        finally:
            broker.close()


main()
