"""Opens many connections with a response that does not end, or a request that does not, and tells when the last byte came.

usage: streams.py DOWNLOADS UPLOADS TICKS

Standard library alone; TLS as any client does it. Prints "open" when each of them has had TICKS events (a
download) or pieces (an upload that comes back), goes on until all have ended, and prints one line of JSON.
Times are of the monotonic clock, which is the same in every process here.
"""

import asyncio
import json
import os
import ssl
import sys
import time

HOST = "echo.example.test"
DOWNLOADS, UPLOADS, TICKS = map(int, sys.argv[1:4])
INTERVAL = 0.05


class Streams:
    def __init__(self):
        self.ready = 0
        self.last = 0.0
        self.failed = []
        self.all_open = asyncio.Event()

    def tick(self):
        self.last = time.monotonic()

    def opened(self):
        self.ready += 1
        if self.ready == DOWNLOADS + UPLOADS:
            print("open", flush=True)
            self.all_open.set()


async def connect(context, method, path):
    proxy = os.environ.get("STREAMS_PROXY")
    if proxy:
        host, _, port = proxy.removeprefix("http://").rstrip("/").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise OSError(head.decode())
        await writer.start_tls(context, server_hostname=HOST)
    else:
        reader, writer = await asyncio.open_connection(HOST, 443, ssl=context)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Authorization: Bearer {os.environ['ECHO_KEY']}"]
    if method == "POST":
        lines.append("Transfer-Encoding: chunked")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    return reader, writer


async def read_ticks(streams, reader):
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise OSError(head.decode("latin-1"))
    count = 0
    while True:
        data = await reader.read(65536)
        if not data:
            return
        streams.tick()
        count += 1
        if count == TICKS:
            streams.opened()


async def write_ticks(writer):
    while True:
        writer.write(b"4\r\ntick\r\n")
        await writer.drain()
        await asyncio.sleep(INTERVAL)


async def one(streams, context, upload):
    try:
        method, path = ("POST", "/duplex") if upload else ("GET", f"/stream?interval={int(INTERVAL * 1000)}")
        reader, writer = await connect(context, method, path)
        sender = asyncio.ensure_future(write_ticks(writer)) if upload else None
        try:
            await read_ticks(streams, reader)
        finally:
            if sender:
                sender.cancel()
            writer.transport.abort()
    except (OSError, asyncio.IncompleteReadError, ssl.SSLError) as error:
        if not streams.all_open.is_set():
            streams.failed.append(f"{type(error).__name__}: {error}")
            streams.opened()


async def main():
    streams = Streams()
    context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))
    tasks = [one(streams, context, False) for _ in range(DOWNLOADS)] + [one(streams, context, True) for _ in range(UPLOADS)]
    await asyncio.gather(*tasks)
    print(json.dumps({"last": streams.last, "ended": time.monotonic(), "failed": streams.failed[:3]}), flush=True)


asyncio.run(main())
