#!/usr/bin/python3
"""State or store restored from an older copy: what it would bring back to life is ended and revoked,
or it is refused."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess

from harness import Case, main, wait_until
from varlink import CallError


def new_key(path):
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", path, "2048"], check=True, capture_output=True)
    with open(path, "rb") as file:
        return file.read()


class Restoring(Case):
    store = "sealed-file"

    def setUp(self):
        super().setUp()
        self.it = self.ready()

    # -- copies

    def state(self, *parts):
        return self.it.path("state", *parts)

    def names(self):
        return [name for name in os.listdir(self.state()) if name.startswith("state.db")]

    def copy_state(self, name="older"):
        """The database as a backup program takes it; the vault is held still meanwhile."""
        target = self.it.path(name)
        os.mkdir(target)
        self.it.signal_role("vault", signal.SIGSTOP)
        for file in self.names():
            shutil.copy2(self.state(file), target)
        self.it.signal_role("vault", signal.SIGCONT)
        return target

    def put_state(self, source):
        for file in self.names():
            os.unlink(self.state(file))
        for file in os.listdir(source):
            shutil.copy2(os.path.join(source, file), self.state())

    def copy_store(self, name="older.sealed"):
        return shutil.copy2(self.state("secrets.sealed"), self.it.path(name))

    def put_store(self, source):
        """As a backup program does it: a new file takes the name."""
        shutil.copy2(source, self.state("restored"))
        os.replace(self.state("restored"), self.state("secrets.sealed"))

    # -- what must hold

    def all_ended(self, *sessions):
        for session in sessions:
            self.wait_dead(session.token)
            self.fails("Expired", self.it.get_token, session)
        rows = self.it.sessions()
        self.assertEqual({row["state"] for row in rows.values()}, {"ended"})
        wait_until(lambda: not self.count_open(self.it, "live", "revoking"), "leases stay open")
        self.assertEqual(self.github.tokens("alive"), [])

    def rotate(self):
        path = self.it.path("next.pem")
        value = new_key(path)
        self.github.add_key(path)
        return self.it.rotate(value)


class State(Restoring):
    def test_state_restored_while_stopped(self):
        revoked, kept = self.it.open("gh"), self.it.open("gh")
        older = self.copy_state()
        self.it.revoke(session=revoked.id)
        self.it.stop()
        self.put_state(older)
        self.it.start_sealed(create=False)
        self.all_ended(revoked, kept)
        # The log is of the newer state, and so is found to be another one's.
        self.assertIn("tampered", self.it.status()["audit_state"])

    def test_state_and_log_restored(self):
        kept = self.it.open("gh")
        self.it.audit()
        older = self.copy_state()
        shutil.copy2(self.it.audit_path, older)
        self.it.revoke(session=kept.id)
        self.it.stop()
        self.put_state(older)
        self.it.start_sealed(create=False)
        self.all_ended(kept)
        lines = [event["operation"] for event in self.it.audit()]
        self.assertIn("state.end-all", lines)

    def test_state_restored_under_a_killed_vault(self):
        client = self.it.keep(self.it.client())
        revoked, kept = self.it.open("gh"), self.it.open("gh", client=client)
        older = self.copy_state()
        self.it.revoke(session=revoked.id)
        self.swap_under_the_vault(older)
        self.all_ended(revoked, kept)

    def swap_under_the_vault(self, older):
        """The supervisor is held, so that no new vault is started before the swap."""
        os.kill(self.it.process.pid, signal.SIGSTOP)
        old = self.it.signal_role("vault")
        self.put_state(older)
        os.kill(self.it.process.pid, signal.SIGCONT)
        wait_until(lambda: self.it.role_pid("vault") not in (None, old), "the vault is not restarted")
        self.it.wait_ready()

    def test_copy_of_now_is_no_older_copy(self):
        """A vault that is killed and finds what it wrote goes on."""
        session = self.it.open("gh")
        now = self.copy_state()
        self.swap_under_the_vault(now)
        self.assertEqual(self.it.sessions()[session.id]["state"], "live")
        self.assert_alive(session.token)

    def test_state_restored_twice(self):
        session = self.it.open("gh")
        older = self.copy_state()
        self.it.revoke(session=session.id)
        for _ in range(2):
            self.it.stop()
            self.put_state(older)
            self.it.start_sealed(create=False)
            self.all_ended(session)

    def test_crash_right_after_a_revocation(self):
        """Revoke has answered, so even a copy from just before it must not come through."""
        session, other = self.it.open("gh"), self.it.open("gh")
        older = self.copy_state()
        self.it.revoke(session=session.id)
        for pidfd in self.it.kill():
            os.close(pidfd)
        self.put_state(older)
        self.it.start_sealed(create=False)
        self.all_ended(session, other)

    def test_revoked_token_stays_revoked_in_the_copy(self):
        session = self.it.open("gh")
        older = self.copy_state()
        answer = self.it.revoke(all=True)
        self.assertEqual(answer["sessions"], 1)
        self.it.stop()
        self.put_state(older)
        self.it.start_sealed(create=False)
        self.all_ended(session)
        fresh = self.it.open("gh")
        self.assert_alive(fresh.token)

    def test_runtime_directory_is_new(self):
        """After a reboot: the epoch is gone, and so is every session."""
        session = self.it.open("gh")
        self.it.stop()
        shutil.rmtree(self.it.path("runtime"))
        os.mkdir(self.it.path("runtime"), 0o700)
        self.it.start_sealed(create=False)
        self.all_ended(session)

    def test_audit_log_cut(self):
        """A log that was cut at its end is found out, and the broker goes on."""
        self.it.open("gh")
        self.it.stop()
        with open(self.it.audit_path, "rb") as file:
            lines = file.readlines()
        with open(self.it.audit_path, "wb") as file:
            file.writelines(lines[:-2])
        self.it.start_sealed(create=False)
        self.assertIn("tampered", self.it.status()["audit_state"])
        checks = {row["id"]: row["status"] for row in self.it.rows("Doctor", "checks")}
        self.assertEqual(checks["audit"], "fail")
        self.assert_alive(self.it.open("gh").token)

    def test_audit_log_edited(self):
        self.it.stop()
        with open(self.it.audit_path, "rb") as file:
            data = file.read()
        with open(self.it.audit_path, "wb") as file:
            file.write(data.replace(b"secret.add", b"secret.odd"))
        self.it.start_sealed(create=False)
        self.assertIn("line", self.it.status()["audit_state"])

    def test_state_damaged(self):
        self.it.stop()
        for file in self.names():
            with open(self.state(file), "r+b") as opened:
                opened.seek(0)
                opened.write(b"nothing that SQLite knows" * 8)
        self.it.launch()
        self.it.log.wait("state")
        self.assertNotEqual(self.it.process.wait(60), 0)
        self.it.stop(expect=None)


class Store(Restoring):
    def test_store_older_than_the_state_refused(self):
        """The keyring's file from before a rotation."""
        older = self.copy_store()
        session = self.it.open("gh")
        self.assertEqual(self.rotate()[-1], "done")
        self.it.stop()
        self.put_store(older)
        self.it.start_sealed(create=False)
        error = self.fails("Rollback", self.it.open, "gh")
        self.assertIn("older copy", error.message)
        self.wait_dead(session.token)
        self.assertEqual([token for token in self.github.tokens("alive")], [])
        self.assertTrue([event for event in self.it.audit() if event.get("reason") == "Rollback"])

    def test_store_swapped_while_running_refused(self):
        older = self.copy_store()
        self.rotate()
        self.put_store(older)
        self.fails("Rollback", self.it.open, "gh")
        self.assertEqual(self.github.tokens(), [])

    def test_store_swapped_and_keyring_killed_refused(self):
        older = self.copy_store()
        self.rotate()
        self.put_store(older)
        self.it.crash("keyring")
        self.fails("Rollback", self.it.open, "gh")

    def test_adding_again_mends_it(self):
        older = self.copy_store()
        self.rotate()
        self.it.stop()
        self.put_store(older)
        self.it.start_sealed(create=False)
        self.fails("Rollback", self.it.open, "gh")
        self.it.add_github(self.github, replace=True)
        self.assert_alive(self.it.open("gh").token)

    def test_replacing_that_was_cut_off_can_be_done_again(self):
        """The store has the new item, with another binding, and the state does not know of its end."""
        older = self.copy_state()
        self.it.add_github(self.github, replace=True, hosts=["github.example"])
        self.it.stop()
        self.put_state(older)
        with contextlib.closing(sqlite3.connect(self.state("state.db"))) as state:
            state.execute("UPDATE secret SET step = 3, next_generation = 2")
            state.commit()
        self.it.start_sealed(create=False)
        self.fails("Rollback", self.it.open, "gh")
        self.it.add_github(self.github, replace=True, hosts=["github.example"])
        self.assert_alive(self.it.open("gh").token)
        [row] = self.it.rows("ListSecrets", "secrets")
        self.assertNotIn("rotation", row)
        self.assertEqual(row["generation"], 3)

    def test_state_older_than_the_store_refused(self):
        """The state from before a rotation: the store is ahead of it."""
        session = self.it.open("gh")
        older = self.copy_state()
        self.rotate()
        self.it.stop()
        self.put_state(older)
        self.it.start_sealed(create=False)
        self.fails("Rollback", self.it.open, "gh")
        self.wait_dead(session.token)

    def test_state_without_its_store_refused(self):
        """Another file, with another key: the state is sealed with the old one."""
        self.it.open("gh")
        self.it.stop()
        os.rename(self.state("secrets.sealed"), self.it.path("away"))
        self.it.start(ready=False)
        with self.assertRaises(CallError) as caught:
            self.it.unlock(create=True)
        self.assertEqual(caught.exception.name, "Rollback")
        self.assertEqual(self.it.status()["store_state"], "rollback")
        self.fails("Rollback", self.it.open, "gh")
        self.it.stop()
        os.replace(self.it.path("away"), self.state("secrets.sealed"))
        self.it.start_sealed(create=False)
        self.assert_alive(self.it.open("gh").token)

    def test_store_removed_while_running(self):
        os.unlink(self.state("secrets.sealed"))
        with self.assertRaises(CallError) as caught:
            self.it.open("gh")
        self.assertIn(caught.exception.name, ("KeyringAbsent", "StoreDamaged", "KeyringFailed", "Rollback"))

    def test_store_damaged(self):
        self.it.stop()
        with open(self.state("secrets.sealed"), "r+b") as file:
            file.seek(-20, os.SEEK_END)
            file.write(b"\0" * 20)
        self.it.start(ready=False)
        with self.assertRaises(CallError) as caught:
            self.it.unlock()
        self.assertEqual(caught.exception.name, "StoreDamaged")
        self.fails("StoreDamaged", self.it.open, "gh")

    def test_wrong_passphrase(self):
        self.it.stop()
        self.it.start(ready=False)
        self.fails("KeyringLocked", self.it.open, "gh")
        for wrong in (b"wrong", b"x" * 1000):
            with self.assertRaises(CallError) as caught:
                self.it.unlock(wrong)
            self.assertEqual(caught.exception.name, "WrongPassphrase")
            self.fails("KeyringLocked", self.it.open, "gh")  # whoever did not type it
        self.assertEqual(self.it.status()["store_state"], "locked")
        self.it.unlock()
        self.assert_alive(self.it.open("gh").token)


if __name__ == "__main__":
    main()
