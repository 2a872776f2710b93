"""Starts the stand-ins of several upstreams for a test, and makes the keys that they know.

    with Upstreams(port=443) as upstreams:
        key = upstreams.new_key("api.openai.com")
        ...  # run a client against https://api.openai.com, with /etc/hosts saying where that is
        [request] = upstreams.requests("openai.chat")
        request["key"], request["handle"], request["credential_sha256"]
"""

import os
import secrets
import string

import standin
from vendors import reflection  # noqa: F401

HOSTS = (
    "api.github.com", "github.com", "api.openai.com", "api.anthropic.com", "api.search.brave.com", "api.notion.com",
    "sts.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com", "echo.example.test", "other.example.test",
)
# What keys look like, in pieces, since none may look like one in the sources.
PREFIXES = {
    "api.openai.com": "sk" + "-proj-",
    "api.anthropic.com": "sk" + "-ant-api03-",
    "api.notion.com": "ntn" + "_",
    "api.github.com": "github" + "_pat_",
}


def make_key(host="", size=60):
    letters = string.ascii_letters + string.digits
    return PREFIXES.get(host, "") + "".join(secrets.choice(letters) for _ in range(size))


def make_aws_key():
    """Identifier and secret, as they are stored."""
    letters = string.ascii_uppercase + string.digits
    return "AK" + "IA" + "".join(secrets.choice(letters) for _ in range(16)) + ":" + make_key(size=40)


class Upstreams(standin.Standin):
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "upstreams_standin.py")

    def new_key(self, host, name="test", value=None, **options):
        """A key that the host knows from now on; api.github.com's is a personal access token."""
        key = value or make_key(host)
        if host == "api.github.com":
            self.add_personal_token(key, **options)
        else:
            self.admin("add_vendor_key", host=host, name=name, value=key)
        return key

    def remove_key_of(self, host, name="test"):
        self.admin("remove_vendor_key", host=host, name=name)

    def git_path(self, repository):
        return self.admin("git_path", repository=repository)["path"]
