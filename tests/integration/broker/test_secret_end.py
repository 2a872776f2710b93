#!/usr/bin/python3
"""The end of a secret's own value: reported to its upstream with others, within what that takes; nobody waits for another."""

import os

from harness import Case, main, sha256_hex, wait_until
from profiles import GITHUB, GITLAB
from vendors import shapes

SECTION = """
[secret {name}]
on_leak = revoke-upstream
revoke_upstream = yes
"""


class Personal(Case):
    """Some personal access tokens of GitHub's, each a secret that may be revoked."""

    number = 6

    def setUp(self):
        super().setUp()
        self.names = [f"p{number}" for number in range(self.number)]
        self.it = self.broker(config=GITHUB + "".join(SECTION.format(name=name) for name in self.names))
        self.values = {name: self.add(name) for name in self.names}

    def add(self, name, value=None, **more):
        value = value or shapes.github_classic()
        self.github.add_personal_token(value, scopes=["repo"])
        options = {"base_url": self.github.base_url, "hosts": [f"localhost:{self.github.port}"], **more}
        self.it.add(name, "github_pat", value.encode(), **options)
        return value

    def leak(self, *names):
        hashes = [sha256_hex(self.values[name]) for name in names]
        with self.it.client() as client:
            client.stream("ReportLeak", {"hashes": hashes, "source": "test"})

    def alive(self):
        return len(self.github.tokens("alive"))

    def reports(self):
        return self.github.count("revoke_credentials")

    def revoking(self):
        return self.it.leases(state="revoking")

    def wait_ended(self):
        wait_until(lambda: not self.revoking() and not self.alive(), "not all are ended: " + str(self.alive()))


class Together(Personal):
    def test_those_that_come_meanwhile_go_in_one_report(self):
        """The first goes at once, the rest when it is back."""
        away = self.github.fault("user", "delay")
        self.leak("p0")
        self.github.wait("user")
        self.leak(*self.names[1:])
        wait_until(lambda: len(self.revoking()) == self.number, "they are not to be revoked")
        self.github.release(away)
        self.wait_ended()
        self.assertEqual(self.reports(), 2)
        confirmed = [row for row in self.it.leases() if row["outcome"] == "confirmed"]
        self.assertEqual(len(confirmed), self.number)

    def test_another_address_is_another_call(self):
        """Where a value may go is bound to it."""
        self.values["p0"] = self.add("p0", base_url=self.github.base_url + "/", replace=True)
        away = self.github.fault("user", "delay")
        self.leak("p5")
        self.github.wait("user")
        self.leak(*self.names[:5])
        wait_until(lambda: len(self.revoking()) == self.number, "they are not to be revoked")
        self.github.release(away)
        wait_until(lambda: not self.revoking(), "they are not ended")
        self.assertEqual(self.reports(), 3)

    def test_one_that_is_not_taken_keeps_none_from_the_others(self):
        # GitHub's old form, without a checksum; of those the stand-in knows nothing.
        odd = "0123456789abcdef" * 2 + "01234567"
        self.values["p0"] = self.add("p0", value=odd, replace=True)
        away = self.github.fault("user", "delay")
        self.leak("p5")
        self.github.wait("user")
        self.leak(*self.names[:5])
        wait_until(lambda: len(self.revoking()) == self.number, "they are not to be revoked")
        self.github.release(away)
        wait_until(lambda: len(self.revoking()) == 1, "the others are not ended")
        [row] = self.revoking()
        self.assertIn("settings", row["reason"])


class Starving(Case):
    """hanging-provider-starves-no-other"""

    config = GITHUB + GITLAB

    def test_hanging_provider_starves_no_other(self):
        """One has more to revoke than there is room for, and says nothing; the other's dies all the same."""
        it = self.ready()
        value, _ = self.github.add_issued("gitlab")
        it.add("gitlab", "gitlab", value.encode(), base_url=self.github.gitlab_url, verify=True)
        for _ in range(16):
            it.open("gl")
        mine = [it.open("gh") for _ in range(16)]
        away = self.github.fault("gitlab.revoke", "hang", count=0)
        silent = it.keep(it.client())
        silent.send("Revoke", {"secret": "gitlab"}, more=True)
        self.github.wait("gitlab.revoke")
        answer = it.revoke(secret="github")
        self.assertEqual([row["outcome"] for row in answer["credentials"]], ["confirmed"] * len(mine))
        for session in mine:
            self.assert_dead(session.token)
        self.assertEqual(len(it.leases(state="revoking", profile="gl")), 16)
        self.github.release(away)


class Restarted(Personal):
    store = "sealed-file"

    def test_those_that_wait_for_a_start_go_in_one_report(self):
        away = self.github.fault("user", "status", status=503, count=0)
        report = self.github.fault("revoke_credentials", "status", status=503, count=0)
        self.leak(*self.names)
        wait_until(lambda: len(self.revoking()) == self.number, "they are not to be revoked")
        self.it.stop()
        self.it.edit_state("UPDATE lease SET next_attempt = 0 WHERE state = 2")  # all are due
        self.github.release(away)
        self.github.release(report)
        reports = self.reports()
        self.it.start_sealed(create=False)
        self.wait_ended()
        self.assertEqual(self.reports() - reports, 1)
        self.assertEqual({row["reason"] for row in self.it.leases() if row["outcome"] == "confirmed"}, {"revoked"})

    def test_a_value_that_cannot_be_read_keeps_none_from_its_report(self):
        """It is due first, so that the others would go with it."""
        away = self.github.fault("user", "status", status=503, count=0)
        report = self.github.fault("revoke_credentials", "status", status=503, count=0)
        self.leak(*self.names)
        wait_until(lambda: len(self.revoking()) == self.number, "they are not to be revoked")
        wait_until(lambda: all(row["attempts"] for row in self.revoking()), "not all had their turn")
        damaged = self.revoking()[0]["lease"]
        self.it.stop()
        self.it.edit_state("UPDATE lease SET next_attempt = 1, attempts = 1 WHERE state = 2")
        self.it.edit_state("UPDATE lease SET next_attempt = 0, token = x'00' WHERE id = ?", (damaged,))
        self.github.release(away)
        self.github.release(report)
        reports = self.reports()
        self.it.start_sealed(create=False)
        wait_until(lambda: len(self.revoking()) == 1, "the others are not ended")
        self.assertEqual((self.revoking()[0]["lease"], self.reports() - reports), (damaged, 1))
        failed = [event for event in self.it.audit() if event["operation"] == "lease.revoke" and "damaged" in event.get("detail", "")]
        self.assertEqual({event["lease"] for event in failed}, {damaged})


class Hourly(Personal):
    number = 160

    def add(self, name, value=None, **more):
        """Of GitHub's old form, without a checksum; the stand-in takes none of those, so each list is taken apart."""
        return super().add(name, value or os.urandom(20).hex(), **more)

    def test_sixty_reports_in_an_hour(self):
        """What the upstream would refuse is not sent: five lists of 32, twelve calls for each."""
        self.leak(*self.names)
        wait_until(lambda: self.revoking() and all(row["attempts"] for row in self.revoking()), "not all had their turn", 60)
        self.assertEqual(len(self.revoking()), self.number)
        with self.assertRaises(TimeoutError):
            self.github.wait("revoke_credentials", 61, timeout=2)
        self.assertEqual(self.reports(), 60)


if __name__ == "__main__":
    main()
