"""What the control socket refuses, and what it lets through."""
import json
import os
import socket
import struct
import unittest

from varlinktest import Client, Driver, filled

BROKER = "io.mcpcred.Broker."
OPEN = {"grants": [{"profile": "one"}]}


class Gate(unittest.TestCase):
    def setUp(self):
        self.driver = Driver("gate")
        self.addCleanup(self.driver.stop)

    def client(self):
        client = Client(self.driver.path)
        self.addCleanup(client.close)
        return client

    def still_serves(self):
        with Client(self.driver.path) as client:
            self.assertEqual(client.call("Status")["parameters"]["store"], "memory")
        self.assertEqual(os.stat(f"/proc/{self.driver.pid}").st_nlink > 0, True)

    # -- what works --

    def test_call_carries_what_the_kernel_says(self):
        reply = self.client().call("Status")
        self.assertEqual(reply["parameters"]["roles"], [])
        attest = self.driver.wait("attest")
        self.assertIn(f"uid={os.getuid()} pid={os.getpid()} fds=", attest)
        self.assertIn(f"uid={os.getuid()} pid={os.getpid()} unit=test.service", self.driver.wait("call Status"))

    def test_each_call_is_attested_anew(self):
        client = self.client()
        client.call("Status")
        self.driver.tell("attest no")
        reply = client.call("Status")
        self.assertEqual(reply["error"], BROKER + "NotAllowed")
        self.assertEqual(reply["parameters"]["message"], "You are in a session.")
        self.assertTrue(reply["parameters"]["remedy"])
        self.assertEqual(len(self.driver.seen("attest")), 2)
        self.assertEqual(len(self.driver.seen("call")), 1)

    def test_refusal_is_passed_on_whole(self):
        self.driver.tell("vault fault")
        self.assertEqual(self.client().call("OpenSession", OPEN), {
            "error": BROKER + "PolicyDenied",
            "parameters": {"message": "No.", "remedy": "Ask for less.", "field": "grants[0].scope", "retry_after": 7}})

    def test_secret_passes_unread(self):
        with filled(b"a long-lived secret") as secret:
            reply = self.client().call("AddSecret", {"name": "github", "provider": "github"}, [secret.fileno()])
        self.assertEqual(reply["parameters"]["identity"], "a long-lived secret")

    def test_pages_with_more(self):
        client = self.client()
        replies = [client.call("ListLeases", more=True)]
        while replies[-1].get("continues"):
            replies.append(client.receive())
        self.assertEqual([len(r["parameters"]["leases"]) for r in replies], [40, 40, 40])

    def test_pages_are_joined_without_more(self):
        reply = self.client().call("ListLeases")
        self.assertEqual(len(reply["parameters"]["leases"]), 120)
        self.assertNotIn("continues", reply)

    def test_steps_without_more_are_one_reply(self):
        with filled(b"new") as secret:
            self.assertEqual(self.client().call("Rotate", {"name": "x"}, [secret.fileno()])["parameters"]["step"], "done")
        self.assertEqual(self.client().call("Rotate", {"name": "x", "plan": True})["parameters"]["step"], "done")

    def test_oneway_gets_no_reply(self):
        client = self.client()
        client.send("Status", oneway=True)
        self.assertIn("version", client.call("Status")["parameters"])
        self.assertEqual(len(self.driver.seen("call Status")), 2)

    def test_pipelined_calls_are_answered_in_order(self):
        client = self.client()
        call = json.dumps({"method": BROKER + "Status"}).encode() + b"\0"
        info = json.dumps({"method": "org.varlink.service.GetInfo"}).encode() + b"\0"
        client.send_raw((call + info) * 50)
        for _ in range(50):
            self.assertIn("store", client.receive()["parameters"])
            self.assertIn("vendor", client.receive()["parameters"])

    def test_descriptor_behind_a_pipelined_call_stays_with_its_own(self):
        client = self.client()
        self.driver.tell("vault hold")
        client.send("Status")
        with filled(b"mine") as secret:
            client.send("AddSecret", {"name": "a", "provider": "b"}, [secret.fileno()])
        self.driver.wait("call Status")
        self.driver.tell("release")
        self.assertIn("store", client.receive()["parameters"])
        self.assertEqual(client.receive()["parameters"]["identity"], "mine")

    def test_half_closed_client_gets_its_reply(self):
        client = self.client()
        client.send("Status")
        client.sock.shutdown(socket.SHUT_WR)
        self.assertIn("store", client.receive()["parameters"])
        self.assertTrue(client.ended())

    def test_generic_introspection(self):
        client = self.client()
        info = client.call("org.varlink.service.GetInfo")["parameters"]
        self.assertEqual(info["interfaces"], ["org.varlink.service", "io.mcpcred.Broker"])
        for name in info["interfaces"]:
            text = client.call("org.varlink.service.GetInterfaceDescription", {"interface": name})
            self.assertIn(f"interface {name}\n", text["parameters"]["description"])
        reply = client.call("org.varlink.service.GetInterfaceDescription", {"interface": "io.mcpcred.Session"})
        self.assertEqual(reply["error"], "org.varlink.service.InvalidParameter")
        self.assertEqual(client.call("Fly")["error"], "org.varlink.service.MethodNotFound")
        self.assertEqual(client.call("a.b.C")["error"], "org.varlink.service.InterfaceNotFound")
        self.assertEqual(self.driver.seen("call"), [])

    # -- lifelines --

    def test_lifeline_connection_is_held_by_the_supervisor(self):
        client = self.client()
        reply = client.call("OpenSession", {**OPEN, "want_descriptor": True})
        self.assertEqual(reply["parameters"]["environment"], [{"name": "MCPCRED_SESSION", "value": "the-session-secret"}])
        self.assertEqual(len(client.fds), 1)
        self.assertIn("fds=1", self.driver.wait("call OpenSession"))
        client.close()
        self.driver.wait("lifeline gone 0")
        self.assertEqual(self.driver.seen("call CloseSession"), [])

    def test_lifeline_survives_the_gate(self):
        client = self.client()
        client.call("OpenSession", OPEN)
        self.driver.tell("restart")
        self.driver.wait("adopted ok")
        self.assertEqual(client.call("GetToken", {"session": "s-0123456789abcdef"})["parameters"]["token"], "the-token")
        self.assertEqual(self.driver.seen("lifeline"), [])
        client.close()
        self.driver.wait("lifeline gone 0")

    def test_lifeline_descriptor(self):
        client = self.client()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            reply = client.call("OpenSession", {**OPEN, "lifeline": "descriptor"}, [theirs.fileno()])
            self.assertIn("session", reply["parameters"])
            reply = client.call("OpenSession", {**OPEN, "lifeline": "descriptor"})
            self.assertEqual(reply["error"], "org.varlink.service.InvalidParameter")
            theirs.close()
            ours.close()
            self.driver.wait("lifeline gone 0")

    def test_untaken_session_is_closed(self):
        client = self.client()
        self.driver.tell("vault hold")
        client.send("OpenSession", {**OPEN, "lifeline": "lifetime"})
        self.driver.wait("call OpenSession")
        client.close()
        self.still_answers_info()
        self.driver.tell("release")
        closed = self.driver.wait("call CloseSession")
        self.assertIn("session=s-0000000000000000", closed)
        self.assertIn(f"uid={os.getuid()} pid={os.getpid()} unit=test.service", closed)

    def test_untaken_session_is_closed_by_the_next_vault(self):
        client = self.client()
        self.driver.tell("vault hold")
        client.send("OpenSession", {**OPEN, "lifeline": "lifetime"})
        client.send("Status")
        self.driver.wait("call OpenSession")
        client.close()
        self.still_answers_info()
        self.driver.tell("release hold")
        self.driver.wait("call CloseSession")
        self.driver.tell("detach")
        self.driver.tell("vault ok")
        self.driver.tell("attach")
        self.assertIn("session=s-0000000000000000", self.driver.wait("call CloseSession"))

    def test_oneway_open_leaves_nothing(self):
        self.client().send("OpenSession", {**OPEN, "lifeline": "lifetime"}, oneway=True)
        self.assertIn("session=s-0000000000000000", self.driver.wait("call CloseSession"))

    def still_answers_info(self):
        with Client(self.driver.path) as client:
            self.assertIn("vendor", client.call("org.varlink.service.GetInfo")["parameters"])

    def test_vault_away_is_unavailable(self):
        client = self.client()
        self.driver.tell("vault hold")
        client.send("Status")
        self.driver.wait("call Status")
        self.driver.tell("detach")
        self.assertEqual(client.receive()["error"], BROKER + "Unavailable")
        self.assertEqual(client.call("Status")["error"], BROKER + "Unavailable")
        self.driver.tell("vault ok")
        self.driver.tell("attach")
        self.driver.wait("attached ok")
        self.assertIn("store", client.call("Status")["parameters"])

    # -- what is refused --

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_other_uid_refused(self):
        def ask(uid):
            child = os.fork()
            if child == 0:
                try:
                    os.setuid(uid)
                    with Client(self.driver.path) as client:
                        reply = client.receive() if uid == 1000 else client.call("Status")
                        good = reply.get("error") == BROKER + "NotAllowed" if uid == 1000 else "parameters" in reply
                        os._exit(0 if good else 1)
                except BaseException:
                    os._exit(2)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        self.assertEqual(ask(1000), 0)
        self.assertEqual(self.driver.seen("attest"), [])
        self.assertEqual(ask(4242), 0)

    def test_inherited_connection_refused(self):
        client = self.client()
        client.call("Status")
        child = os.fork()
        if child == 0:
            try:
                reply = client.call("Status")
                os._exit(0 if reply["error"] == BROKER + "NotAllowed" and client.ended() else 1)
            except BaseException:
                os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertEqual(len(self.driver.seen("call")), 1)
        self.still_serves()

    def test_unexpected_descriptor_refused(self):
        client = self.client()
        with filled(b"x") as secret:
            reply = client.call("Status", {}, [secret.fileno()])
        self.assertEqual(reply["error"], "org.varlink.service.InvalidParameter")
        self.assertTrue(client.ended())
        client = self.client()
        client.send_raw(b"{", [0, 0, 0, 0])
        self.assertEqual(client.receive()["error"], BROKER + "NotAllowed")
        self.assertEqual(self.driver.seen("call"), [])
        self.still_serves()

    def test_wrong_descriptor_refused(self):
        with open("/dev/null") as null, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram, \
                socket.socket(socket.AF_INET, socket.SOCK_STREAM) as internet:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(self.driver.path + "-other")
            listening.listen()
            for wrong in null, datagram, internet, listening:
                client = self.client()
                reply = client.call("AddSecret", {"name": "a", "provider": "b"}, [wrong.fileno()])
                self.assertEqual(reply["error"], "org.varlink.service.InvalidParameter")
                self.assertIn("store", client.call("Status")["parameters"])
            listening.close()
        self.assertEqual(self.client().call("Unlock")["error"], "org.varlink.service.InvalidParameter")

    def test_lingering_descriptor_does_not_block(self):
        server = socket.create_server(("127.0.0.1", 0))
        lingering = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
        lingering.setblocking(False)
        try:
            while True:
                lingering.send(b"x" * 65536)
        except BlockingIOError:
            pass
        client = self.client()
        client.send("Status", {}, [lingering.fileno()])
        lingering.detach()
        self.assertIn("error", client.receive())
        self.still_serves()
        peer.close()
        server.close()

    def test_malformed_refused(self):
        for bad in (b"\0", b"nonsense\0", b"[]\0", b'{"method":1}\0', b'{"method":"a.B","method":"a.B"}\0',
                    b'{"method":"a.B","x":"\xff"}\0', b'{"method":"a.B","colour":1}\0', b"[" * 100 + b"\0"):
            client = self.client()
            client.send_raw(bad)
            reply = client.receive()
            self.assertEqual(reply["error"], "org.varlink.service.InvalidParameter", bad)
            self.assertTrue(reply["parameters"]["message"] and reply["parameters"]["remedy"])
            self.assertTrue(client.ended())
        self.still_serves()

    def test_wrong_parameters_refused(self):
        client = self.client()
        reply = client.call("OpenSession", {"grants": [{"profile": "p", "scope": {"repositories": [1]}}]})
        self.assertEqual(reply["error"], "org.varlink.service.InvalidParameter")
        self.assertEqual(reply["parameters"]["parameter"], "grants[0].scope.repositories[0]")
        reply = client.call("Status", {"caller": {"uid": 0, "pid": 1}})
        self.assertEqual(reply["parameters"]["parameter"], "caller")
        self.assertEqual(self.driver.seen("attest"), [])
        self.assertIn("store", client.call("Status")["parameters"])

    def test_oversized_refused(self):
        client = self.client()
        try:
            client.send_raw(b'{"method":"' + b"a" * 70000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        reply = client.receive()
        self.assertEqual(reply["error"], "org.varlink.service.InvalidParameter")
        self.assertIn("64 KiB", reply["parameters"]["message"])
        # The largest that is allowed is.
        call = json.dumps({"method": BROKER + "Status"}).encode()
        client = self.client()
        client.send_raw(call + b" " * (65536 - len(call)) + b"\0")
        self.assertIn("store", client.receive()["parameters"])

    def test_silent_clients_dropped(self):
        """At the same time: says nothing; does not finish its message; does not read its replies."""
        silent, partial, deaf = self.client(), self.client(), self.client()
        partial.send_raw(b'{"method":')
        call = json.dumps({"method": BROKER + "ListLeases"}).encode() + b"\0"
        deaf.send_raw(call * 50)
        patient = self.client()
        patient.call("Status")
        self.assertTrue(silent.ended())
        self.assertTrue(partial.ended())
        for reason in "says nothing", "does not finish its message", "does not read its reply":
            if not any(reason in line for line in self.driver.events):
                while reason not in self.driver.wait("log"):
                    pass
        # Whoever has spoken may stay silent.
        self.assertIn("store", patient.call("Status")["parameters"])

    def test_ten_thousand_connections(self):
        """One uid's flood costs that uid its oldest silent slots; another uid is served all the while."""
        held = []
        status = 0
        for i in range(10000):
            client = Client(self.driver.path)
            if i < 512:
                held.append(client)
            else:
                client.close()
        # 256 are kept of one uid: the oldest that nobody vouched for have made room.
        self.assertTrue(all(client.ended() for client in held[:256]))
        if os.getuid() == 0:
            child = os.fork()
            if child == 0:
                try:
                    os.setuid(4242)
                    with Client(self.driver.path) as client:
                        os._exit(0 if "parameters" in client.call("Status") else 1)
                except BaseException:
                    os._exit(2)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for client in held:
            client.close()
        self.assertEqual(status, 0)
        self.still_serves_after_flood()

    def still_serves_after_flood(self):
        for _ in range(100):
            with Client(self.driver.path) as client:
                try:
                    reply = client.call("Status")
                except BrokenPipeError:
                    continue
                if reply and "parameters" in reply and "store" in reply["parameters"]:
                    return
        self.fail("no connection any more")


if __name__ == "__main__":
    unittest.main()
