"""sts.us-east-1.amazonaws.com and s3.us-east-1.amazonaws.com: who a key is, and objects put and got.

Docs: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html (canonical
request, string to sign, signing key; 15 minutes of skew),
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html (S3 encodes the path once, and
x-amz-content-sha256 is required), https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
(STREAMING-UNSIGNED-PAYLOAD-TRAILER: chunks without signatures),
https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html.

The signature is computed with hashlib and hmac, which share no code with the broker's.
"""

import datetime
import hashlib
import hmac
import re
import urllib.parse

from ghapi.message import Reply

from .vendor import Refusal, Vendor

SKEW = datetime.timedelta(minutes=15)
UNSIGNED = ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>\w+)/(?P<date>\d{8})/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request,"
    r" ?SignedHeaders=(?P<signed>[\w;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


class Keys:
    """Signatures are checked with the secret itself, so here it is kept; it is shown to nobody."""

    def __init__(self):
        self._secrets = {}

    def add(self, name, value):
        identifier, _, secret = value.partition(":")
        self._secrets[identifier] = (name, secret)

    def remove(self, name):
        self._secrets = {key: pair for key, pair in self._secrets.items() if pair[0] != name}

    def find(self, identifier):
        return self._secrets.get(identifier)


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-_.~")


def _canonical_query(text):
    pairs = [part.partition("=") for part in text.split("&") if part]
    return "&".join(sorted(f"{_quote(urllib.parse.unquote(name))}={_quote(urllib.parse.unquote(value))}" for name, _, value in pairs))


def _payload_hash(request, service):
    told = request.headers.get("X-Amz-Content-SHA256")
    if told is None and service == "s3":
        raise Refusal(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    if told in UNSIGNED:
        return told
    real = _sha256(request.body)
    if told not in (None, real):
        raise Refusal(400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
    return real


def _signature(request, parts, secret):
    path, _, query = request.target.partition("?")
    # However it was written: every segment encoded once, and for all but S3 twice.
    path = _quote(urllib.parse.unquote(path), "/")
    if parts["service"] != "s3":
        path = _quote(path, "/")
    names = parts["signed"].split(";")
    fields = "".join(f"{name}:{' '.join((request.headers.get(name) or '').split())}\n" for name in names)
    canonical = "\n".join(
        [request.method, path, _canonical_query(query), fields, parts["signed"], _payload_hash(request, parts["service"])]
    )
    scope = f"{parts['date']}/{parts['region']}/{parts['service']}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers.get("X-Amz-Date") or "", scope, _sha256(canonical.encode())])
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return _hmac(key, text).hex()


def _unchunk(body):
    """The object out of aws-chunked, without its trailers."""
    data, rest = b"", body
    while True:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            return data
        data, rest = data + rest[:size], rest[size + 2 :]


def _xml(status, body):
    return Reply(status, b'<?xml version="1.0" encoding="UTF-8"?>\n' + body.encode(), {"Content-Type": "text/xml"})


class AWS(Vendor):
    name = "aws"
    hosts = ("sts.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com")
    routes = (
        ("identity", "POST", "/", "identity"),
        ("put", "PUT", "/(?P<bucket>[^/]+)/(?P<name>.+)", "put"),
        ("get", "GET", "/(?P<bucket>[^/]+)/(?P<name>.+)", "get"),
    )

    def __init__(self):
        super().__init__()
        self.keys = Keys()
        self.objects = {}

    def authenticate(self, request):
        match = AUTHORIZATION.fullmatch(request.headers.get("Authorization") or "")
        if match is None:
            raise Refusal(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        found = self.keys.find(match["id"])
        if found is None:
            raise Refusal(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
        try:
            date = datetime.datetime.strptime(request.headers.get("X-Amz-Date") or "", "%Y%m%dT%H%M%SZ")
        except ValueError:
            raise Refusal(403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header") from None
        if abs(datetime.datetime.utcnow() - date) > SKEW or date.strftime("%Y%m%d") != match["date"]:
            raise Refusal(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
        host = request.headers.get("Host").split(".")[0]
        if "host" not in match["signed"].split(";") or match["service"] != host:
            raise Refusal(403, "AccessDenied", "The signature is not for this service.")
        if not hmac.compare_digest(_signature(request, match, found[1]), match["signature"]):
            raise Refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")

    def unknown(self, _request):
        return Refusal(404, "NoSuchKey", "The specified key does not exist.")

    def refuse(self, refusal):
        error = f"<Code>{refusal.code}</Code><Message>{refusal.message}</Message>"
        return _xml(refusal.status, f"<ErrorResponse><Error>{error}</Error></ErrorResponse>" if refusal.code.startswith("Invalid") else f"<Error>{error}</Error>")

    def identity(self, request):
        if b"Action=GetCallerIdentity" not in request.body:
            raise Refusal(400, "InvalidAction", "Could not find operation")
        result = "<Arn>arn:aws:iam::123456789012:user/standin</Arn><UserId>AIDASTANDIN</UserId><Account>123456789012</Account>"
        namespace = "https://sts.amazonaws.com/doc/2011-06-15/"
        return _xml(200, f'<GetCallerIdentityResponse xmlns="{namespace}"><GetCallerIdentityResult>{result}</GetCallerIdentityResult></GetCallerIdentityResponse>')

    def put(self, request, bucket, name):
        streamed = request.headers.get("X-Amz-Content-SHA256") == UNSIGNED[1]
        self.objects[bucket, urllib.parse.unquote(name)] = _unchunk(request.body) if streamed else request.body
        return Reply(200, b"", {"ETag": '"' + hashlib.md5(request.body).hexdigest() + '"'})

    def get(self, _request, bucket, name):
        data = self.objects.get((bucket, urllib.parse.unquote(name)))
        if data is None:
            raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
        return Reply(200, data, {"Content-Type": "binary/octet-stream", "ETag": '"' + hashlib.md5(data).hexdigest() + '"'})
