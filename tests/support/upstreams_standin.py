#!/usr/bin/python3
"""Stand-ins of several upstreams under their real host names, on one address: see vendors/.

Started, ended and asked like github_standin.py, whose REST API is one of them; in addition its admin
side has add_vendor_key and remove_vendor_key.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import github_standin  # noqa: E402
from ghapi import admin, state  # noqa: E402
from vendors import anthropic, aws, brave, cloudflare, echo, githost, gitlab, notion, openai, server  # noqa: E402

ISSUERS = (cloudflare.Cloudflare, gitlab.GitLab)  # ghapi.state has them, since they are below a path there too
VENDORS = (openai.OpenAI, anthropic.Anthropic, brave.Brave, notion.Notion, aws.AWS, echo.Echo)
NAMES = ("localhost", "127.0.0.1", "api.github.com", *githost.GitHost.hosts, *(host for vendor in (*VENDORS, *ISSUERS) for host in vendor.hosts))


class Verbs(admin.Verbs):
    def _vendor(self, host):
        if host not in self._state.vendors or not hasattr(self._state.vendors[host], "keys"):
            raise ValueError("no such vendor")
        return self._state.vendors[host]

    def add_vendor_key(self, host, name, value):
        self._vendor(host).keys.add(name, value)
        return {}

    def remove_vendor_key(self, host, name):
        self._vendor(host).keys.remove(name)
        return {}

    def git_path(self, repository):
        """Where the bare repository is, for a test to look into."""
        return {"path": self._state.vendors["github.com"].path(repository)}


class State(state.State):
    verbs = Verbs

    def add_vendors(self, directory):
        made = [vendor() for vendor in VENDORS] + [githost.GitHost(directory, self), *self.issuers.values()]
        self.vendors = {host: vendor for vendor in made for host in vendor.hosts}

    def forget(self):
        super().forget()
        if hasattr(self, "vendors"):
            self.vendors.update((host, issuer) for issuer in self.issuers.values() for host in issuer.hosts)


if __name__ == "__main__":
    github_standin.main(State, server.Server, NAMES)
