#!/usr/bin/python3
"""Bad input at the edges of a running broker: it gets a clear answer and costs nobody else anything."""

import array
import json
import os
import resource
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

from harness import BUILD, PROFILES, Broker, Case, main, wait_until
from varlink import BROKER, SESSION, CallError, Client, Closed

OTHER_UID = 61184  # no account has it
DEADLINE = 25  # seconds; what is dropped at the broker's own deadline of ten is gone by then


class Directories(unittest.TestCase):
    def setUp(self):
        self.it = Broker()
        self.addCleanup(self.it.close)

    def refused(self, *words):
        self.it.launch()
        self.assertNotEqual(self.it.process.wait(30), 0)
        self.it.log.join()
        text = "\n".join(self.it.log.lines)
        for word in words:
            self.assertIn(word, text)
        self.it.process = None

    def starts(self):
        self.it.start()
        self.it.stop()

    def replaced_by_link(self, name):
        target = self.it.path("elsewhere-" + name)
        os.rename(self.it.path(name), target)
        os.symlink(target, self.it.path(name))

    def test_link(self):
        for name in ("runtime", "state"):
            with self.subTest(name):
                self.replaced_by_link(name)
                self.refused(self.it.path(name), "symbolic link")
                os.unlink(self.it.path(name))
                os.mkdir(self.it.path(name), 0o700)

    def test_mode(self):
        for name in ("runtime", "state"):
            for mode in (0o755, 0o770, 0o701):
                with self.subTest(name=name, mode=oct(mode)):
                    os.chmod(self.it.path(name), mode)
                    self.refused(self.it.path(name), "others have access")
                    os.chmod(self.it.path(name), 0o700)
        self.starts()

    @unittest.skipIf(os.geteuid(), "needs root")
    def test_owner(self):
        for name in ("runtime", "state"):
            with self.subTest(name):
                os.chown(self.it.path(name), OTHER_UID, OTHER_UID)
                self.refused(self.it.path(name), "another user")
                os.chown(self.it.path(name), 0, 0)

    def test_parent_that_others_may_write(self):
        os.chmod(self.it.directory, 0o777)
        self.refused("directory above")
        os.chmod(self.it.directory, 0o700)
        self.starts()

    def test_file_in_its_place(self):
        for name in ("runtime", "state"):
            with self.subTest(name):
                shutil.rmtree(self.it.path(name))
                with open(self.it.path(name), "w", encoding="ascii"):
                    pass
                self.refused(self.it.path(name))
                os.unlink(self.it.path(name))
                os.mkdir(self.it.path(name), 0o700)

    def test_they_are_made(self):
        for name in ("runtime", "state"):
            os.rmdir(self.it.path(name))
        self.it.start()
        for name in ("runtime", "state"):
            self.assertEqual(stat.S_IMODE(os.stat(self.it.path(name)).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(self.it.socket).st_mode), 0o600)
        for name in os.listdir(self.it.path("state")):
            self.assertEqual(stat.S_IMODE(os.stat(self.it.path("state", name)).st_mode), 0o600, name)

    def test_second_broker(self):
        self.it.start()
        first = self.it.process, self.it.log
        self.refused("another broker")
        self.it.process, self.it.log = first
        self.it.status()

    def test_longer_than_a_socket_name(self):
        deep = self.it.path("x" * 100)
        os.mkdir(deep, 0o700)
        command = [os.path.join(BUILD, "broker", "supervisor", "mcpcredd"), "--foreground"]
        command += ["--runtime", deep, "--state", self.it.path("state"), "--config", self.it.path("config")]
        done = subprocess.run(command, env=self.it.environment, capture_output=True, text=True, timeout=30)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("too long", done.stderr)

    # -- planted inside

    def victim(self):
        path = self.it.path("victim")
        with open(path, "w", encoding="ascii") as file:
            file.write("untouched")
        return path

    def test_planted_links(self):
        """Nothing is written through them, whatever comes of the start."""
        victim = self.victim()
        places = ["state/state.db", "state/audit.log", "state/broker.log", "runtime/lock", "runtime/epoch"]
        places += ["runtime/broker.sock", "state/state.db-wal", "state/lock"]
        for place in places:
            with self.subTest(place):
                it = Broker()
                self.addCleanup(it.close)
                os.symlink(victim, it.path(place))
                it.launch()
                try:
                    it.log.wait("state: ready", timeout=3)
                except TimeoutError:
                    pass
                it.stop(expect=None)
                with open(victim, encoding="ascii") as file:
                    self.assertEqual(file.read(), "untouched")
                self.assertEqual(stat.S_IMODE(os.stat(victim).st_mode) & 0o111, 0)

    def test_planted_session_directory(self):
        os.mkdir(self.it.path("outside"), 0o700)
        with open(self.it.path("outside", "keep"), "w", encoding="ascii"):
            pass
        os.symlink(self.it.path("outside"), self.it.path("runtime", "s"))
        self.it.launch()
        self.assertNotEqual(self.it.process.wait(30), 0)
        self.it.stop(expect=None)
        self.assertTrue(os.path.exists(self.it.path("outside", "keep")))

    def test_planted_below_the_sessions(self):
        """What is swept at a start is not followed either."""
        os.mkdir(self.it.path("outside"), 0o700)
        with open(self.it.path("outside", "keep"), "w", encoding="ascii"):
            pass
        os.mkdir(self.it.path("runtime", "s"), 0o700)
        os.symlink(self.it.path("outside"), self.it.path("runtime", "s", "s-left"))
        self.starts()
        self.assertTrue(os.path.exists(self.it.path("outside", "keep")))

    def test_fifo_for_a_log(self):
        os.mkfifo(self.it.path("state", "audit.log"), 0o600)
        self.it.launch()
        self.it.log.wait("state: ready")
        self.assertNotEqual(self.it.status()["audit_state"], "ready")
        with self.assertRaises(CallError) as caught:
            self.it.open("gh")
        self.assertEqual(caught.exception.name, "AuditUnavailable")

    def test_socket_left_behind(self):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(self.it.socket)
        self.starts()


class Configuration(Case):
    def check(self, broker, *more):
        command = [os.path.join(BUILD, "broker", "supervisor", "mcpcredd"), "--check"]
        command += ["--runtime", broker.path("runtime"), "--state", broker.path("state")]
        command += ["--config", broker.path("config"), *more]
        done = subprocess.run(command, env=broker.environment, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr

    def test_bad_reload_keeps_the_old(self):
        broker = self.ready()
        session = broker.open("gh")
        path = broker.path("config", "mcpcred.conf")
        bad = {
            "[profile x]\nsecret = github\ncolour = red\n": "colour",
            "[profile x]\nsecret = github\nttl = soon\n": "ttl",
            "[nonsense]\n": "nonsense",
            "[profile gh\n": "",
            "[profile gh]\nsecret = github\n": "already",
            "[profile x]\nsecret = github\ndeliver = env\n": "env",
            "[profile x]\nsecret = github\npermissions = contents:everything\n": "permissions",
            "[profile x]\nsecret = github\nrepositories = octo\n": "repositories",
            "[profile x]\nsecret = \xff\n": "",
            "key before any section\n": "",
            "[profile x]\nsecret = " + "s" * 10000 + "\n": "",
        }
        with open(path, "rb") as file:
            good = file.read()
        for text, word in bad.items():
            with self.subTest(text[:60]):
                with open(path, "wb") as file:
                    file.write(good + text.encode("latin-1"))
                error = self.fails("ConfigInvalid", broker.call, "Reload")
                self.assertRegex(error.message, r"mcpcred\.conf:\d+")
                self.assertIn(word, error.message)
                self.assert_alive(broker.open("gh").token)
        with open(path, "wb") as file:
            file.write(good)
        self.assertEqual(broker.call("Reload")["profiles"], 3)
        self.assertEqual(broker.get_token(session), session.token)

    def test_problems_are_all_told(self):
        broker = self.ready()
        broker.write_config("[profile a]\nsecret = x\nwrong = 1\nttl = soon\n[other]\n")
        self.fails("ConfigInvalid", broker.call, "Reload")
        rows = [row for row in broker.rows("Doctor", "checks") if row["id"] == "config"]
        self.assertEqual(len(rows), 3, rows)
        self.assertEqual({row["status"] for row in rows}, {"fail"})
        status, text = self.check(broker)
        self.assertEqual(status, 1)
        self.assertEqual(len([line for line in text.splitlines() if ".conf:" in line]), 3)
        broker.write_config(PROFILES)
        broker.call("Reload")
        [row] = [row for row in broker.rows("Doctor", "checks") if row["id"] == "config"]
        self.assertEqual(row["status"], "ok")
        self.assertEqual(self.check(broker)[0], 0)

    def test_hangup_reloads(self):
        broker = self.ready()
        broker.write_config(PROFILES + "[profile more]\nsecret = github\ndeliver = socket\n")
        mark = broker.log.mark()
        broker.process.send_signal(signal.SIGHUP)
        broker.log.wait("configuration read again", mark)
        broker.wait_status(lambda status: status["profiles"] == 4, "it is not in force")

    def test_live_sessions_keep_what_they_have(self):
        broker = self.ready()
        session = broker.open("gh-socket")
        broker.write_config("[profile gh]\nsecret = github\ndeliver = socket\n")
        self.assertEqual(broker.call("Reload")["profiles"], 1)
        self.assert_alive(broker.get_token(session))
        self.fails("NotFound", broker.open, "gh-socket")

    def test_doctor_names_what_the_way_out_does_not_hold(self):
        broker = self.ready()
        broker.write_config(PROFILES + "[profile way]\nsecret = github\nrepositories = octo/hello\n"
                            "permissions = contents:read\nscrub = off\nallow = GET api.github.com /repos/**\n"
                            "allow = GET elsewhere.example /**\ndeny = * api.github.com /repos/octo/hello/keys/**\n")
        self.assertEqual(broker.call("Reload")["profiles"], 4)
        said = [row["summary"] for row in broker.rows("Doctor", "checks") if row["id"] == "profile.way"]
        self.assertEqual(len(said), 4, said)
        for words in ("scrub = off", "allows elsewhere.example, where secret github may not be sent", "never uses secret",
                      "deny * api.github.com /repos/octo/hello/keys/**"):
            self.assertTrue([line for line in said if words in line], (words, said))

    def test_profiles_are_listed_with_what_their_preset_added(self):
        broker = self.ready()
        broker.write_config(PROFILES + "[profile way]\nsecret = github\npreset = openai\ndeliver = endpoint\n"
                            "rate = 10/s\nslot = query key\n")
        self.assertEqual(broker.call("Reload")["profiles"], 4)
        [row] = [row for row in broker.rows("ListProfiles", "profiles") if row["name"] == "way"]
        self.assertEqual((row["preset"], row["env"], row["env_url"]), ("openai", "OPENAI_API_KEY", "OPENAI_BASE_URL"))
        egress = row["egress"]
        self.assertEqual((egress["slot"], egress["slot_name"], egress["rate"], egress["rate_seconds"]),
                         ("query", "key", 10, 1))
        self.assertEqual(egress["allow"], ["* api.openai.com /v1/**"])
        self.assertIn("* api.openai.com /v1/organization/**", egress["deny"])

    def test_does_not_start_with_a_bad_one(self):
        broker = self.broker(start=False, config="[profile a]\nnothing = 1\n")
        broker.launch()
        self.assertNotEqual(broker.process.wait(30), 0)
        broker.log.join()
        self.assertRegex("\n".join(broker.log.lines), r"mcpcred\.conf:\d+")

    def test_fragments(self):
        broker = self.broker(start=False)
        os.mkdir(broker.path("config", "conf.d"), 0o700)
        with open(broker.path("config", "conf.d", "10-more.conf"), "w", encoding="ascii") as file:
            file.write("[profile more]\nsecret = github\ndeliver = socket\n")
        with open(broker.path("config", "conf.d", "ignored.txt"), "w", encoding="ascii") as file:
            file.write("nonsense")
        broker.start()
        names = [row["name"] for row in broker.rows("ListProfiles", "profiles")]
        self.assertEqual(sorted(names), ["gh", "gh-file", "gh-socket", "more"])

    def test_open_to_others(self):
        """A configuration that somebody else can write is no policy."""
        broker = self.broker(start=False)
        os.chmod(broker.path("config", "mcpcred.conf"), 0o666)
        broker.launch()
        self.assertNotEqual(broker.process.wait(30), 0)
        broker.log.join()
        self.assertIn("mcpcred.conf", "\n".join(broker.log.lines))


class Clients(Case):
    def setUp(self):
        super().setUp()
        self.it = self.ready()

    def others_are_served(self):
        begin = time.monotonic()
        session = self.it.open("gh-socket")
        self.it.revoke(session=session.id)
        self.assertLess(time.monotonic() - begin, 5)

    def raw(self):
        client = Client(self.it.socket, timeout=DEADLINE)
        self.addCleanup(client.close)
        return client

    def is_dropped(self, client):
        """It ends, perhaps after a word why."""
        try:
            while True:
                reply = client.receive_message()
                self.assertIn("error", reply)
        except Closed:
            pass

    def test_silent(self):
        clients = [self.raw() for _ in range(20)]
        self.others_are_served()
        for client in clients:
            self.is_dropped(client)

    def test_half_a_message(self):
        clients = [self.raw() for _ in range(20)]
        for client in clients:
            client.send_bytes(b'{"method":"io.mcpcred.Broker.Sta')
        self.others_are_served()
        for client in clients:
            self.is_dropped(client)

    def test_stops_reading(self):
        """Whoever asks and does not listen is dropped at the deadline; nobody else waits."""
        request = json.dumps({"method": BROKER + ".ListProfiles", "parameters": {}}).encode() + b"\0"
        clients = [self.raw() for _ in range(5)]
        for client in clients:
            client.socket.setblocking(False)
            try:
                for _ in range(20000):
                    client.socket.send(request)
            except BlockingIOError:
                pass
        self.others_are_served()
        for client in clients:
            poll = select.poll()
            poll.register(client.socket, 0)
            self.assertTrue(poll.poll(DEADLINE * 1000), "it is not dropped")
        self.others_are_served()

    def test_too_long(self):
        client = self.raw()
        client.send_bytes(b'{"method":"' + b"x" * 100000)
        with self.assertRaises(CallError) as caught:
            client.receive()
        self.assertEqual(caught.exception.name, "InvalidParameter")
        self.is_dropped(client)
        self.others_are_served()

    def test_malformed(self):
        good = {"method": BROKER + ".GetToken", "parameters": {"session": "s-x"}}
        deep = "[" * 200 + "]" * 200
        cases = [
            b"\0",
            b"not json\0",
            b"[]\0",
            b"{}\0",
            b'"text"\0',
            b"null\0",
            b'{"method":1}\0',
            b'{"method":""}\0',
            b'{"method":"x"}\0',
            b'{"method":"io.mcpcred.Broker.Status","parameters":[]}\0',
            b'{"method":"io.mcpcred.Broker.Status","parameters":{"x":1}}\0',
            b'{"method":"io.mcpcred.Broker.Status","method":"io.mcpcred.Broker.Status"}\0',
            b'{"method":"io.mcpcred.Broker.Status","other":true}\0',
            b'{"method":"io.mcpcred.Broker.Status","more":1}\0',
            b'{"method":"io.mcpcred.Broker.Status"} trailing\0',
            b'{"method":"io.mcpcred.Broker.Status\\u0000x"}\0',
            b'{"method":"io.mcpcred.Broker.Stat\xff"}\0',
            b'{"method":"io.mcpcred.Broker.GetToken","parameters":{"session":"\xc3\x28"}}\0',
            b'{"method":"io.mcpcred.Broker.GetToken","parameters":{"session":"a\\u0000b"}}\0',
            b'{"method":"io.mcpcred.Broker.GetToken","parameters":{"session":5}}\0',
            b'{"method":"io.mcpcred.Broker.GetToken","parameters":{"session":null}}\0',
            b'{"method":"io.mcpcred.Broker.GetToken","parameters":{}}\0',
            b'{"method":"io.mcpcred.Broker.GetToken","parameters":{"session":"a","session":"b"}}\0',
            b'{"method":"io.mcpcred.Broker.OpenSession","parameters":{"grants":{}}}\0',
            b'{"method":"io.mcpcred.Broker.OpenSession","parameters":{"grants":[1]}}\0',
            b'{"method":"io.mcpcred.Broker.OpenSession","parameters":{"grants":[{}]}}\0',
            b'{"method":"io.mcpcred.Broker.OpenSession","parameters":{"grants":[{"profile":"gh"}],"lifetime":-1}}\0',
            b'{"method":"io.mcpcred.Broker.OpenSession","parameters":{"grants":[{"profile":"gh"}],"lifetime":1e99}}\0',
            b'{"method":"io.mcpcred.Broker.OpenSession","parameters":{"grants":[{"profile":"gh"}],"lifetime":1.5}}\0',
            b'{"method":"io.mcpcred.Broker.OpenSession","parameters":{"grants":[{"profile":"gh"}],"lifeline":"x"}}\0',
            json.dumps({**good, "parameters": {"session": "x" * 60000}}).encode() + b"\0",
            (json.dumps(good)[:-2] + ', "x": ' + deep + "}}").encode() + b"\0",
            b'{"method":"org.varlink.service.GetInfo","parameters":{"x":1}}\0',
            b'{"method":"org.varlink.service.Nothing"}\0',
        ]
        for case in cases:
            with self.subTest(case[:80]):
                client = self.raw()
                client.send_bytes(case)
                try:
                    reply = client.receive_message()
                    self.assertIn("error", reply, reply)
                except Closed:
                    pass
                client.close()
        self.others_are_served()
        self.assertEqual([row["restarts"] for row in self.it.status()["roles"]], [0, 0, 0])

    def test_limits_of_fields(self):
        many = [{"profile": f"p{i}"} for i in range(200)]
        scope = {"repositories": [f"octo/r{i}" for i in range(2000)]}
        for parameters in (
            {"grants": many},
            {"grants": [{"profile": "gh", "scope": scope}]},
            {"grants": [{"profile": "gh"}], "label": "x" * 5000},
            {"grants": [{"profile": "gh"}], "label": "a\nb"},
            {"grants": [{"profile": "gh"}], "command": ["x"] * 10000},
            {"grants": [{"profile": "gh"}], "lifetime": 1 << 62},
        ):
            with self.subTest(str(parameters)[:60]):
                with self.assertRaises((CallError, Closed)) as caught:
                    self.it.call("OpenSession", {"lifeline": "lifetime", **parameters})
                if isinstance(caught.exception, CallError):
                    self.assertIn(caught.exception.name, ("InvalidParameter", "PolicyDenied"))
        self.assertEqual(self.github.tokens(), [])

    def test_unexpected_descriptors(self):
        with open("/dev/null", "rb") as null:
            for count in (1, 2, 3, 50):
                client = self.raw()
                client.send("Status", fds=[null.fileno()] * count)
                with self.assertRaises((CallError, Closed)):
                    client.receive()
        reading, writing = os.pipe()
        client = self.raw()
        client.send("Status", fds=[writing])
        os.close(writing)
        with self.assertRaises((CallError, Closed)):
            client.receive()
        client.close()
        self.assertEqual(os.read(reading, 1), b"")  # nobody has kept it
        os.close(reading)
        self.others_are_served()

    def test_value_that_never_comes(self):
        """A secret's socket that is not shut down: it never was, and nobody waits for it."""
        mine, theirs = socket.socketpair()
        client = self.raw()
        parameters = {"name": "slow", "provider": "static", "hosts": ["h.example"]}
        mine.sendall(b"half of it")
        client.send("AddSecret", parameters, [theirs.fileno()])
        theirs.close()
        self.others_are_served()
        with self.assertRaises(CallError) as caught:
            client.receive()
        self.assertIn(caught.exception.name, ("Timeout", "InvalidParameter"))
        mine.close()

    def test_value_that_is_no_socket(self):
        with tempfile.TemporaryFile() as file:
            file.write(b"value")
            file.seek(0)
            for fd in (file.fileno(), self.raw().socket.fileno()):
                with self.assertRaises(CallError):
                    parameters = {"name": "x", "provider": "static", "hosts": ["h.example"]}
                    with self.it.client() as client:
                        client.call("AddSecret", parameters, [fd])

    def test_ten_thousand_connections(self):
        """One uid's connections are bounded; a session's own socket is not among them."""
        session = self.it.open("gh-socket", want_descriptor=True)
        inside = self.it.keep(Client(fd=session.descriptor, interface=SESSION))
        room = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, room))
        held = []
        try:
            for _ in range(10000):
                peer = socket.socket(socket.AF_UNIX)
                held.append(peer)
                peer.connect(self.it.socket)
                if len(held) > room - 200:
                    held.pop(0).close()
            self.assertTrue(inside.call("GetToken")["token"])
            # Those that say nothing give their places back.
            self.it.wait_status()
        finally:
            for peer in held:
                peer.close()
        self.others_are_served()
        self.assertEqual([row["restarts"] for row in self.it.status()["roles"]], [0, 0, 0])

    def test_many_descriptors_in_flight(self):
        """Descriptors queued on a socket that is closed without being read are all let go."""
        reading, writing = os.pipe()
        client = self.raw()
        try:
            for _ in range(20):
                client.socket.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writing] * 2))])
        except (BrokenPipeError, ConnectionResetError):
            pass
        os.close(writing)
        client.close()
        self.others_are_served()
        os.set_blocking(reading, False)
        wait_until(lambda: self.at_end(reading), "somebody keeps a descriptor")
        os.close(reading)

    def at_end(self, reading):
        try:
            return os.read(reading, 1) == b""
        except BlockingIOError:
            return False

    def test_oneway_and_pipelined(self):
        client = self.raw()
        request = json.dumps({"method": BROKER + ".Status"}).encode() + b"\0"
        quiet = json.dumps({"method": BROKER + ".Status", "oneway": True}).encode() + b"\0"
        client.send_bytes(quiet + request * 3 + quiet)
        for _ in range(3):
            self.assertTrue(client.receive()["version"])
        self.assertTrue(client.call("Status")["version"])

    def test_session_socket_flooded(self):
        """A sandbox that floods its own socket costs the others nothing."""
        session, other = self.it.open("gh-socket"), self.it.open("gh-socket")
        floods = []
        for _ in range(300):
            peer = socket.socket(socket.AF_UNIX)
            peer.setblocking(False)
            try:
                peer.connect(session.path)
            except BlockingIOError:
                pass
            floods.append(peer)
        with other.connect() as client:
            self.assertTrue(client.call("GetToken", {"session": other.secret})["token"])
        self.others_are_served()
        for peer in floods:
            peer.close()


if __name__ == "__main__":
    main()
