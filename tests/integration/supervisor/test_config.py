"""The configuration as a user meets it: --check, SIGHUP and Reload."""

import os
import signal
import subprocess
import unittest

from broker import MCPCREDD, BrokerTest, wait_for

GOOD = "[profile one]\nsecret = github\npreset = github\n"
BAD = "[profile one]\nsecret = github\ntypo = 1\n[profile two]\nttl = never\n"


class Config(BrokerTest):
    def check(self, broker):
        return subprocess.run([MCPCREDD, "--check", "--config", broker.config], capture_output=True, text=True,
                              timeout=15, check=False)

    def test_check_reports_all(self):
        broker = self.broker(BAD, start=False)
        broker.write_config("[broker]\nstore = floppy\n", "conf.d/10-first.conf")
        broker.write_config("[profile one]\nsecret = x\n", "conf.d/20-second.conf")
        broker.write_config("ignored", "conf.d/README")
        done = self.check(broker)
        self.assertEqual(done.returncode, 1)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 5, done.stdout)
        main = os.path.join(broker.config, "mcpcred.conf")
        self.assertTrue(lines[0].startswith(main + ":3: unknown key \"typo\""), lines[0])
        self.assertTrue(lines[1].startswith(main + ":5: ttl"), lines[1])
        self.assertIn("10-first.conf:2: store", lines[2])
        self.assertIn("20-second.conf:1: profile \"one\" is at " + main + ":1", lines[3])
        self.assertIn(":4: profile \"two\" needs \"secret\"", lines[4])

    def test_check_of_good_and_absent(self):
        broker = self.broker(GOOD, start=False)
        self.assertEqual(self.check(broker).returncode, 0)
        os.unlink(os.path.join(broker.config, "mcpcred.conf"))
        self.assertEqual(self.check(broker).returncode, 0)

    def test_files_of_others_refused(self):
        broker = self.broker(GOOD, start=False)
        path = os.path.join(broker.config, "mcpcred.conf")
        os.chmod(path, 0o620)
        self.assertIn("others may write", self.check(broker).stdout)
        os.chmod(path, 0o600)
        os.rename(path, path + ".real")
        os.symlink(path + ".real", path)
        self.assertIn("symbolic link", self.check(broker).stdout)
        os.unlink(path)
        os.mkfifo(path, 0o600)
        self.assertIn("regular file", self.check(broker).stdout)
        os.unlink(path)
        os.chmod(broker.config, 0o777)
        self.assertIn("others may write", self.check(broker).stdout)
        os.chmod(broker.config, 0o700)
        if os.geteuid() == 0:
            path = broker.write_config(GOOD)
            os.chown(path, 12345, 12345)
            self.assertIn("belongs to user 12345", self.check(broker).stdout)

    def test_bad_start_refused(self):
        broker = self.broker(BAD, start=False).spawn()
        self.assertEqual(broker.process.wait(15), 1)
        self.assertIn("typo", broker.log())
        self.assertIn("never", broker.log())

    def test_reload(self):
        broker = self.broker(GOOD)
        self.assertIn("ConfigureProfile one ttl=3600", broker.trace("vault"))
        broker.write_config("[profile two]\nsecret = github\npreset = github\nttl = 30m\n", "conf.d/two.conf")
        self.assertEqual(broker.tell("vault", "reload")[0].strip(), "ok profiles=2 problems=0")
        self.assertIn("ConfigureProfile two ttl=1800", broker.trace("vault"))
        broker.write_config("[profile three]\nsecret = github\npreset = github\n", "conf.d/three.conf")
        broker.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "ConfigureProfile three ttl=3600" in broker.trace("vault"))

    def test_bad_reload_keeps_the_old(self):
        broker = self.broker(GOOD)
        broker.write_config(BAD)
        answer = broker.tell("vault", "reload")[0]
        self.assertTrue(answer.startswith("ok profiles=0 problems=3 "), answer)
        self.assertIn("mcpcred.conf:3: unknown key", answer)
        broker.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len([line for line in broker.trace("vault") if line.startswith("ConfigProblems 3 ")]) == 2)
        broker.tell("vault", "exit", answered=False)
        wait_for(lambda: broker.trace("vault").count("ConfigureCommit fds=0") == 2)
        self.assertEqual(broker.trace("vault").count("ConfigureProfile one ttl=3600"), 2)


if __name__ == "__main__":
    unittest.main()
