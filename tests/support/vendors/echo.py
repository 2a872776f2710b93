"""echo.example.test: what upstreams and networks do that have gone wrong, or are odd.

Every path but those below /open/ wants a credential, in any of the places in which one can be: a bearer
token, either half of Basic, X-Api-Key, the query parameter `key`, a path that begins with /bot<KEY>/, or
a form's field `token`. What is sent back of it is sent on order, to see whether a proxy lets it through.

GET  /whoami                      JSON: where the key was, its name, the names of all headers that came
GET  /reflect?as=FORM             the credential, as reflection.FORMS has it; before=N and after=N: bytes beside it
        coding=gzip|deflate|raw-deflate|br   split=N: in pieces of N bytes   framing=length|chunked|close
        where=header|sse|206      in a header, in a line of an event stream, as a part of a range
GET  /bytes?size=N                N bytes; chunked=1
POST /upload                      JSON: how many bytes came, and their SHA-256; timed=1: the record says when
POST /duplex                      each piece of the body comes back as a chunk, while it still comes
GET  /lie?kind=KIND               long, short, both, two, negative, chunk, garbage, http09, old, bare-lf, fold
GET  /close?at=head|body|start    closes in the middle
GET  /never                       no answer, until the client leaves
POST /early?status=N&read=N       an answer after N bytes of the upload; the rest is never read
POST /continue?kind=yes|no|late   100 and then the answer; 417; the answer without a 100
GET  /redirect?to=URL&status=N    Location
GET  /cookie                      Set-Cookie
GET  /status?code=N               an empty answer of that status
GET  /trailers, /hints, /big-head?size=N, /slow?piece=N&interval=MS, /inflate?size=N
GET  /stream?interval=MS&count=N  an event stream; count=0: until the client leaves
GET  /websocket                   RFC 6455, echoes each message; timed=1 as above
"""

import hashlib
import json
import time
import urllib.parse

from ghapi.credential import credentials
from ghapi.faults import Gate

from . import odd, reflection, websocket
from .vendor import Keys

HOST = "echo.example.test"
OPEN = "/open"


class Echo:
    name = "echo"
    hosts = (HOST, "other.example.test")

    def __init__(self):
        self.keys = Keys()

    def endpoint_of(self, _method, target):
        path = self._path(target.partition("?")[0])
        return "echo." + (path.strip("/").partition("/")[0] or "root")

    @staticmethod
    def _path(path):
        """Without the segment that holds a key, and without /open."""
        if path.startswith("/bot"):
            path = "/" + path[1:].partition("/")[2]
        return path.removeprefix(OPEN)

    def _presented(self, exchange):
        """[(place, value)] of all places."""
        found = credentials(exchange.headers)
        scheme, _, value = (exchange.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() == "aws4-hmac-sha256":
            found = [("sigv4", value)]
        if "key" in exchange.query:
            found.append(("query", exchange.query["key"]))
        if exchange.path.startswith("/bot"):
            found.append(("path", urllib.parse.unquote(exchange.path[4:].partition("/")[0])))
        return found

    def _authenticate(self, exchange):
        """(place, value) of a good key, or None."""
        for place, value in self._presented(exchange):
            exchange.record["target"] = exchange.record["target"].replace(urllib.parse.quote(value, safe=""), "...")
            name = self.keys.name(value)
            if name is not None:
                exchange.record["key"] = name
                exchange.record["place"] = place
                return place, value
        return None

    def serve(self, exchange):
        path = self._path(exchange.path)
        handler = getattr(self, "do_" + path.strip("/").partition("/")[0].replace("-", "_"), None)
        if exchange.headers.get("Expect") and path != "/continue":
            exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        found = self._authenticate(exchange)
        if found is None and not exchange.path.startswith(OPEN) and path != "/form":
            self._drain(exchange)
            exchange.reply(401, b"no good key\n", {"WWW-Authenticate": 'Bearer realm="echo"'})
        elif handler is None:
            self._drain(exchange)
            exchange.reply(404, b"no such path\n")
        else:
            handler(exchange, found)

    @staticmethod
    def _drain(exchange):
        return b"".join(exchange.body())

    @staticmethod
    def _json(exchange, value, status=200):
        exchange.reply(status, json.dumps(value).encode() + b"\n", {"Content-Type": "application/json"})

    # -- plain

    def do_whoami(self, exchange, found):
        self._drain(exchange)
        names = sorted(name.lower() for name in exchange.headers.keys())
        place, value = found or (None, None)
        self._json(exchange, {"place": place, "key": value and self.keys.name(value), "headers": names})

    def do_form(self, exchange, _found):
        fields = dict(urllib.parse.parse_qsl(self._drain(exchange).decode("latin-1")))
        name = self.keys.name(fields.get("token", ""))
        exchange.record.update(key=name, place="form" if name else None)
        self._json(exchange, {"place": "form", "key": name}, 200 if name else 401)

    def do_headers(self, exchange, _found):
        """All that came but credentials."""
        self._drain(exchange)
        secret = ("authorization", "x-api-key", "cookie", "x-subscription-token")
        fields = [[name.lower(), "" if name.lower() in secret else value] for name, value in exchange.headers.items()]
        self._json(exchange, {"method": exchange.method, "path": exchange.path, "headers": fields})

    def do_status(self, exchange, _found):
        self._drain(exchange)
        status = exchange.flag("code", 204)
        if status in (204, 304):
            exchange.head(status, {"ETag": '"a"'})
        else:
            exchange.reply(status, b"")

    def do_cookie(self, exchange, _found):
        exchange.reply(200, b"here\n", {"Set-Cookie": "sid=" + "c" * 24 + "; Path=/; HttpOnly"})

    def do_redirect(self, exchange, _found):
        self._drain(exchange)
        exchange.reply(exchange.flag("status", 302), b"", {"Location": exchange.query["to"]})

    # -- the credential, sent back

    def do_reflect(self, exchange, found):
        query = exchange.query
        value = (found or ("", "nothing"))[1].encode()
        form = query.get("as", "raw")
        text = reflection.body(value, form, exchange.flag("before"), exchange.flag("after"))
        where = query.get("where")
        if where == "header":
            exchange.reply(200, b"see the head\n", {"X-Reflected": reflection.reflect(value, form).decode("latin-1")})
            return
        if where == "sse":
            text = b"data: " + text + b"\ndata: next\n\n"
        headers = {"Content-Type": "text/event-stream" if where == "sse" else "text/plain"}
        coding = query.get("coding")
        if coding:
            headers["Content-Encoding"] = "deflate" if coding == "raw-deflate" else coding
            text = reflection.CODINGS.get(coding, bytes)(text)
        if where == "206":
            self._part(exchange, text)
            return
        odd.framed(exchange, reflection.pieces(text, exchange.flag("split")), query.get("framing", "length"), headers)

    @staticmethod
    def _part(exchange, text):
        """RFC 9110, 14: one range, `bytes=A-B`."""
        wanted = exchange.headers.get("Range")
        if not wanted:
            exchange.reply(200, text, {"Accept-Ranges": "bytes"})
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        first, last = int(first or 0), min(int(last or len(text) - 1), len(text) - 1)
        exchange.reply(206, text[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(text)}"})

    # -- bodies

    def do_bytes(self, exchange, _found):
        odd.fill(exchange, exchange.flag("size", 1 << 20), bool(exchange.flag("chunked")))

    def do_upload(self, exchange, _found):
        digest = hashlib.sha256()
        exchange.timed = bool(exchange.flag("timed"))
        for piece in exchange.body():
            digest.update(piece)
        self._json(exchange, {"size": exchange.record["received"], "sha256": digest.hexdigest()})

    def do_duplex(self, exchange, _found):
        exchange.head(200, {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"})
        for piece in exchange.body():
            exchange.chunk(piece)
        exchange.send(b"0\r\n\r\n")

    def do_stream(self, exchange, _found):
        interval, count = exchange.flag("interval", 100) / 1000, exchange.flag("count")
        exchange.head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        number = 0
        while count == 0 or number < count:
            number += 1
            exchange.chunk(f"data: {number}\n\n".encode())
            time.sleep(interval)
        exchange.send(b"0\r\n\r\n")

    def do_websocket(self, exchange, _found):
        websocket.serve(exchange)

    # -- wrong

    def do_never(self, exchange, _found):
        Gate().wait(exchange.connection.connection)
        raise ConnectionResetError("the client left")

    def do_early(self, exchange, _found):
        left = exchange.flag("read")
        for piece in exchange.body() if left else ():
            left -= len(piece)
            if left <= 0:
                break
        exchange.reply(exchange.flag("status", 413), b"enough\n", {"Connection": "close"})
        exchange.close()

    def do_continue(self, exchange, _found):
        kind = exchange.query.get("kind", "yes")
        if kind == "no":
            exchange.reply(417, b"no\n", {"Connection": "close"})
            exchange.close()
            return
        if kind == "yes" and exchange.headers.get("Expect"):
            exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._json(exchange, {"expect": exchange.headers.get("Expect"), "size": len(self._drain(exchange))})

    def do_lie(self, exchange, _found):
        odd.lie(exchange, exchange.query.get("kind", "long"))

    def do_close(self, exchange, _found):
        odd.close(exchange, exchange.query.get("at", "body"))

    def do_trailers(self, exchange, _found):
        exchange.head(200, {"Transfer-Encoding": "chunked", "Trailer": "X-After"})
        exchange.chunk(b"body\n")
        exchange.send(b"0\r\nX-After: late\r\n\r\n")

    def do_hints(self, exchange, _found):
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        exchange.reply(200, b"after a hint\n")

    def do_big_head(self, exchange, _found):
        odd.big_head(exchange, exchange.flag("size", 1 << 20))

    def do_slow(self, exchange, _found):
        odd.slow(exchange, exchange.query.get("piece", "body"), exchange.flag("interval", 100) / 1000)

    def do_inflate(self, exchange, _found):
        odd.inflate(exchange, exchange.flag("size", 1 << 30))
