#!/usr/bin/python3
"""The client of proxy_bench.py: the same in each sandbox, and without any.

usage: load.py URL [PROXY]

Does its measurements one by one: says "ready NAME" on standard output, waits for a line, measures, and says
its result as a line of JSON. PROXY is "none", "env" (of HTTPS_PROXY), or http://[USER:PASSWORD@]HOST:PORT.
A key is in BENCH_KEY.
"""

import base64
import json
import os
import re
import socket
import ssl
import statistics
import subprocess
import sys
import time
import urllib.parse

WARM, COLD, BODIES, BODY = 3000, 60, 12, 10_000_000
CLIENTS, SECONDS = 8, 4

url = urllib.parse.urlsplit(sys.argv[1])
proxy = sys.argv[2] if len(sys.argv) > 2 else "none"
proxy = os.environ["HTTPS_PROXY"] if proxy == "env" else proxy
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
AUTHORIZATION = f"Authorization: Bearer {os.environ['BENCH_KEY']}"


def connect():
    port = url.port or 443
    if proxy == "none":
        plain = socket.create_connection((url.hostname, port))
    else:
        way = urllib.parse.urlsplit(proxy)
        plain = socket.create_connection((way.hostname, way.port))
        lines = [f"CONNECT {url.hostname}:{port} HTTP/1.1", f"Host: {url.hostname}:{port}"]
        if way.username:
            lines.append("Proxy-Authorization: Basic " + base64.b64encode(f"{way.username}:{way.password}".encode()).decode())
        plain.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += plain.recv(4096) or sys.exit("the proxy closed")
        if b" 200 " not in head.split(b"\r\n")[0]:
            sys.exit(head.decode())
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname=url.hostname)


def head(method, path, *more):
    return ("\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {url.hostname}", AUTHORIZATION, *more]) + "\r\n\r\n").encode()


def receive(connection, buffer=bytearray(1 << 18)):
    """The size of one response's body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or sys.exit("closed in the middle of a head")
    first, _, rest = data.partition(b"\r\n\r\n")
    if not re.match(rb"HTTP/1.1 20", first):
        sys.exit(data[:500].decode("latin-1"))
    if first.startswith(b"HTTP/1.1 204"):
        return 0
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", first)
    if length:
        left = int(length[1]) - len(rest)
        while left > 0:
            size = connection.recv_into(buffer)
            left -= size or sys.exit("closed in the middle of a body")
        return int(length[1])
    total = len(rest)
    while b"0\r\n\r\n" not in rest[-7:]:
        rest = connection.recv(1 << 18) or sys.exit("closed in the middle of chunks")
        total += len(rest)
    return total


def summary(values):
    ordered = sorted(values)
    return {"p50": statistics.median(ordered), "min": ordered[0], "p99": ordered[int(len(ordered) * 0.99)], "n": len(ordered)}


def warm():
    request, values = head("GET", "/small"), []
    with connect() as connection:
        for _ in range(WARM):
            start = time.perf_counter()
            connection.sendall(request)
            receive(connection)
            values.append(time.perf_counter() - start)
    return summary(values[WARM // 10 :])


def cold():
    request, values = head("GET", "/small"), []
    for _ in range(COLD):
        start = time.perf_counter()
        with connect() as connection:
            connection.sendall(request)
            receive(connection)
            values.append(time.perf_counter() - start)
    return summary(values)


def down():
    request = head("GET", "/big")
    with connect() as connection:
        start = time.perf_counter()
        for _ in range(BODIES):
            connection.sendall(request)
            receive(connection)
        return {"rate": BODIES * BODY / (time.perf_counter() - start), "n": BODIES}


def up():
    request, body = head("PUT", "/put/body", f"Content-Length: {BODY}"), bytes(BODY)
    with connect() as connection:
        start = time.perf_counter()
        for _ in range(BODIES):
            connection.sendall(request)
            connection.sendall(body)
            receive(connection)
        return {"rate": BODIES * BODY / (time.perf_counter() - start), "n": BODIES}


def small():
    """As hey sees it; it does not verify, and knows no proxy of the environment."""
    command = ["hey", "-z", f"{SECONDS}s", "-c", str(CLIENTS), "-H", AUTHORIZATION]
    command += ["-x", proxy] if proxy != "none" else []
    done = subprocess.run([*command, sys.argv[1] + "/small"], capture_output=True, text=True, check=False)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    codes = dict((code, int(number)) for code, number in re.findall(r"\[(\d+)\]\s+(\d+) responses", done.stdout))
    if not rate or not codes:
        return {"rate": 0.0, "n": 0, "failed": (done.stdout + done.stderr)[-500:]}
    return {"rate": float(rate[1]), "n": sum(codes.values()), "codes": codes}


for measure in (warm, cold, small, down, up):
    print("ready", measure.__name__, flush=True)
    sys.stdin.readline()
    print(json.dumps(measure()), flush=True)
