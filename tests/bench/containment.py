#!/usr/bin/python3
"""How fast a revocation holds, and what a hundred thousand leases cost. Nothing is asserted but the order.

    tests/bench/containment.py [--sessions N] [--rounds N] [--leases N] [--state DIR] [streams|leases]

streams: N sessions, each with a stream through the proxy on which both sides send without an end. One, ten and all
are revoked; told is the time from the call to the last byte that the upstream got (by the kernel's clock) and to the
last that the client read, over all streams that were revoked, and to the reply, which must come behind both. Unix
sockets have no clock: what a client that is not scheduled reads late had come before the reply if its connection
was closed by then, and that is looked at.

leases: a vault whose state has N leases in some hundred sessions is killed, and answers again; then all are revoked.
The rows are written into the state while no vault runs, as the vault writes them.

The build is $MCPCRED_BUILD. The state is in memory, or below DIR.
"""

import argparse
import contextlib
import multiprocessing
import os
import pathlib
import re
import secrets
import select
import selectors
import shutil
import signal
import socket
import sqlite3
import ssl
import statistics
import struct
import sys
import tempfile
import time
from multiprocessing import reduction

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration/broker"), str(HERE.parent / "support")]

import certs  # noqa: E402
from harness import Broker, children_of, wait_until  # noqa: E402

KEY = "bench-" + "k" * 34
TENS = 6
SAMPLES = 20
# Of all streams together there is a byte on each side every half millisecond; of one that is watched, each millisecond.
INTERVAL, WATCHED = 0.5, 0.001
SO_TIMESTAMPNS = 35
PIECE = 65536
# As much as is held back of a body to look for the credential: behind it, each tick moves one on.
FILLING = b"400\r\n" + 1024 * b"x" + b"\r\n"
PROFILE = """
[profile {name}]
secret    = bench
deliver   = proxy
slot      = bearer
env       = BENCH_KEY
allow     = * localhost:{port} /**
addresses = 127.0.0.0/8, ::1/128
"""


class Stream:
    """One connection at one end: TLS over a socket, ticks out, and when the last bytes came in."""

    def __init__(self, sock, tls, incoming, outgoing, number=None):
        self.socket, self.tls, self.incoming, self.outgoing, self.number = sock, tls, incoming, outgoing, number
        self.last, self.next, self.interval, self.ended, self.head = 0.0, 0.0, INTERVAL, False, b""

    def flush(self):
        data = self.outgoing.read()
        if data:
            self.socket.send(data)

    def tick(self, now):
        if self.ended or now < self.next:
            return
        self.next = max(self.next + self.interval, now)
        try:
            self.tls.write(b"4\r\ntick\r\n")
            self.flush()
        except OSError:
            pass  # its end is noticed where it is read

    def start(self, share):
        self.next = time.monotonic() + INTERVAL * share

    def pause(self):
        return self.next - time.monotonic()


def answer(streams, pipe, order, numbers):
    """What the measuring process asks: to watch some closely, or when their last bytes came."""
    chosen = [streams.get(number) for number in numbers]
    if order == "watch":
        for stream in chosen:
            stream.interval, stream.next = WATCHED, 0.0
        pipe.send(None)
    else:
        pipe.send([(stream.last, stream.ended) if stream else (0.0, False) for stream in chosen])


def tick_all(streams):
    """Those that are due; returns how long nothing is."""
    now, soonest = time.monotonic(), INTERVAL
    for stream in streams:
        if stream.ended:
            continue
        stream.tick(now)
        soonest = min(soonest, stream.next - now)
    return max(0, soonest)


def upstream(listener, authority, pipe):
    """Takes uploads without looking at them: that bytes came is what counts, and when."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority)
    selector, streams, all_streams = selectors.DefaultSelector(), {}, []
    selector.register(listener, selectors.EVENT_READ, None)
    selector.register(pipe, selectors.EVENT_READ, None)

    def accept():
        sock, _ = listener.accept()
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setblocking(False)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        stream = Stream(sock, context.wrap_bio(incoming, outgoing, server_side=True), incoming, outgoing)
        selector.register(sock, selectors.EVENT_READ, stream)

    def begin(stream, data):
        """Handshake and head."""
        stream.incoming.write(data)
        try:
            stream.tls.do_handshake()
            while True:
                stream.head += stream.tls.read(PIECE)
        except ssl.SSLWantReadError:
            pass
        if b"\r\n\r\n" in stream.head:
            stream.number = int(re.match(rb"POST /(\d+) ", stream.head)[1])
            streams[stream.number] = stream
            all_streams.append(stream)
            stream.tls.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + FILLING)
            stream.start(secrets.randbelow(1000) / 1000)
        stream.flush()

    def read(stream):
        try:
            data, extra, _, _ = stream.socket.recvmsg(PIECE, 64)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            stream.ended = True
            selector.unregister(stream.socket)
            stream.socket.close()
        elif stream.number is None:
            begin(stream, data)
        else:
            seconds, nanoseconds = struct.unpack("qq", extra[0][2][:16])
            stream.last = seconds + nanoseconds / 1e9

    pause = INTERVAL
    while True:
        for key, _ in selector.select(pause):
            if key.fileobj is listener:
                accept()
            elif key.fileobj is pipe:
                answer(streams, pipe, *pipe.recv())
            else:
                read(key.data)
        pause = tick_all(all_streams)


def connect(number, session):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(session["proxy_socket"])
    target = f"localhost:{session['port']}"
    sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(4096) or sys.exit("CONNECT: closed")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=session["ca"])
    stream = Stream(sock, context.wrap_bio(incoming, outgoing, server_hostname="localhost"), incoming, outgoing, number)
    while True:
        try:
            stream.tls.do_handshake()
            stream.flush()
            break
        except ssl.SSLWantReadError:
            stream.flush()
            incoming.write(sock.recv(PIECE) or sys.exit("TLS: closed"))
    lines = [f"POST /{number} HTTP/1.1", f"Host: {target}", f"Authorization: Bearer {session['handle']}", "Transfer-Encoding: chunked"]
    stream.tls.write(("\r\n".join(lines) + "\r\n\r\n").encode() + FILLING)
    stream.flush()
    sock.setblocking(False)
    stream.start(secrets.randbelow(1000) / 1000)
    return stream


def client(pipe):
    """The sandboxes' side. A byte counts when this process has read it."""
    selector, streams, all_streams = selectors.DefaultSelector(), {}, []
    selector.register(pipe, selectors.EVENT_READ, None)

    def obey(order, body):
        if order != "connect":
            answer(streams, pipe, order, body)
            return
        number, session = body
        streams[number] = connect(number, session)
        all_streams.append(streams[number])
        selector.register(streams[number].socket, selectors.EVENT_READ, streams[number])
        pipe.send(None)
        reduction.send_handle(pipe, streams[number].socket.fileno(), os.getppid())

    pause = INTERVAL
    while True:
        for key, _ in selector.select(pause):
            if key.fileobj is pipe:
                obey(*pipe.recv())
                continue
            stream = key.data
            try:
                data = stream.socket.recv(PIECE)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                stream.last = time.time()
            else:
                stream.ended = True
                selector.unregister(stream.socket)
                stream.socket.close()
        pause = tick_all(all_streams)


class Ends:
    """The two processes at the ends of the streams."""

    def __init__(self, authority):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self.listener.getsockname()[1]
        self.up, theirs = multiprocessing.Pipe()
        self.upstream = multiprocessing.Process(target=upstream, args=(self.listener, authority, theirs), daemon=True)
        self.upstream.start()
        self.down, theirs = multiprocessing.Pipe()
        self.client = multiprocessing.Process(target=client, args=(theirs,), daemon=True)
        self.client.start()
        self.connections = {}

    def connect(self, number, session):
        self.down.send(("connect", (number, session)))
        self.down.recv()
        self.connections[number] = reduction.recv_handle(self.down)

    def take_open(self, numbers):
        """How many of the clients' connections the broker has not closed; of no further use to us."""
        poll, fds = select.poll(), [self.connections.pop(number) for number in numbers]
        for fd in fds:
            poll.register(fd, select.POLLRDHUP)
        still = len(fds) - len(poll.poll(0))
        for fd in fds:
            os.close(fd)
        return still

    def ask(self, order, numbers):
        self.up.send((order, numbers))
        self.down.send((order, numbers))
        return self.up.recv(), self.down.recv()

    def started(self, numbers):
        """Both sides have got something on each."""
        return all(last > 0 for side in self.ask("last", numbers) for last, _ in side)

    def close(self):
        self.upstream.terminate()
        self.client.terminate()


class Table:
    def __init__(self):
        self.rows = {}

    def add(self, name, **values):
        for key, value in values.items():
            self.rows.setdefault((name, key), []).append(value)

    def print(self):
        print(f"  {'':28}{'p50':>9}{'p99':>9}{'max':>9}{'n':>6}   milliseconds from the call")
        for (name, key), values in self.rows.items():
            ordered = sorted(1000 * value for value in values)
            high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
            print(f"  {name + ': ' + key:28}{statistics.median(ordered):9.2f}{high:9.2f}{ordered[-1]:9.2f}{len(ordered):6}")


def pss(pid):
    """MiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


@contextlib.contextmanager
def broker_of(config, ca, state):
    broker = Broker(config, ca_file=ca, broker_keys="max_sessions = 4096\n")
    if state:
        shutil.rmtree(broker.path("state"))
        place = tempfile.mkdtemp(prefix="bench-state-", dir=state)
        os.symlink(place, broker.path("state"))
    try:
        yield broker.start()
    finally:
        broker.close()
        if state:
            shutil.rmtree(place)


def sample(broker, ends, name, numbers, selector, table):
    ends.ask("watch", numbers[:10])
    # Another moment of the streams each time.
    time.sleep(0.05 + secrets.randbelow(50) / 1000)
    with broker.client(timeout=120) as caller:
        caller.call("Status")
        begin = time.time()
        replies = caller.stream("Revoke", selector)
        replied = time.time()
    still_open = ends.take_open(numbers)
    time.sleep(0.3)  # for what should not come any more
    up, down = ends.ask("last", numbers)
    sent, read = max(last for last, _ in up), max(last for last, _ in down)
    if not all(ended for side in (up, down) for _, ended in side):
        sys.exit(f"{name}: a stream goes on")
    for side, early in (("upstream", sent > replied), ("client", still_open > 0)):
        if early:
            print(f"  {name}: the reply came before the last byte at the {side}")
    if read > replied and not still_open:
        print(f"  {name}: the client read its last byte {(read - replied) * 1000:.1f} ms behind the reply, which came behind the end")
    table.add(name, upstream=max(0, sent - begin), client=max(0, read - begin), reply=replied - begin)
    return replies[-1]["sessions"]


def streams_round(broker, ends, n, table, first):
    names = [f"ten{index}" for index in range(TENS) for _ in range(10)]
    names += ["bench"] * (n - len(names))
    sessions = []
    begin = time.time()
    for number, name in enumerate(names, first):
        reply = broker.open(name, proxy="127.0.0.1:3128", sandboxed=True).reply
        handle = next(item["value"] for item in reply["environment"] if item["name"] == "BENCH_KEY")
        sessions.append((number, reply["session"], name))
        session = {"proxy_socket": reply["proxy_socket"], "ca": reply["ca"], "handle": handle, "port": ends.port}
        ends.connect(number, session)
    numbers = [number for number, _, _ in sessions]
    wait_until(lambda: ends.started(numbers), "not all streams run", 120)
    roles = children_of(broker.process.pid)
    memory = {}
    for pid, role in roles.items():
        memory.setdefault(role.removeprefix("mcpcred-"), []).append(pss(pid))
    print(f"  {n} sessions with a stream each after {time.time() - begin:.0f} s; MiB: "
          + ", ".join(f"{role} {sum(sizes):.0f} ({len(sizes)})" for role, sizes in sorted(memory.items())))
    rest = [item for item in sessions if item[2] == "bench"]
    for _ in range(min(SAMPLES, len(rest) // 2)):
        number, session, _ = rest.pop()
        sample(broker, ends, "one", [number], {"session": session}, table)
    for index in range(TENS):
        ten = [number for number, _, name in sessions if name == f"ten{index}"]
        sample(broker, ends, "ten", ten, {"profile": f"ten{index}"}, table)
    ended = sample(broker, ends, "all", [number for number, _, _ in rest], {"all": True}, table)
    print(f"  all: {ended} sessions ended")


def streams(options):
    with tempfile.TemporaryDirectory(prefix="mcpcred-bench-") as place:
        files = certs.prepare(place, ["localhost"])
        ends = Ends((files["server"], files["server_key"]))
        config = "".join(PROFILE.format(name=name, port=ends.port) for name in ["bench", *(f"ten{i}" for i in range(TENS))])
        table = Table()
        try:
            with broker_of(config, files["ca"], options.state) as broker:
                broker.add("bench", "static", KEY.encode(), hosts=[f"localhost:{ends.port}"])
                for index in range(options.rounds):
                    streams_round(broker, ends, options.sessions, table, index * options.sessions)
        finally:
            ends.close()
        table.print()


# ---- leases ----


def fill(broker, n, sessions):
    """Handles and stored keys in use, as the vault writes them, in the vault's absence."""
    db = sqlite3.connect(broker.path("state", "state.db"))
    now = int(time.time() * 1e6)
    insert = """INSERT INTO lease (id, session, profile, secret, provider, generation, state, outcome, on_end, created,
        expires, ended, upstream_id, attempts, next_attempt, reason, token_hash, token, upstream, kind, principal)
        VALUES (?, ?, 'bench', 'bench', 'static', 1, 1, 0, 0, ?, ?, 0, '', 0, 0, '', ?, NULL, ?, ?, ?)"""
    alphabet = "0123456789abcdefghijklmnopqrstuv"
    rows = ((
        "l-" + "".join(alphabet[byte % 32] for byte in secrets.token_bytes(16)), sessions[number % len(sessions)], now,
        now + 3600 * 10**6, secrets.token_bytes(32), secrets.token_bytes(60), 1 + number % 2, os.getuid(),
    ) for number in range(n))
    with db:
        db.executemany(insert, rows)
    db.close()


def restart(broker, change):
    """Kills the vault and does something to its state before the next one runs. Returns the time to its first answer."""
    mark = broker.log.mark()
    os.kill(broker.process.pid, signal.SIGSTOP)
    broker.signal_role("vault")
    change()
    begin = time.time()
    os.kill(broker.process.pid, signal.SIGCONT)
    broker.log.wait("state: ready", mark)
    broker.wait_ready()
    return time.time() - begin


def leases(options):
    with broker_of(PROFILE.format(name="bench", port=443), None, options.state) as broker:
        broker.add("bench", "static", KEY.encode(), hosts=["localhost"])
        sessions = [broker.open("bench", proxy="127.0.0.1:3128", sandboxed=True).id for _ in range(100)]
        empty = restart(broker, lambda: None)
        before = pss(broker.role_pid("vault"))
        filled = restart(broker, lambda: fill(broker, options.leases, sessions))
        print(f"  {options.leases} leases in {len(sessions)} sessions; the state has {os.stat(broker.path('state', 'state.db')).st_size / 2**20:.0f} MiB")
        print(f"  restart to first answer: {filled * 1000:.0f} ms (with {len(sessions)} leases {empty * 1000:.0f} ms)")
        print(f"  vault, MiB proportional: {pss(broker.role_pid('vault')):.1f} (with {len(sessions)} leases {before:.1f})")
        for name, selector in (("dry run", {"all": True, "dry_run": True}), ("revoke all", {"all": True})):
            with broker.client(timeout=120) as caller:
                begin = time.time()
                reply = caller.stream("Revoke", selector)[-1]
                print(f"  {name}: {(time.time() - begin) * 1000:.0f} ms to the reply, {reply['sessions']} sessions, {reply['totals']}")
        print(f"  vault behind it: {pss(broker.role_pid('vault')):.1f} MiB")
        again = restart(broker, lambda: None)
        print(f"  restart with {options.leases} that are over: {again * 1000:.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--leases", type=int, default=100_000)
    parser.add_argument("--state")
    parser.add_argument("what", nargs="?", choices=("streams", "leases"))
    options = parser.parse_args()
    print(f"load {pathlib.Path('/proc/loadavg').read_text().split()[0]}, {os.cpu_count()} processors")
    for name, measure in (("streams", streams), ("leases", leases)):
        if options.what in (None, name):
            print(name, flush=True)
            measure(options)


if __name__ == "__main__":
    main()
