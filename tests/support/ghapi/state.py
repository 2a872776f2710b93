"""All that the stand-in knows, behind one lock."""

import threading

from . import admin, app_api, personal_api, repository_api, static_api
from .appjwt import AppKeys
from .clock import Clock
from .faults import Faults
from .journal import Journal
from .ratelimit import RateLimits
from .routing import Router
from .tokens import TokenStore
from .world import World
from vendors.cloudflare import Cloudflare
from vendors.gitlab import GitLab


class State:
    verbs = admin.Verbs

    def __init__(self, world=None, lifetime=3600, token_format="stateless"):
        self.lock = threading.RLock()
        self.clock = Clock()
        self.world = World(world)
        self.keys = AppKeys()
        self._make = lambda: TokenStore(self.clock, self.world.app["id"], lifetime, token_format)
        self.static_keys = static_api.StaticKeys()
        self.limits = RateLimits(self.clock)
        self.faults = Faults()
        self.journal = Journal(self.lock)
        self.router = Router()
        for api in (app_api, repository_api, personal_api, static_api):
            api.register(self.router)
        self.forget()

    def forget(self):
        """All tokens, whoever by."""
        self.tokens = self._make()
        self.revocation_calls = []
        # Other upstreams with an API for tokens, each under a path of its own beside GitHub's.
        self.issuers = {"gitlab": GitLab(self.clock), "cloudflare": Cloudflare(self.clock)}

    def add_vendors(self, directory):
        """For what has more hosts than this one; the directory is the stand-in's own."""
