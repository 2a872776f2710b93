#!/usr/bin/python3
"""The main job with the secret in a real gnome-keyring-daemon, and what can be wrong with one."""

import os
import shutil
import signal
import time
import unittest

import desktop
from harness import Case, main, wait_until
from varlink import CallError

# The role gives a silent daemon five seconds, the vault the role twelve.
BOUND = 20


@unittest.skipIf(desktop.missing(), "not there: " + ", ".join(desktop.missing()))
class Service(Case):
    store = "secret-service"

    def setUp(self):
        super().setUp()
        self.desktop = desktop.Desktop()
        self.addCleanup(self.desktop.close)

    def up(self, store="secret-service", daemon=True):
        """A desktop, and a broker that knows its bus."""
        self.desktop.start_bus()
        if daemon:
            self.desktop.start_daemon()
        environment = {"DBUS_SESSION_BUS_ADDRESS": self.desktop.address}
        self.it = self.broker(start=False, store=store, environment=environment)
        self.it.start(ready=daemon)
        return self.it

    def works(self):
        session = self.it.open("gh")
        self.assert_alive(session.token)
        self.it.revoke(session=session.id)
        self.assert_dead(session.token)

    def status_is_quick(self):
        begin = time.monotonic()
        status = self.it.status()
        self.assertLess(time.monotonic() - begin, 3)
        return status

    def test_main_job(self):
        self.up()
        self.assertEqual(self.it.status()["store"], "secret-service")
        self.it.add_github(self.github)
        session = self.it.open("gh")
        self.assert_alive(session.token)
        self.it.crash("keyring")
        self.it.wait_ready()
        self.it.crash("vault")
        self.it.wait_ready()
        self.assertEqual(self.it.get_token(session), session.token)
        self.works()
        self.it.stop()
        self.it.start()
        self.wait_dead(session.token)
        self.works()
        self.assertFalse(os.path.exists(self.it.path("state", "secrets.sealed")))
        self.it.audit()

    def test_auto_takes_it(self):
        self.up(store="auto")
        self.it.wait_ready()
        self.assertEqual(self.it.status()["store"], "secret-service")

    def test_rotation(self):
        self.up()
        self.it.add("api", "static", b"one-" + b"1" * 20, hosts=["localhost"])
        self.assertEqual(self.it.rotate(b"two-" + b"2" * 20, name="api")[-1], "done")

    def test_absent(self):
        self.up(daemon=False)
        self.it.wait_status(lambda status: status["store_state"] == "absent", "it is not absent")
        self.fails("KeyringAbsent", self.it.open, "gh")
        with self.assertRaises(CallError) as caught:
            self.it.add_github(self.github)
        self.assertEqual(caught.exception.name, "KeyringAbsent")
        checks = {row["id"]: row for row in self.it.rows("Doctor", "checks")}
        self.assertEqual(checks["store"]["status"], "fail")
        self.assertTrue(checks["store"]["remedy"])
        # It comes later, and the broker finds it by itself.
        self.desktop.start_daemon()
        self.it.wait_ready()
        self.it.add_github(self.github)
        self.works()

    def test_absent_auto_makes_no_file(self):
        self.up(store="auto", daemon=False)
        self.it.wait_status(lambda status: status["store_state"] == "absent", "it is not absent")
        self.fails("KeyringAbsent", self.it.open, "gh")
        self.assertFalse(os.path.exists(self.it.path("state", "secrets.sealed")))

    def test_locked(self):
        self.up()
        self.it.add_github(self.github)
        session = self.it.open("gh")
        self.desktop.lock()
        self.fails("KeyringLocked", self.it.open, "gh")
        self.assert_alive(session.token)
        self.it.revoke(session=session.id)
        self.assert_dead(session.token)  # that needs no keyring
        self.desktop.kill("daemon")
        self.desktop.start_daemon()
        self.it.wait_ready()
        wait_until(self.opens, "it does not work again")
        self.works()

    def opens(self):
        try:
            self.it.open("gh")
            return True
        except CallError:
            return False

    def test_locked_at_the_start(self):
        self.up()
        self.it.add_github(self.github)
        self.it.stop()
        self.desktop.kill("daemon")
        self.desktop.start_daemon(password=None)
        self.it.start(ready=False)
        self.it.wait_status(lambda status: status["store_state"] == "locked", "it is not locked")
        self.fails("KeyringLocked", self.it.open, "gh")
        self.desktop.kill("daemon")
        self.desktop.start_daemon()
        self.it.wait_ready()
        self.works()

    def test_daemon_restarted(self):
        self.up()
        self.it.add_github(self.github)
        session = self.it.open("gh")
        for _ in range(2):
            self.desktop.kill("daemon")
            self.fails("KeyringAbsent", self.it.open, "gh")
            self.assertEqual(self.it.get_token(session), session.token)
            self.desktop.start_daemon()
            self.works()
        self.assertEqual(self.it.sessions()[session.id]["state"], "live")

    def test_bus_restarted(self):
        self.up()
        self.it.add_github(self.github)
        self.desktop.kill("daemon")
        self.desktop.kill("bus")
        self.fails("KeyringAbsent", self.it.open, "gh")
        self.desktop.start_bus()
        self.desktop.start_daemon()
        wait_until(self.opens, "it does not work again")
        self.works()

    def test_hung(self):
        """Bounded, with its own name; and nobody waits who does not need the keyring."""
        self.up()
        self.it.add_github(self.github)
        session = self.it.open("gh")
        self.desktop.daemon.send_signal(signal.SIGSTOP)
        client = self.it.keep(self.it.client(timeout=60))
        begin = time.monotonic()
        client.send("OpenSession", {"grants": [{"profile": "gh"}], "lifeline": "lifetime"})
        wait_until(lambda: self.count_open(self.it, "intent"), "it does not begin")
        self.status_is_quick()
        self.assertEqual(self.it.get_token(session), session.token)
        self.assertEqual(self.it.revoke(session=session.id)["sessions"], 1)
        self.assert_dead(session.token)
        with self.assertRaises(CallError) as caught:
            client.receive()
        self.assertEqual(caught.exception.name, "KeyringHung")
        self.assertLess(time.monotonic() - begin, BOUND)
        self.desktop.daemon.send_signal(signal.SIGCONT)
        wait_until(self.opens, "it does not work again")
        self.works()

    def test_hung_at_the_start(self):
        self.up()
        self.it.add_github(self.github)
        self.it.stop()
        self.desktop.daemon.send_signal(signal.SIGSTOP)
        self.it.launch()
        self.it.log.wait("state: ready")
        self.status_is_quick()
        begin = time.monotonic()
        with self.assertRaises(CallError) as caught:
            self.it.open("gh")
        self.assertIn(caught.exception.name, ("KeyringHung", "Unavailable"))
        self.assertLess(time.monotonic() - begin, BOUND)
        self.it.wait_status(lambda status: status["store_state"] == "hung", "it is not hung")
        self.desktop.daemon.send_signal(signal.SIGCONT)
        self.it.wait_ready()
        self.works()

    def test_lock_and_unlock(self):
        self.up()
        self.it.add_github(self.github)
        self.assertEqual(self.it.call("Lock")["store_state"], "locked")
        self.fails("KeyringLocked", self.it.open, "gh")

    def test_another_item_of_the_name(self):
        """A keyring of another state: its key is not the one that the state was made with."""
        self.up()
        self.it.add_github(self.github)
        self.it.stop()
        self.desktop.kill("daemon")
        shutil.rmtree(self.desktop.path("home", ".local"))
        self.desktop.start_daemon()
        self.it.start(ready=False)
        self.it.wait_status(lambda status: status["store_state"] == "rollback", "it is not refused")
        self.fails("Rollback", self.it.open, "gh")


@unittest.skipIf(desktop.missing(), "not there: " + ", ".join(desktop.missing()))
class Bare(Case):
    """As an MCP client starts it: nothing in the environment says where the bus is."""

    @unittest.skipIf(os.geteuid(), "needs root, for a /run/user of its own")
    def test_bus_at_its_standard_path(self):
        place = desktop.Desktop()
        self.addCleanup(place.close)
        place.start_bus()
        place.start_daemon()
        broker = self.broker(start=False, store="auto")
        self.assertNotIn("DBUS_SESSION_BUS_ADDRESS", broker.environment)
        script = (
            "mount -t tmpfs -o mode=755 tmpfs /run/user && mkdir -m 700 /run/user/0 &&"
            f' ln -s {place.socket} /run/user/0/bus && exec "$@"'
        )
        os.makedirs("/run/user", exist_ok=True)
        broker.prefix = ["unshare", "--mount", "sh", "-c", script, "sh"]
        broker.start(ready=True)
        self.assertEqual(broker.status()["store"], "secret-service")
        broker.add_github(self.github)
        self.assert_alive(broker.open("gh").token)

    def test_no_bus_there(self):
        broker = self.broker(start=False, store="auto", environment={"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"})
        broker.start(ready=False)
        self.fails("KeyringAbsent", broker.open, "gh")


class Sealed(Case):
    store = "sealed-file"

    def test_main_job(self):
        broker = self.broker(start=False)
        broker.start(ready=False)
        self.fails("KeyringAbsent", broker.open, "gh")
        broker.unlock(create=True)
        with self.assertRaises(CallError) as caught:
            broker.unlock(create=True)
        self.assertEqual(caught.exception.name, "Exists")
        self.assertEqual(broker.status()["store_state"], "ready")
        broker.add_github(self.github)
        with self.assertRaises(CallError) as caught:
            broker.unlock(b"wrong")
        self.assertEqual(caught.exception.name, "WrongPassphrase")
        self.assertEqual(broker.status()["store_state"], "ready")
        session = broker.open("gh")
        self.assert_alive(session.token)
        broker.revoke(session=session.id)
        self.assert_dead(session.token)
        broker.stop()
        broker.start_sealed(create=False)
        self.assert_alive(broker.open("gh").token)

    def test_a_short_passphrase_makes_no_file(self):
        broker = self.broker(start=False)
        broker.start(ready=False)
        with self.assertRaises(CallError) as caught:
            broker.unlock(b"seven77", create=True)
        self.assertEqual(caught.exception.name, "InvalidParameter")
        broker.unlock(b"eight888", create=True)

    def test_lock_and_unlock(self):
        broker = self.ready()
        session = broker.open("gh")
        self.assertEqual(broker.call("Lock")["store_state"], "locked")
        self.fails("KeyringLocked", broker.open, "gh")
        self.assert_alive(session.token)
        broker.unlock()
        self.assertEqual(broker.get_token(session), session.token)

    def test_locked_during_a_mint(self):
        """What comes then can be kept by nobody, so it is revoked at once and not only when it expires."""
        broker = self.ready()
        fault = self.github.fault("mint", "delay", when="after")
        client = broker.keep(broker.client())
        client.send("OpenSession", {"grants": [{"profile": "gh"}], "lifeline": "lifetime"})
        self.github.wait("mint", 1, phase="worked")
        broker.call("Lock")
        self.github.release(fault)
        with self.assertRaises(CallError) as caught:
            client.receive()
        self.assertEqual(caught.exception.name, "KeyringLocked")
        self.wait_all_dead()

    def test_locked_at_a_start_revokes_when_unlocked(self):
        broker = self.ready()
        session = broker.open("gh")
        broker.stop()
        broker.start(ready=False)
        self.assert_alive(session.token)  # its value is sealed
        self.assertEqual(broker.status()["pending"], 1)
        broker.unlock()
        self.wait_dead(session.token)

    def test_no_secret_in_any_file(self):
        broker = self.ready()
        broker.add("api", "static", b"static-marker-" + b"9" * 24, hosts=["localhost"])
        session = broker.open("gh")
        broker.stop()
        with open(self.github.app_key, encoding="ascii") as file:
            body = file.read().splitlines()[5]
        for folder, _, names in os.walk(broker.directory):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.isfile(path) or os.path.islink(path):
                    continue
                with open(path, "rb") as file:
                    data = file.read()
                for marker in (b"static-marker-", body.encode(), session.token.encode(), session.secret.encode()):
                    self.assertNotIn(marker, data, path)


class Memory(Case):
    def test_gone_with_the_broker(self):
        """A state whose key was in memory cannot be had back; that is said, and nothing is issued."""
        broker = self.ready()
        session = broker.open("gh")
        checks = {row["id"]: row["status"] for row in broker.rows("Doctor", "checks")}
        self.assertEqual(checks["store.memory"], "warn")
        broker.stop()
        broker.start(ready=False)
        self.fails("Rollback", broker.open, "gh")
        self.assertEqual(broker.sessions()[session.id]["state"], "ended")


if __name__ == "__main__":
    main()
