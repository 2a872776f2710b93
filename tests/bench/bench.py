#!/usr/bin/python3
"""Benchmarks: differences and ratios within one run. Nothing is asserted, since machines are shared.

    tests/bench/run.sh [PAIRS]

Pairs are interleaved (A B A B ...), and medians are quoted with minimum and maximum.
"""
import contextlib
import os
import pathlib
import socket
import sqlite3
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration" / "broker"), str(HERE.parent / "support")]

from harness import BUILD, Broker, children_of, wait_gone  # noqa: E402
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


def exchange(connection, message):
    """One call as bytes, so that the client's JSON is on neither side of a comparison."""
    start = time.perf_counter()
    connection.sendall(message)
    size = 0
    while True:
        data = connection.recv(65536)
        size += len(data)
        if not data:
            raise SystemExit("the other side closed")
        if data[-1] == 0:
            return time.perf_counter() - start, size


def tokens(broker, pairs):
    """A token that is there already, over the session's descriptor, beside an echo of the same size and hops."""
    session = broker.open("socket", want_descriptor=True)
    message = b'{"method":"io.mcpcred.Session.GetToken","parameters":{}}\0'
    ours, theirs = socket.socketpair()
    with socket.socket(fileno=session.descriptor) as connection, ours, broker.client() as control:
        _, size = exchange(connection, message)
        with theirs:
            command = [f"{BUILD}/tests/bench/echo", str(theirs.fileno()), str(size)]
            echo = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        values, echoes, status = [], [], []
        for _ in range(pairs * 40):
            values.append(exchange(connection, message)[0])
            echoes.append(exchange(ours, message)[0])
        for _ in range(pairs * 4):
            start = time.perf_counter()
            control.call("Status")
            status.append(time.perf_counter() - start)
    echo.wait()
    ratio = statistics.median(values) / statistics.median(echoes)
    row("GetToken of a live token, session descriptor", values)
    row("an echo over the same two hops", echoes, f"ratio of medians {ratio:.1f}")
    row("Status, control socket (with its attestation)", status)


def copy_leases(path, count):
    """As many leases as if their session had asked for them one by one."""
    with contextlib.closing(sqlite3.connect(path)) as state, state:
        state.row_factory = sqlite3.Row
        model = dict(state.execute("SELECT * FROM lease WHERE provider = 'static' AND state = 1").fetchone())
        del model["sequence"]
        statement = f"INSERT INTO lease ({', '.join(model)}) VALUES ({', '.join('?' * len(model))})"
        rows = ({**model, "id": f"l-{number:016d}", "token_hash": number.to_bytes(32, "big")} for number in range(count))
        state.executemany(statement, (tuple(row.values()) for row in rows))


def restarts(ca, counts):
    """From the start of a broker whose last one was killed, until it answers, and until its leases are over."""
    for count in counts:
        broker = Broker(config=PROFILES, store="sealed-file", ca_file=ca)
        try:
            broker.start_sealed()
            broker.add("key", "static", b"a" * 40, hosts=["api.search.example"])
            broker.open("stored", command=CHILD)
            for pidfd in broker.kill():
                wait_gone(pidfd)
                os.close(pidfd)
            copy_leases(broker.path("state", "state.db"), count - 1)
            start = time.perf_counter()
            broker.launch()
            broker.wait_status()
            first = time.perf_counter() - start
            # The state's columns are sealed with what the store holds.
            broker.unlock()
            broker.wait_status(lambda status: status["leases"] == 0)
            row(f"restart with {count} leases: first answer", [first])
            row(f"restart with {count} leases: they are over", [time.perf_counter() - start])
        finally:
            broker.close()


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
        print("restart (how often the answer is asked for: every 10 ms)")
        restarts(github.ca, (1, 1, 10_000, 10_000, 100_000))


main()
