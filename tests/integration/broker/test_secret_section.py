#!/usr/bin/python3
"""What a [secret] section says of its value: when it is rotated, when it is old, and how the former one ends."""

import os
import re
import subprocess

from harness import BUILD, Case, main, wait_until
from profiles import CLOUDFLARE, GITLAB
from varlink import sealed_value
from vendors import shapes

MCPCRED = os.path.join(BUILD, "client-lib", "cli", "mcpcred")
HOUR = 3600

PERSONAL = """
[profile pat]
secret = pat
deliver = env
env = GITHUB_TOKEN
expose_secret = yes
command = /x
"""


class Section(Case):
    store = "sealed-file"

    def secret(self):
        [row] = self.it.rows("ListSecrets", "secrets")
        return row

    def restart(self, older=0):
        """What is stored looks that many seconds older to the next broker."""
        self.it.stop()
        if older:
            self.it.edit_state("UPDATE secret SET added = added - ?, rotated = max(0, rotated - ?)", [older * 1000000] * 2)
        self.it.start_sealed(create=False)

    def configure(self, text):
        self.it.write_config(text)
        self.it.call("Reload")

    def wait_generation(self, number):
        wait_until(lambda: self.secret()["generation"] == number and "rotation" not in self.secret(),
                   f"it is not rotated to {number}")

    def run_command(self, *arguments):
        done = subprocess.run([MCPCRED, *arguments, "--runtime", self.it.path("runtime")], capture_output=True, text=True,
                              env={"PATH": "/usr/bin:/bin", "HOME": self.it.path("home")}, check=False)
        return done.stdout + done.stderr

    def metric(self, name):
        text = "".join(reply["text"] for reply in self._metrics())
        [value] = re.findall(rf"^{name}{{secret=\"\w+\"}} (\d+)$", text, re.MULTILINE)
        return int(value)

    def _metrics(self):
        with self.it.client() as client:
            return client.stream("Metrics")


class Scheduled(Section):
    def begin(self, vendor, config):
        self.it = self.broker(config=config)
        value, self.number = self.github.add_issued(vendor)
        options = {"hosts": [f"localhost:{self.github.port}"]} if vendor == "cloudflare" else {}
        self.it.add(vendor, vendor, value.encode(), base_url=getattr(self.github, vendor + "_url"), verify=True, **options)

    def test_due_is_rotated_by_itself(self):
        """Once the section asks for it, without a start."""
        self.begin("cloudflare", CLOUDFLARE)
        self.restart(older=2 * HOUR)
        self.assertNotIn("due", self.secret())
        self.configure(CLOUDFLARE + "[secret cloudflare]\nrotate_every = 1d\n")
        self.assertIn("due", self.secret())
        self.assertEqual(self.secret()["generation"], 1)
        self.configure(CLOUDFLARE + "[secret cloudflare]\nrotate_every = 1h\n")
        self.wait_generation(2)
        wait_until(lambda: len(self.github.credentials("cloudflare", "alive")) == 1, "the old one lives on")
        [alive] = self.github.credentials("cloudflare", "alive")
        self.assertNotEqual(alive["id"], self.number)

    def test_due_while_the_broker_was_away(self):
        """Likewise of what kills the old one when it makes the new one, and once alone."""
        self.begin("gitlab", GITLAB + "[secret gitlab]\nrotate_every = 1h\n")
        self.assertEqual(self.secret()["generation"], 1)
        self.restart(older=2 * HOUR)
        self.wait_generation(2)
        self.restart()
        self.assertEqual(self.secret()["generation"], 2)
        self.assertEqual(self.github.count("gitlab.rotate"), 1)
        self.it.revoke(session=self.it.open("gl").id)

    def test_cut_off_goes_on(self):
        self.begin("cloudflare", CLOUDFLARE + "[secret cloudflare]\nrotate_every = 1h\n")
        away = self.github.fault("cloudflare.verify", "delay", skip=2)
        verified = self.github.count("cloudflare.verify")
        self.restart(older=2 * HOUR)
        self.github.wait("cloudflare.verify", verified + 3)
        self.it.crash("vault")
        self.github.release(away)
        self.it.unlock()
        self.wait_generation(2)
        wait_until(lambda: len(self.github.credentials("cloudflare", "alive")) == 1, "what was cut off lives on")


class Age(Section):
    def test_old_value_shows(self):
        self.it = self.broker(config=PERSONAL + "[secret pat]\nmax_age = 3d\n")
        value = shapes.github_classic()
        self.github.add_personal_token(value, scopes=["repo"])
        self.it.add("pat", "github_pat", value.encode(), base_url=self.github.base_url, hosts=["localhost"])
        self.restart(older=48 * HOUR)
        self.assertNotIn("max_age", self.run_command("doctor"))
        self.restart(older=48 * HOUR)
        self.assertRegex(self.run_command("doctor"), r"(?s)Secret pat is 4 days old\..*`max_age` in \[secret pat\]")
        self.assertAlmostEqual(self.metric("mcpcred_secret_age_seconds"), 96 * HOUR, delta=60)


class Personal(Section):
    """A person makes the new value; whether the old one may be revoked is for the section to say."""

    store = "memory"

    def begin(self, keys):
        self.it = self.broker(config=PERSONAL + "[secret pat]\n" + keys)
        self.old, self.new = shapes.github_classic(), shapes.github_classic()
        for value in self.old, self.new:
            self.github.add_personal_token(value, scopes=["repo"])
        self.it.add("pat", "github_pat", self.old.encode(), base_url=self.github.base_url, hosts=["localhost"])

    def rotate(self, **options):
        with sealed_value(self.new.encode()) as sealed, self.it.client() as client:
            return client.stream("Rotate", {"name": "pat", **options}, [sealed.fileno()])

    def works(self, value):
        return self.use(value, "/user") == 200

    def wait_revoked(self):
        wait_until(lambda: not self.works(self.old), "the old value lives on")
        self.assertTrue(self.works(self.new))
        wait_until(lambda: not self.it.leases(state="revoking"), "its end is not confirmed")
        self.assertEqual(self.github.count("revoke_credentials"), 1)

    def test_grace_is_over(self):
        self.begin("revoke_upstream = yes\ngrace = 2s\n")
        session = self.it.open("pat", command=["/x"])
        self.assertEqual(session.environment["GITHUB_TOKEN"], self.old)
        replies = self.rotate()
        self.assertTrue(replies[-1]["pending"])
        self.assertIn("lives on for 2 s", replies[-2]["message"])
        self.assertTrue(self.works(self.old))
        self.assertEqual(self.github.count("revoke_credentials"), 0)
        self.wait_revoked()

    def test_default_grace_is_ten_minutes(self):
        self.begin("revoke_upstream = yes\n")
        self.it.open("pat", command=["/x"])
        self.assertIn("lives on for 600 s", self.rotate()[-2]["message"])
        self.assertTrue(self.works(self.old))

    def test_no_grace_where_no_session_has_it(self):
        self.begin("revoke_upstream = yes\n")
        self.assertFalse(self.rotate()[-1]["pending"])
        self.wait_revoked()

    def test_not_revoked_unless_the_section_says_so(self):
        for keys in "", "revoke_upstream = no\n":
            with self.subTest(keys):
                self.begin(keys)
                self.assertIn("delete the old token", self.rotate()[-1]["message"])
                self.assertEqual(self.it.leases(state="revoking"), [])
                self.assertTrue(self.works(self.old))
                self.assertEqual(self.github.count("revoke_credentials"), 0)


if __name__ == "__main__":
    main()
