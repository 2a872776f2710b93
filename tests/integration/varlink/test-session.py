"""What a session's own socket answers, and what it refuses."""
import os
import socket
import unittest

from varlinktest import Client, Driver

SESSION = "io.mcpcred.Session"


class Session(unittest.TestCase):
    def setUp(self):
        ours, theirs = socket.socketpair()
        self.driver = Driver("session", theirs.fileno())
        theirs.close()
        self.addCleanup(self.driver.stop)
        self.inherited = Client(sock=ours, interface=SESSION)
        self.addCleanup(self.inherited.close)

    def client(self):
        client = Client(self.driver.path, interface=SESSION)
        self.addCleanup(client.close)
        return client

    def test_inherited_descriptor_needs_no_secret(self):
        self.assertEqual(self.inherited.call("GetToken"), {"parameters": {
            "profile": "one", "token": "the-token", "expires": "2026-01-01T00:00:00Z"}})
        self.assertEqual(self.driver.wait("call"), "call GetToken by_path=0 secret=")

    def test_path_hands_on_the_secret(self):
        self.assertEqual(self.client().call("GetToken", {"session": "mine"})["parameters"]["token"], "the-token")
        self.assertEqual(self.driver.wait("call"), "call GetToken by_path=1 secret=mine")

    def test_by_path_cannot_be_claimed(self):
        reply = self.client().call("GetToken", {"by_path": False})
        self.assertEqual(reply["error"], "org.varlink.service.InvalidParameter")
        self.assertEqual(self.driver.seen("call"), [])

    def test_child_of_the_sandbox_may_speak(self):
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if "parameters" in self.inherited.call("GetToken") else 1)
            except BaseException:
                os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)

    def test_broker_interface_refused(self):
        for method in "io.mcpcred.Broker.OpenSession", "io.mcpcred.Broker.ListSessions":
            self.assertEqual(self.client().call(method)["error"], "org.varlink.service.InterfaceNotFound")
        self.assertEqual(self.client().call("ListLeases")["error"], "org.varlink.service.MethodNotFound")

    def test_generic_introspection(self):
        client = self.client()
        info = client.call("org.varlink.service.GetInfo")["parameters"]
        self.assertEqual(info["interfaces"], ["org.varlink.service", SESSION])
        text = client.call("org.varlink.service.GetInterfaceDescription", {"interface": SESSION})
        self.assertIn("method GetToken(", text["parameters"]["description"])

    def test_refusal_is_passed_on_whole(self):
        self.driver.tell("vault fault")
        reply = self.client().call("GetToken")
        self.assertEqual(reply["error"], SESSION + ".PolicyDenied")
        self.assertEqual(reply["parameters"]["remedy"], "Ask for less.")

    def test_vault_away_is_unavailable(self):
        self.driver.tell("detach")
        self.assertEqual(self.inherited.call("GetToken")["error"], SESSION + ".Unavailable")
        self.driver.tell("attach")
        self.driver.wait("attached ok")
        self.assertIn("token", self.inherited.call("GetToken")["parameters"])

    def test_unexpected_descriptor_refused(self):
        client = self.client()
        self.assertIn("error", client.call("GetToken", {}, [0]))
        self.assertTrue(client.ended())
        self.assertIn("token", self.inherited.call("GetToken")["parameters"])

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_other_uid_refused(self):
        child = os.fork()
        if child == 0:
            try:
                os.setuid(1000)
                with Client(self.driver.path) as client:
                    os._exit(0 if client.receive()["error"] == SESSION + ".NotAllowed" else 1)
            except BaseException:
                os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)

    def test_vault_answers_when_the_client_is_gone(self):
        client = self.client()
        self.driver.tell("vault hold")
        client.send("GetToken")
        self.driver.wait("call")
        client.close()
        self.driver.tell("release")
        self.assertIn("token", self.inherited.call("GetToken")["parameters"])


if __name__ == "__main__":
    unittest.main()
