#!/usr/bin/python3
"""Clients, sandboxes and upstreams that mean harm, each costing nobody but themselves."""

from harness import Case, main
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


if __name__ == "__main__":
    main()
