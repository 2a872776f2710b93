"""The server's side of RFC 6455, as far as an echo needs it: whole messages of up to 64 KiB."""

import base64
import hashlib
import struct

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, PING, PONG = 8, 9, 10


def _accept(key):
    return base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode()


class _Reader:
    """Exact reads. Nobody sends before the answer to the handshake, so nothing is in the request's buffer."""

    def __init__(self, exchange):
        self._exchange = exchange
        self._data = b""

    def read(self, size):
        while len(self._data) < size:
            self._data += self._exchange.receive()
        data, self._data = self._data[:size], self._data[size:]
        return data


def _frame(reader):
    first, second = reader.read(2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", reader.read(2))
    if size == 127 or not second & 0x80:
        raise ValueError("too large, or not masked")
    mask = reader.read(4)
    data = reader.read(size)
    return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def _send(exchange, opcode, data):
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
    exchange.send(bytes([0x80 | opcode]) + size + data)


def serve(exchange):
    key = exchange.headers.get("Sec-WebSocket-Key")
    if (exchange.headers.get("Upgrade") or "").lower() != "websocket" or not key:
        exchange.reply(426, b"", {"Upgrade": "websocket"})
        return
    exchange.head(101, {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": _accept(key)})
    exchange.close()
    exchange.timed = bool(exchange.flag("timed"))
    reader = _Reader(exchange)
    while True:
        opcode, data = _frame(reader)
        if opcode == PING:
            _send(exchange, PONG, data)
        else:
            _send(exchange, opcode, data)
        if opcode == CLOSE:
            return
