#!/usr/bin/python3
"""examples/quickstart.sh as a newcomer runs it: each step shows what its heading says."""

import os
import re
import subprocess
import unittest

BUILD = os.environ["MCPCRED_BUILD"]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
SHOWN = (
    r"OpenAI, the models +200",
    r"OpenAI, files: the profile denies them +403 rule",
    r"GitHub, its repository, by a minted token +200",
    r"GitHub, with the handle for OpenAI +403 handle-host",
    r"the handle in another header +403 handle-place",
    r"the handle in a body +403 handle-place",
    r"straight to OpenAI, with the key +200",
    r"straight to OpenAI, with the handle +401",
    r"in another session of the same profile +403 foreign-handle",
    r"l-\S+ +credential +s-\S+ +triage +live .*",
    r"Revoked 4 credentials; 1 session ended\.",
    r"the upload that was under way +(?!200).+",
    r"403 handle-place",
    r"and then nothing any more",
    r"i-\S+ .*wrong place.*",
    r"profile +strict",
    r"\S+: \d+ lines are good, and end where they should\.",
    r"Done\. .*",
)


class Quickstart(unittest.TestCase):
    def test_each_step_shows_what_it_says(self):
        done = subprocess.run([os.path.join(ROOT, "examples", "quickstart.sh")], stdin=subprocess.DEVNULL, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100,
                              env={**os.environ, "MCPCRED_BUILD": BUILD, "NO_COLOR": "1"})
        self.assertEqual(done.returncode, 0, done.stdout)
        lines = (line.strip() for line in done.stdout.splitlines())
        for wanted in SHOWN:
            self.assertTrue(any(re.fullmatch(wanted.strip(), line) for line in lines), f"{wanted!r}, in its place, is not in\n{done.stdout}")


if __name__ == "__main__":
    unittest.main()
