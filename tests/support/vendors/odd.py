"""Answers that are wrong, too long, too slow or too short."""

import time
import zlib

PIECE = b"0123456789abcdef" * 4096

# What each sends in place of a good answer; the connection ends behind it.
LIES = {
    "long": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "short": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour and much more than that",
    "both": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
    "two": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nfour5",
    "negative": b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nfour",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nfour\r\n0\r\n\r\n",
    "chunk-end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour",
    "garbage": b"\x00\x01\x02 this is not HTTP \r\n\r\n\xff\xfe",
    "http09": b"just some text\n",
    "old": b"HTTP/1.0 200 OK\r\n\r\nold and to the end",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 4\n\nfour",
    "fold": b"HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length: 4\r\n\r\nfour",
    "split": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfourHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
}


def lie(exchange, kind):
    exchange.send(LIES[kind])
    exchange.close()


def close(exchange, where):
    exchange.close()
    if where == "head":
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-")
    elif where == "body":
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it")


def framed(exchange, pieces, framing, headers):
    """The pieces one by one, each in its own packet where nothing joins them."""
    if framing == "chunked":
        exchange.head(200, {**headers, "Transfer-Encoding": "chunked"})
        for piece in pieces:
            exchange.chunk(piece)
        exchange.send(b"0\r\n\r\n")
        return
    if framing == "length":
        headers = {**headers, "Content-Length": sum(map(len, pieces))}
    else:
        headers = {**headers, "Connection": "close"}
        exchange.close()
    exchange.head(200, headers)
    for piece in pieces:
        exchange.send(piece)


def fill(exchange, size, chunked):
    framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": size}
    exchange.head(200, {"Content-Type": "application/octet-stream", **framing})
    if exchange.method == "HEAD":
        return
    send = exchange.chunk if chunked else exchange.send
    for _ in range(size // len(PIECE)):
        send(PIECE)
    if size % len(PIECE):
        send(PIECE[: size % len(PIECE)])
    if chunked:
        exchange.send(b"0\r\n\r\n")


def big_head(exchange, size):
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")
    for number in range(size // 1000):
        exchange.send(b"X-Filler-%d: %b\r\n" % (number, b"f" * 980))
    exchange.send(b"\r\n")


def slow(exchange, piece, interval):
    """The head or the body byte by byte."""
    head, text = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n", b"s" * 20
    whole = head if piece == "head" else text
    if piece != "head":
        exchange.send(head)
    for at in range(len(whole)):
        exchange.send(whole[at : at + 1])
        time.sleep(interval)
    if piece == "head":
        exchange.send(text)


def inflate(exchange, size):
    """Little on the way, much when it is unpacked."""
    packer = zlib.compressobj(9, wbits=31)
    exchange.head(200, {"Content-Type": "text/plain", "Content-Encoding": "gzip", "Transfer-Encoding": "chunked"})
    zeros = bytes(1 << 20)
    for _ in range(size >> 20):
        data = packer.compress(zeros)
        if data:
            exchange.chunk(data)
    exchange.chunk(packer.flush())
    exchange.send(b"0\r\n\r\n")
