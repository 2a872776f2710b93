"""A request and its response at the same time: each piece is sent when the one before has come back.

usage: duplex.py URL PIECES
"""

import os
import socket
import ssl
import sys
import urllib.parse

URL = urllib.parse.urlsplit(sys.argv[1])
PIECES = int(sys.argv[2])

context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))
with context.wrap_socket(socket.create_connection((URL.hostname, 443)), server_hostname=URL.hostname) as tls:
    tls.settimeout(20)
    lines = [f"POST {URL.path} HTTP/1.1", f"Host: {URL.hostname}", f"Authorization: Bearer {os.environ['ECHO_KEY']}"]
    tls.sendall(("\r\n".join([*lines, "Transfer-Encoding: chunked"]) + "\r\n\r\n").encode())
    come = b""
    for number in range(PIECES):
        # Long enough that its beginning is not held back by the scrubber.
        mark = f"piece-{number:04}"
        piece = mark + "." * 8000
        tls.sendall(f"{len(piece):x}\r\n{piece}\r\n".encode())
        while mark.encode() not in come:
            data = tls.recv(65536)
            if not data:
                sys.exit(f"the response ended: {come.decode(errors='replace')}")
            come += data
    tls.sendall(b"0\r\n\r\n")
    while not come.endswith(b"0\r\n\r\n"):
        data = tls.recv(65536)
        if not data:
            break
        come += data
    print("whole" if come.endswith(b"0\r\n\r\n") else "cut")
