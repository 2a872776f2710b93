#!/usr/bin/python3
"""A generic varlink client: introspection works, the interface text parses, and what the broker sends
is what the text says."""

import os
import subprocess
import unittest

import idl
from harness import ROOT, Case, main
from varlink import BROKER, SERVICE, SESSION, CallError


class Generic(Case):
    broker_keys = "max_sessions = 1000\n"

    def setUp(self):
        super().setUp()
        self.it = self.ready()

    def describe(self, client, interface):
        text = client.call(SERVICE + ".GetInterfaceDescription", {"interface": interface})["description"]
        return text, idl.Parser(text)

    def test_info(self):
        with self.it.client() as client:
            info = client.call(SERVICE + ".GetInfo")
        self.assertEqual(set(info), {"vendor", "product", "version", "url", "interfaces"})
        self.assertEqual(set(info["interfaces"]), {SERVICE, BROKER})
        self.assertTrue(all(isinstance(info[key], str) for key in ("vendor", "product", "version", "url")))

    def test_descriptions(self):
        with self.it.client() as client:
            for interface in client.call(SERVICE + ".GetInfo")["interfaces"]:
                text, parsed = self.describe(client, interface)
                self.assertEqual(parsed.name, interface)
                self.assertTrue(parsed.methods)
                if interface != SERVICE:
                    with open(f"{ROOT}/broker/wire/{interface}.varlink", encoding="utf-8") as file:
                        self.assertEqual(text.strip(), file.read().strip())

    def test_session_socket(self):
        session = self.it.open("gh-socket")
        with session.connect() as client:
            self.assertEqual(set(client.call(SERVICE + ".GetInfo")["interfaces"]), {SERVICE, SESSION})
            _, parsed = self.describe(client, SESSION)
            reply = client.call("GetToken", {"session": session.secret})
        self.assertTrue(idl.conforms_struct(parsed, parsed.methods["GetToken"][1], reply), reply)

    def test_unknown(self):
        with self.it.client() as client:
            for method, name, parameter in (
                (BROKER + ".Nothing", "MethodNotFound", {"method": BROKER + ".Nothing"}),
                ("org.example.Other.Method", "InterfaceNotFound", {"interface": "org.example.Other"}),
                (SESSION + ".GetToken", "InterfaceNotFound", {"interface": SESSION}),
                (SERVICE + ".Nothing", "MethodNotFound", {"method": SERVICE + ".Nothing"}),
            ):
                error = self.fails_plain(name, client, method)
                self.assertEqual(error.full_name, f"{SERVICE}.{name}")
                self.assertEqual({key: error.parameters.get(key) for key in parameter}, parameter)
            error = self.fails_plain(
                "InvalidParameter", client, SERVICE + ".GetInterfaceDescription", {"interface": "a.b"}
            )
            self.assertEqual(error.parameters["parameter"], "interface")
            error = self.fails_plain("InvalidParameter", client, "GetToken", {"session": 1})
            self.assertEqual(error.full_name, SERVICE + ".InvalidParameter")
            self.assertEqual(error.parameters["parameter"], "session")

    def fails_plain(self, name, client, method, parameters=None):
        with self.assertRaises(CallError) as caught:
            client.call(method, parameters)
        self.assertEqual(caught.exception.name, name)
        return caught.exception

    def test_replies_are_as_described(self):
        session = self.it.open("gh", "gh-file", label="label")
        with self.it.client() as client:
            _, parsed = self.describe(client, BROKER)
            for method, parameters in (
                ("Status", {}),
                ("ListSecrets", {"all": True}),
                ("ListSessions", {"all": True}),
                ("ListLeases", {"all": True}),
                ("ListProfiles", {}),
                ("Doctor", {}),
                ("Reload", {}),
                ("Rotate", {"name": "github", "plan": True}),
                ("GetToken", {"session": session.id, "profile": "gh"}),
                ("Revoke", {"all": True, "dry_run": True}),
                ("OpenSession", {"grants": [{"profile": "gh"}], "lifeline": "lifetime"}),
                ("CloseSession", {"session": session.id}),
                ("Revoke", {"all": True}),
                ("RemoveSecret", {"name": "github"}),
                ("Lock", {}),
            ):
                reply = client.call(method, parameters)
                self.assertTrue(idl.conforms_struct(parsed, parsed.methods[method][1], reply), (method, reply))

    def test_errors_are_as_described(self):
        with self.it.client() as client:
            _, parsed = self.describe(client, BROKER)
            for method, parameters in (
                ("OpenSession", {"grants": [{"profile": "nothing"}]}),
                ("OpenSession", {"grants": [{"profile": "gh", "scope": {"repositories": ["a/b"]}}]}),
                ("Rotate", {"name": "nothing", "plan": True}),
            ):
                with self.assertRaises(CallError) as caught:
                    client.call(method, parameters)
                error = caught.exception
                self.assertIn(error.name, parsed.errors)
                self.assertTrue(idl.conforms_struct(parsed, parsed.errors[error.name], error.parameters))

    def test_long_listing_with_and_without_more(self):
        for _ in range(150):
            self.it.open("gh-socket")
        with self.it.client() as client:
            replies = client.stream("ListSessions")
            self.assertGreater(len(replies), 1)
            rows = [row["session"] for reply in replies for row in reply["sessions"]]
            self.assertEqual(len(set(rows)), 150)
            self.assertEqual([row["session"] for row in client.call("ListSessions")["sessions"]], rows)

    @unittest.skipUnless(os.environ.get("MCPCRED_VARLINK_PYTHON"), "no PyPI varlink: MCPCRED_VARLINK_PYTHON is not set")
    def test_python_varlink(self):
        """The reference implementation for Python, in an environment of its own."""
        code = (
            "import sys, varlink\n"
            "client = varlink.Client.new_with_address('unix:' + sys.argv[1])\n"
            "connection = client.open('io.mcpcred.Broker')\n"
            "print(connection.Status()['version'])\n"
            "print([row['name'] for row in connection.ListSecrets()['secrets']])\n"
            "try:\n"
            "    connection.CloseSession('s-nobody')\n"
            "except varlink.VarlinkError as error:\n"
            "    print(error.error())\n"
        )
        done = subprocess.run(
            [os.environ["MCPCRED_VARLINK_PYTHON"], "-I", "-c", code, self.it.socket],
            capture_output=True,
            text=True,
            timeout=60,
        )
        lines = done.stdout.splitlines()
        self.assertEqual(lines[1:], ["['github']", "io.mcpcred.Broker.NotFound"], done.stderr)


if __name__ == "__main__":
    main()
