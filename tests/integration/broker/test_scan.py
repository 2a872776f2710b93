#!/usr/bin/python3
"""`mcpcred scan`: what the broker stores or has issued is found in files, histories and streams; nothing else is."""

import json
import os
import re
import shutil
import subprocess
import zlib

from harness import BUILD, PROFILES, Case, children_of, main, wait_until

MCPCRED = os.path.join(BUILD, "client-lib", "cli", "mcpcred")
FOUND, INCOMPLETE = 1, 3
CONFIG = PROFILES + """
[profile api]
secret = api
preset = generic
slot = bearer
allow = GET api.example.com /**
env = API_KEY
"""


class Scanning(Case):
    config = CONFIG

    def setUp(self):
        super().setUp()
        self.it = self.ready()
        self.tree = self.it.path("tree")
        os.mkdir(self.tree)
        # Like nothing that anybody issues.
        self.key = "zq9" + "".join(chr(ord("a") + i * 7 % 26) for i in range(29)) + "Q7"
        self.it.add("api", "static", self.key.encode(), hosts=["api.example.com"])
        with open(self.github.app_key, encoding="utf-8") as file:
            self.pem = file.read()

    def write(self, name, data):
        path = os.path.join(self.tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return path

    def run_scan(self, *arguments, status=None, stdin=b"", cwd=None, json_too=True, environment=None):
        command = [MCPCRED, "--runtime", self.it.path("runtime"), *(["--json"] if json_too else []), "scan", *arguments]
        env = {"PATH": os.environ["PATH"], "HOME": self.it.path("home"), **(environment or {})}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                env[name] = os.environ[name]
        done = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd or self.tree, env=env, check=False)
        self.assertNotIn(self.key.encode(), done.stdout + done.stderr)
        self.assertNotIn(b"PRIVATE KEY-----\nMII", done.stdout + done.stderr)
        if status is not None:
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.stderr = done.stderr.decode()
        return json.loads(done.stdout) if json_too else done.stdout.decode(errors="surrogateescape")

    def places(self, report):
        return [(row["path"], row["kind"], row["secret"], row["state"]) for row in report["findings"]]


class Files(Scanning):
    def test_nothing_is_found_where_nothing_is(self):
        self.write("a", "nothing here")
        self.write("b", self.key[:-1] + "8")  # but for one letter
        self.write("c", self.pem.replace("MII", "MIJ"))
        self.write("d", "mcpch_" + "a" * 38)
        self.write("empty", "")
        report = self.run_scan(".", status=0)
        self.assertEqual((report["findings"], report["complete"], report["looked_at"]), ([], True, 5))

    def test_a_stored_key_is_found_with_its_place(self):
        self.write("src/conf.js", f"// one\n// two\n  key = '{self.key}';\n")
        self.write(".hidden/.env", f"API_KEY={self.key}\nAGAIN={self.key}\n")
        self.write("image.bin", b"\0\1\2" * 1000 + self.key.encode() + b"\0")
        report = self.run_scan(".", status=FOUND)
        self.assertEqual(
            [(row["path"], row.get("line"), row.get("column"), row["offset"]) for row in report["findings"]],
            [(".hidden/.env", 1, 9, 8), (".hidden/.env", 2, 7, 8 + 34 + 1 + 6), ("image.bin", 1, 3001, 3000),
             ("src/conf.js", 3, 10, 23)])
        self.assertTrue(all(row["secret"] == "api" and row["state"] == "current" for row in report["findings"]))
        text = self.run_scan(".", status=FOUND, json_too=False)
        self.assertIn("src/conf.js:3:10: secret api (current)\n", text)
        self.assertIn("image.bin:byte 3000: secret api (current)\n", text)
        self.assertIn("--report", self.stderr)

    def test_a_private_key_is_found_however_it_was_pasted(self):
        self.write("plain.pem", self.pem)
        self.write("windows.pem", self.pem.replace("\n", "\r\n"))
        self.write("config.json", json.dumps({"key": self.pem.strip()}))
        self.write("twice.env", "KEY=" + self.pem.strip().replace("\n", "\\\\n"))
        self.write("secret.yaml", "key: |\n" + "".join(f"    {line}\n" for line in self.pem.splitlines()))
        report = self.run_scan(status=FOUND)
        self.assertEqual(self.places(report), [
            (name, "secret", "github", "current")
            for name in ("config.json", "plain.pem", "secret.yaml", "twice.env", "windows.pem")])

    def test_what_was_issued_is_found_with_its_session(self):
        session = self.it.open("gh")
        held = self.it.open("api")
        handle = held.environment["API_KEY"]
        self.write("log", f"x\nAuthorization: Bearer {session.token}.\nnext {handle}_suffix\n{held.secret}")
        report = self.run_scan(".", status=FOUND)
        rows = {(row["line"], row["kind"]): row for row in report["findings"]}
        token, found = rows[2, "credential"], rows[3, "handle"]
        self.assertEqual((token["session"], token["profile"], token["secret"], token["state"]),
                         (session.id, "gh", "github", "live"))
        self.assertEqual((found["session"], found["profile"], found["state"]), (held.id, "api", "live"))
        self.assertNotIn(session.token, json.dumps(report) + self.stderr)
        self.it.revoke(session=session.id)
        text = self.run_scan(".", status=FOUND, json_too=False)
        self.assertRegex(text, rf"log:2:23: credential of session {session.id}, profile gh, secret github \(revo")

    def test_what_is_found_is_reported_when_asked_for(self):
        session = self.it.open("gh")
        self.write("log", f"{session.token}\n{session.token} {self.key}\n")
        self.assertNotIn("reported", self.run_scan(".", status=FOUND))
        report = self.run_scan(".", "--report", status=FOUND)
        self.assertEqual(sorted((row["kind"], row["secret"], row["session"]) for row in report["reported"]),
                         [("credential", "github", session.id), ("secret", "api", None)])
        self.assertEqual(len(report["findings"]), 3)
        text = self.run_scan(".", "--report", status=FOUND, json_too=False)
        self.assertIn(f"reported: credential of secret github, session {session.id}: ", text)
        self.assertIn("reported: secret api: ", text)

    def test_an_old_value_is_found_by_its_hash(self):
        self.write("old.pem", self.pem)
        with open(self.it.path("next.pem"), "wb") as file:
            file.write(subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True).stdout)
        self.github.add_key(self.it.path("next.pem"))
        with open(self.it.path("next.pem"), "rb") as file:
            new = file.read()
        self.it.rotate(new)
        report = self.run_scan(".", status=FOUND)
        self.assertEqual([row["state"] in ("old", "previous") for row in report["findings"]], [True])
        self.write("new.pem", new)
        report = self.run_scan(".", status=FOUND)
        self.assertIn(("new.pem", "secret", "github", "current"), self.places(report))

    def test_links_and_devices_are_left_alone(self):
        self.write("real", self.key)
        os.symlink("real", os.path.join(self.tree, "link"))
        os.symlink(self.tree, os.path.join(self.tree, "loop"))
        os.mkfifo(os.path.join(self.tree, "fifo"))
        report = self.run_scan(".", status=FOUND)
        self.assertEqual(self.places(report), [("real", "secret", "api", "current")])
        report = self.run_scan("link", status=FOUND)  # but for one that is named
        self.assertEqual(self.places(report), [("link", "secret", "api", "current")])

    def test_what_cannot_be_read_is_named(self):
        self.write("a", "nothing")
        report = self.run_scan(".", "missing", status=INCOMPLETE)
        self.assertEqual([row["path"] for row in report["not_looked_at"]], ["missing"])
        self.assertFalse(report["complete"])
        self.assertIn("missing: No such file", self.stderr)
        self.write("b", self.key)
        self.run_scan(".", "missing", status=FOUND)
        self.write("large", b"x" * 5000 + self.key.encode())
        report = self.run_scan("large", "--max-size", "1k", status=0)
        self.assertEqual(report["too_large"], 1)

    def test_a_large_file_is_shared_and_nothing_falls_between(self):
        # Its anchor, 15 bytes behind its beginning, is right before an edge, on it, and across it.
        edges = [0, 256 << 10, (4 << 20) - 16, (8 << 20) - 15, (12 << 20) - 17, (16 << 20) - 30, (20 << 20) - len(self.key)]
        data = bytearray(b"\n" * (20 << 20))
        for at in edges:
            data[at : at + len(self.key)] = self.key.encode()
        self.write("large", bytes(data))
        report = self.run_scan("large", status=FOUND)
        self.assertEqual([row["offset"] for row in report["findings"]], sorted(edges))
        self.assertEqual([row["line"] for row in report["findings"]],
                         [at - i * len(self.key) + 1 for i, at in enumerate(sorted(edges))])

    def test_stdin_and_pipes_are_streams(self):
        data = b"line\n" * 200000 + b"  " + self.key.encode() + b"\n" + b"more\n" * 100000
        report = self.run_scan("-", status=FOUND, stdin=data)
        [row] = report["findings"]
        self.assertEqual((row["path"], row["line"], row["column"], row["offset"]), ("(stdin)", 200001, 3, 1000002))
        report = self.run_scan("/dev/stdin", status=FOUND, stdin=data)
        self.assertEqual(report["findings"][0]["line"], 200001)

    def test_a_file_of_look_alikes_is_bounded_and_said(self):
        anchor = self.key[len(self.key) // 2 - 2 : len(self.key) // 2 + 2]
        self.write("anchors", anchor * 500000)
        self.write("tokens", "ghs_" + "".join(f"{i:016d}ghs_" for i in range(50000)))
        self.write("real", self.key)
        report = self.run_scan(".", status=FOUND)
        self.assertEqual(self.places(report), [("real", "secret", "api", "current")])
        self.assertEqual({row["path"] for row in report["not_looked_at"]}, {"anchors", "tokens"})

    def test_a_short_secret_is_not_looked_for_and_that_is_said(self):
        self.it.add("pin", "static", b"tooshort1", hosts=["api.example.com"])
        self.write("a", "tooshort1")
        report = self.run_scan(".", status=INCOMPLETE)
        self.assertEqual([row["secret"] for row in report["not_looked_for"]], ["pin"])

    def test_names_that_are_not_text_come_out_as_text(self):
        with open(os.path.join(self.tree.encode(), b"a\xff\x1b[31m\n\x9b31mb"), "wb") as file:
            file.write(self.key.encode())
        text = self.run_scan(".", status=FOUND, json_too=False)
        self.assertEqual(len(text.splitlines()), 1)
        self.assertNotIn("\x1b", text)
        self.assertTrue(text.isascii(), text)
        self.assertEqual(len(self.run_scan(".", status=FOUND)["findings"]), 1)


    def test_a_name_that_holds_the_value_does_not_show_it(self):
        self.write(f"old/{self.key}.bak/{self.key}", self.key)
        text = self.run_scan(".", status=FOUND, json_too=False)
        self.assertEqual(text, f"old/{'*' * 34}.bak/{'*' * 34}:1:1: secret api (current)\n")
        [found] = self.run_scan(".", status=FOUND)["findings"]
        self.assertEqual(found["path"], f"old/{'*' * 34}.bak/{'*' * 34}")


class Histories(Scanning):
    def git(self, *arguments, **options):
        env = {"PATH": os.environ["PATH"], "HOME": self.it.path("home"), "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b",
               "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_NOSYSTEM": "1"}
        return subprocess.run(["git", "-C", self.tree, *arguments], env=env, capture_output=True, check=True, text=True,
                              **options).stdout.strip()

    def commit(self, message="x"):
        self.git("add", "-A")
        self.git("commit", "-q", "--no-gpg-sign", "-m", message)
        return self.git("rev-parse", "HEAD")

    def test_a_whole_history_is_looked_through(self):
        self.git("init", "-q")
        self.write("README", "hello")
        self.commit()
        self.write("src/a b.txt", f"one\nkey {self.key}\n")
        first = self.commit()
        self.write("src/a b.txt", f"one\nkey {self.key}\nmore\n")
        second = self.commit()
        self.write("src/a b.txt", "gone")
        self.write("later", f"one\nkey {self.key}\n")  # what was there before
        self.commit()
        lost = self.git("hash-object", "-w", "--stdin", input=f"dangling {self.key}")
        told = self.commit_allow_empty(f"the key was {self.key}, sorry")
        report = self.run_scan("--git", ".", status=FOUND)
        rows = {row["object"]: row for row in report["findings"]}
        by_commit = {row["commit"]: row for row in rows.values() if row["object_type"] == "blob" and row["commit"]}
        self.assertEqual(set(by_commit), {first, second})
        self.assertEqual((by_commit[first]["path"], by_commit[first]["line"], by_commit[first]["column"]),
                         ("src/a b.txt", 2, 5))
        self.assertIsNone(rows[lost]["commit"])
        self.assertEqual((rows[told]["object_type"], rows[told]["commit"]), ("commit", told))
        self.assertEqual(len(rows), 4)
        text = self.run_scan("--git-history", status=FOUND, json_too=False)
        self.assertRegex(text, rf"blob [0-9a-f]{{12}}:2:5: secret api \(current\), in src/a b.txt since commit {first[:12]} of 20")
        self.assertIn("in no commit that a branch or the reflog leads to", text)

    def commit_allow_empty(self, message):
        self.git("commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def test_large_objects_are_streamed(self):
        self.git("init", "-q")
        self.write("large", b"x\n" * 700000 + self.key.encode() + b"\n" + b"y\n" * 400000)
        self.write("small", self.key)
        self.commit()
        report = self.run_scan("--git", self.tree, status=FOUND)
        self.assertEqual(sorted((row["path"], row["line"]) for row in report["findings"]),
                         [("large", 700001), ("small", 1)])

    def test_the_repository_that_was_named_is_the_one(self):
        other = self.it.path("other")
        subprocess.run(["git", "init", "-q", other], check=True, env={"PATH": os.environ["PATH"], "HOME": other})
        self.git("init", "-q")
        self.write("a", self.key)
        self.commit()
        self.run_scan("--git", self.tree, status=FOUND, environment={"GIT_DIR": os.path.join(other, ".git")})

    def test_nothing_of_the_repository_is_run(self):
        self.git("init", "-q")
        self.write("a", self.key)
        self.write(".gitattributes", "* diff=evil filter=evil\n")
        self.commit()
        mark, program = self.it.path("ran"), self.it.path("program")
        with open(program, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\ntouch {mark}\n")
        os.chmod(program, 0o755)
        for key in ("core.fsmonitor", "core.pager", "diff.external", "diff.evil.textconv", "gpg.program", "core.hooksPath",
                    "filter.evil.smudge", "core.sshCommand"):
            self.git("config", key, program)
        self.git("config", "log.showSignature", "true")
        head = self.git("cat-file", "commit", "HEAD").replace(
            "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n eA==\n -----END PGP SIGNATURE-----\n\n", 1)
        self.assertFalse(os.path.exists(mark))
        self.git("update-ref", "HEAD", self.git("hash-object", "-t", "commit", "-w", "--stdin", input=head + "\n"))
        report = self.run_scan("--git", ".", status=FOUND)
        self.assertEqual(report["findings"][0]["path"], "a")
        self.assertFalse(os.path.exists(mark))

    def test_what_git_waits_for_for_ever_is_given_up_and_what_has_no_end_takes_no_memory(self):
        self.git("init", "-q")
        self.write("a", self.key)
        self.commit()
        os.mkfifo(os.path.join(self.tree, ".git", "fifo"))
        self.git("config", "mailmap.file", "/dev/zero")
        self.git("config", "diff.orderFile", "/dev/zero")
        [found] = self.run_scan("--git", self.tree, status=FOUND)["findings"]
        self.assertEqual(found["path"], "a")
        with open(os.path.join(self.tree, ".git", "config"), "a", encoding="ascii") as file:
            file.write(f"[include]\n path = {self.tree}/.git/fifo\n")
        with subprocess.Popen([MCPCRED, "--runtime", self.it.path("runtime"), "scan", "--json", "--git", self.tree],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"]}) as scan:
            [git] = wait_until(lambda: [pid for pid, name in children_of(scan.pid).items() if name == "git"], "no git runs")

            def limit():
                with open(f"/proc/{git}/limits", encoding="ascii") as file:
                    return int(re.search(r"^Max data size +([0-9]+) ", file.read(), re.M)[1])

            self.assertLessEqual(limit(), 2 << 30)
            out, err = scan.communicate(timeout=60)
        self.assertEqual(scan.returncode, INCOMPLETE, err)
        self.assertIn("git waits", json.loads(out)["not_looked_at"][0]["reason"])

    def object_of(self, size, content):
        """One that says that it has so many bytes."""
        name = "%040x" % (size + 1)
        folder = os.path.join(self.tree, ".git", "objects", name[:2])
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name[2:]), "wb") as file:
            file.write(zlib.compress(b"blob %d\0" % size + content))

    def test_objects_that_lie_about_their_size_hide_and_show_nothing(self):
        self.git("init", "-q")
        for size in 0, 10, 1 << 62:
            self.object_of(size, self.key.encode() * 100 + b"\n" + self.key.encode() + b" blob 99\n")
        self.write("a", self.key)
        self.commit()
        text = self.run_scan("--git", self.tree, status=FOUND, json_too=False)
        self.assertNotIn(self.key[:16], text + self.stderr)
        self.assertFalse(self.run_scan("--git", self.tree, status=FOUND)["complete"])

    def test_what_git_says_of_a_hostile_repository_is_told_harmlessly(self):
        self.git("init", "-q")
        self.write("a", "x")
        self.commit()
        config = os.path.join(self.tree, ".git", "config")
        with open(config, encoding="utf-8") as file:
            before = file.read()
        evil = os.path.join(self.tree, "\u009b31m\u202e")
        self.write(evil, "[")
        for line, said in (f"[include]\n path = {evil}\n", "bad config"), (f"[core]\n bare = {self.key}\n", "core.bare"):
            with open(config, "w", encoding="utf-8") as file:
                file.write(before + line)
            self.run_scan("--git", self.tree, status=INCOMPLETE, json_too=False)
            self.assertIn(said, self.stderr)
            self.assertTrue(self.stderr.isascii(), self.stderr)
            self.assertNotIn(self.key[:16], self.stderr)

    def test_what_is_no_repository_is_said(self):
        report = self.run_scan("--git", self.it.path("home"), status=INCOMPLETE)
        self.assertEqual(len(report["not_looked_at"]), 1)


    def test_a_repository_that_lacks_objects_has_nothing_run_to_fetch_them(self):
        """By a git that knows no GIT_NO_LAZY_FETCH too: before 2.39.4."""
        ran = self.it.path("ran")
        script = self.write_program("fetch", f'echo "$0" >> {ran}; exit 1')
        older = self.write_program("git", f'unset GIT_NO_LAZY_FETCH; exec {shutil.which("git")} "$@"')
        self.git("init", "-q")
        self.write("folder/file", self.key)
        self.commit()
        tree = self.git("rev-parse", "HEAD:folder")
        os.unlink(os.path.join(self.tree, ".git", "objects", tree[:2], tree[2:]))
        for name, value in (("core.repositoryFormatVersion", "1"), ("extensions.partialClone", "origin"),
                            ("remote.origin.promisor", "true"), ("remote.origin.uploadPack", script),
                            ("core.sshCommand", script), ("protocol.allow", "always"), ("protocol.ext.allow", "always")):
            self.git("config", name, value)
        for url in "ssh://host/path", self.tree, f"ext::{script}":
            self.git("config", "remote.origin.url", url)
            for path in os.environ["PATH"], os.path.dirname(older) + ":" + os.environ["PATH"]:
                report = self.run_scan("--git", self.tree, status=FOUND, environment={"PATH": path})
                self.assertEqual([row["secret"] for row in report["findings"]], ["api"])
                self.assertFalse(os.path.exists(ran), url)

    def write_program(self, name, text):
        path = os.path.join(self.it.path("home"), name)
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o700)
        return path


class Broker(Scanning):
    def test_what_it_tells_of_a_value_is_little(self):
        with self.it.client() as client:
            replies = client.stream("ScanPatterns")
        patterns = {row["secret"]: row for reply in replies for row in reply["patterns"]}
        api, github = patterns["api"], patterns["github"]
        self.assertEqual((len(bytes.fromhex(api["anchor"])), api["offset"], api["length"]), (4, 15, 34))
        self.assertEqual(bytes.fromhex(api["anchor"]).decode(), self.key[15:19])
        self.assertEqual((bytes.fromhex(github["anchor"]), github["offset"]), (b"-----BEGIN RSA P", 0))
        with self.it.client() as client:
            again = client.stream("ScanPatterns")
        self.assertNotEqual(replies[0]["key"], again[0]["key"])
        hashes = {row["hash"] for reply in replies + again for row in reply["patterns"]}
        self.assertEqual(len(hashes), 4)
        self.assertEqual(len([event for event in self.it.audit() if event["operation"] == "scan.patterns"]), 2)

    def test_a_handle_is_not_told_where_a_broker_does_not_answer(self):
        self.it.stop()
        done = subprocess.run([MCPCRED, "--runtime", self.it.path("runtime"), "scan", "."], capture_output=True,
                              cwd=self.tree, check=False)
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertEqual(done.stdout, b"")

    def test_what_the_store_cannot_give_is_not_looked_for_and_that_is_said(self):
        it = self.ready(store="sealed-file")
        for key in self.key, self.key[::-1]:
            it.add("api", "static", key.encode(), hosts=["api.example.com"], replace=key != self.key)
            if key == self.key:
                shutil.copy(it.path("state", "secrets.sealed"), it.path("older"))
        os.replace(it.path("older"), it.path("state", "secrets.sealed"))
        self.it = it
        self.write("a", f"{self.key} {self.pem}")
        report = self.run_scan(self.tree, status=FOUND)
        # A key in PEM is a candidate all the same, and the state knows its hash.
        self.assertEqual([row["secret"] for row in report["findings"]], ["github"])
        self.assertEqual([row["secret"] for row in report["not_looked_for"]], ["api", "github"])
        self.assertIn("older copy", report["not_looked_for"][0]["reason"])


if __name__ == "__main__":
    main()
