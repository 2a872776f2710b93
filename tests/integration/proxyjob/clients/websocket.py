"""A WebSocket by hand (RFC 6455): says what the handshake was answered, and what came back of a few messages.

usage: websocket.py VARIABLE     of the environment, with the key
"""

import base64
import json
import os
import socket
import ssl
import sys

HOST = "echo.example.test"
context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))
connection = context.wrap_socket(socket.create_connection((HOST, 443), 20), server_hostname=HOST)
reader = connection.makefile("rb")
lines = [
    "GET /websocket HTTP/1.1",
    f"Host: {HOST}",
    f"Authorization: Bearer {os.environ[sys.argv[1]]}",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode(),
]
connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
status = reader.readline().decode().split()[1]
while reader.readline().strip():
    pass


def send(opcode, data):
    mask = os.urandom(4)
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    connection.sendall(bytes([0x80 | opcode]) + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)))


def receive():
    first, size = reader.read(2)
    size = int.from_bytes(reader.read(2), "big") if size == 126 else size
    return first & 15, reader.read(size)


echoed = []
if status == "101":
    for data in (b"one", b"two" * 1000):
        send(1, data)
        echoed.append(receive()[1] == data)
    send(9, b"ping")
    echoed.append(receive() == (10, b"ping"))
    send(8, b"")
    echoed.append(receive()[0] == 8)
print(json.dumps({"status": status, "echoed": echoed}))
