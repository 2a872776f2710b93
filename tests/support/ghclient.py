"""A minimal client of the GitHub REST API, for tests of the stand-in.

Independent of the code under test: standard library and `cryptography` only.
"""

import base64
import functools
import http.client
import json
import ssl
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

USER_AGENT = "standin-test/1"


def _part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@functools.lru_cache(maxsize=16)
def _load(pem):
    """Loading checks the key, which costs more than signing with it."""
    return serialization.load_pem_private_key(pem, None)


def sign_jwt(key_path, claims, header=None):
    """An app's JWT, over whatever claims and header the test wants to try."""
    with open(key_path, "rb") as file:
        key = _load(file.read())
    header = header or {"alg": "RS256", "typ": "JWT"}
    signed = ".".join(_part(json.dumps(value).encode()) for value in (header, claims))
    return signed + "." + _part(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))


def app_jwt(key_path, issuer, now=None):
    now = int(time.time() if now is None else now)
    return sign_jwt(key_path, {"iat": now - 60, "exp": now + 540, "iss": issuer})


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Client:
    """One connection, kept alive between requests."""

    def __init__(self, port, ca, host="localhost", timeout=20):
        context = ssl.create_default_context(cafile=ca)
        self.connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)

    def send(self, method, path, credential=None, body=None, headers=None):
        """Sends only; `receive` takes the answer."""
        fields = {"User-Agent": USER_AGENT, "Accept": "application/vnd.github+json"}
        if credential is not None:
            fields["Authorization"] = "Bearer " + credential
        data = None if body is None else json.dumps(body)
        fields.update(headers or {})
        fields = {name: value for name, value in fields.items() if value is not None}
        self.connection.request(method, path, data, fields)

    def receive(self):
        return Answer(self.connection.getresponse())

    def call(self, *args, **kwargs):
        self.send(*args, **kwargs)
        return self.receive()

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()
