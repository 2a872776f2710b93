"""What the supervisor does with children that die, misbehave, or are left behind."""

import os
import signal
import unittest

from broker import BrokerTest, alive, wait_for


class Children(BrokerTest):
    def test_roles_are_connected_in_order(self):
        broker = self.broker()
        vault = broker.trace("vault")
        started = [line.startswith("Start epoch=- ") for line in vault].index(True)
        self.assertLess(vault.index("Attach keyring -"), started)
        self.assertLess(vault.index("Attach gate -"), vault.index("ConfigureBegin fds=0"))
        self.assertLess(vault.index("ConfigureBegin fds=0"), vault.index("ConfigureCommit fds=0"))
        gate = broker.trace("gate")
        self.assertEqual(gate[1:3], ["Attach vault -", "Listen fds=1"])
        self.assertEqual(broker.trace("keyring")[1:2], ["Attach vault -"])

    def test_dead_role_is_started_again(self):
        broker = self.broker()
        for role in ("vault", "gate", "keyring"):
            broker.tell(role, "exit", answered=False)
            wait_for(lambda role=role: len(broker.pids(role)) == 2)
        wait_for(lambda: broker.trace("gate").count("Listen fds=1") == 2)
        wait_for(lambda: broker.trace("vault").count("ConfigureCommit fds=0") == 2)
        wait_for(lambda: "Role keyring restarts=1" in broker.trace("vault"))
        self.assertIsNone(broker.process.poll())

    def test_child_that_sends_garbage_is_restarted(self):
        broker = self.broker()
        for role in ("vault", "gate", "keyring"):
            broker.tell(role, "garbage", answered=False)
            wait_for(lambda role=role: len(broker.pids(role)) == 2)
        wait_for(lambda: not any(alive(broker.pids(role)[0]) for role in ("vault", "gate", "keyring")))
        self.assertIsNone(broker.process.poll())
        self.assertIn("it is killed", broker.log())

    def test_restart_backs_off(self):
        broker = self.broker()
        broker.set_mode("keyring", "exit 1")
        broker.tell("keyring", "exit", answered=False)
        wait_for(lambda: len(broker.pids("keyring")) >= 4)
        # 50, 100, 200 ms lie behind four starts, and the next is 400 ms away: not a loop.
        self.assertLess(len(broker.pids("keyring")), 6)
        broker.set_mode("keyring", "")
        wait_for(lambda: broker.trace("keyring").count("Attach vault -") == 2)

    def test_broker_that_never_gets_ready_gives_up(self):
        broker = self.broker(modes={"vault": "exit 1"}, start=False).spawn()
        self.assertEqual(broker.process.wait(20), 1)
        self.assertIn("gives up", broker.log())

    def test_missing_executable_is_said(self):
        broker = self.broker(start=False)
        os.unlink(broker.executable("vault"))
        broker.spawn()
        self.assertEqual(broker.process.wait(20), 1)
        self.assertIn("cannot start", broker.log())
        self.assertIn("No such file", broker.log())

    def test_all_children_die_with_supervisor(self):
        broker = self.broker()
        pids = [broker.pids(role)[0] for role in ("vault", "gate", "keyring")]
        self.assertTrue(all(alive(pid) for pid in pids))
        broker.process.send_signal(signal.SIGKILL)
        broker.process.wait()
        wait_for(lambda: not any(alive(pid) for pid in pids))

    def test_orderly_end(self):
        broker = self.broker()
        broker.process.send_signal(signal.SIGTERM)
        self.assertEqual(broker.process.wait(15), 0)
        for role in ("gate", "vault", "keyring"):
            self.assertEqual(broker.trace(role)[-1], "end")

    def test_stopped_roles_do_not_hold_up_the_end(self):
        broker = self.broker()
        for role in ("gate", "keyring"):
            os.kill(broker.pids(role)[0], signal.SIGSTOP)
        broker.process.send_signal(signal.SIGTERM)
        self.assertEqual(broker.process.wait(15), 0)
        self.assertIn("gate: does not end in time", broker.log())

    def test_child_has_fewer_files_and_speaks_into_the_log(self):
        broker = self.broker()
        files = int(broker.trace("vault")[0].split("files=")[1])
        self.assertLessEqual(files, 8192)
        broker.tell("vault", "say hello\x1b[31m", answered=False)
        wait_for(lambda: "vault: hello?[31m" in broker.log())


if __name__ == "__main__":
    unittest.main()
