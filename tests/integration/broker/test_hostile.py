#!/usr/bin/python3
"""Clients, sandboxes and upstreams that mean harm, each costing nobody but themselves."""

import os

from harness import BUILD, Case, main
from varlink import CallError, Closed


class Revoking(Case):
    store = "sealed-file"

    def test_locked_store_spares_no_session(self):
        broker = self.ready()
        session = broker.open("gh-socket")
        with session.connect() as client:
            client.call("GetToken", {"session": session.secret})
        broker.call("Lock")
        self.assertEqual(broker.revoke(profile="gh-socket")["sessions"], 1)
        broker.unlock()
        self.assertEqual(broker.sessions()[session.id]["state"], "ended")
        with self.assertRaises((CallError, Closed, OSError)):
            with session.connect() as client:
                client.call("GetToken", {"session": session.secret})
        self.wait_all_dead()


class Upstream(Case):
    def test_expired_token_is_revoked(self):
        broker = self.ready()
        session = broker.open("gh-socket")
        body = {
            "token": "ghs_" + "x" * 36,
            "expires_at": "2020-01-01T00:00:00Z",
            "permissions": {"contents": "write", "issues": "write", "metadata": "read"},
            "repository_selection": "selected",
            "repositories": [{"full_name": "octo/hello"}, {"full_name": "octo/world"}],
        }
        self.github.fault("mint", "status", status=201, body=body)
        with session.connect() as client:
            self.fails("UpstreamUnknown", client.call, "GetToken", {"session": session.secret})
        self.github.wait("revoke")
        [event] = [item for item in broker.audit() if item["operation"] == "token.mint"]
        self.assertEqual((event["verdict"], event["detail"]), ("deny", "it has expired already"))


class Provider(Case):
    """A provider process that its upstream has taken over."""

    def setUp(self):
        super().setUp()
        self.controlled = self.broker(start=False)
        libexec = self.controlled.path("roles")
        os.mkdir(libexec, 0o755)
        for role in ("gate", "vault", "keyring", "session"):
            os.symlink(f"{BUILD}/broker/{role}/mcpcred-{role}", f"{libexec}/mcpcred-{role}")
        self.provider = f"{libexec}/mcpcred-provider"
        here = os.path.dirname(os.path.abspath(__file__))
        os.symlink(os.path.join(here, "false_provider.py"), self.provider)
        self.controlled.libexec = libexec
        self.controlled.start()
        self.controlled.add_github(self.github)

    def set_token(self, token):
        with open(self.provider + ".token", "wb") as file:
            file.write(token)

    def test_only_a_token_is_delivered(self):
        self.set_token(b"one-that-is-good")
        self.assertEqual(self.controlled.open("gh").token, "one-that-is-good")
        for token in (b"", b"a\nLD_PRELOAD=/x", b"a\0b", b"\xff\xfe", b"\x1b[2J", b"a b", b"x" * 4097):
            self.set_token(token)
            self.fails("UpstreamUnknown", self.controlled.open, "gh")
        live = [row for row in self.controlled.sessions().values() if row["state"] != "ended"]
        self.assertEqual(len(live), 1)


if __name__ == "__main__":
    main()
