#!/usr/bin/python3
"""A command that attacks from inside of its sandbox, with the real broker behind the session's sockets."""

import json
import subprocess
import unittest

from proxyjob import BASE, CLIENTS, DIRECT, Case, bearer, job, main


@unittest.skipIf(DIRECT, "this is about the sandbox")
class Hostile(Case):
    def attack(self, *words, options=()):
        return json.loads(self.run_client(["/usr/bin/python3", CLIENTS + "/hostile.py", *words], "echo", options=options).out)

    def assert_all_serve(self):
        """The broker, and a session that is none of the attacker's."""
        self.good("status")
        (answer,) = self.batch("curl", "echo", [{"url": BASE + "/whoami", "headers": bearer()}])
        self.assertEqual(answer["status"], 200, answer)

    def test_descriptors_that_are_no_sockets_of_the_sandbox(self):
        results = self.attack("serve")
        taken = results.pop("serve 1000")
        self.assertLess(taken, 100)
        self.assertEqual([name for name, answer in results.items() if answer == "taken"], [], results)
        self.assert_all_serve()

    def test_the_control_socket_and_other_sessions(self):
        other = subprocess.Popen(self.command(["/bin/sh", "-c", "echo up; read x"], "echo"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self.assertEqual(other.stdout.readline(), b"up\n")
            results = self.attack("control", job.MCPCRED)
        finally:
            other.communicate(b"\n", timeout=30)
        self.assertEqual((results.pop("other sessions"), results.pop("control socket")), ([], False))
        self.assertLessEqual(set(results.pop("descriptors")), {"0", "1", "2", "3", "4"})  # 4 lists them
        unwanted = [name for name in results.pop("environment") if name.startswith(("DBUS", "SSH", "XDG_RUNTIME", "DISPLAY", "WAYLAND"))]
        self.assertEqual(unwanted, [])
        self.assertEqual([name for name, answer in results.items() if answer in (0, "taken")], [], results)
        self.assert_all_serve()


if __name__ == "__main__":
    main(__file__)
