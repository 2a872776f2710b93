#!/usr/bin/python3
"""A stand-in of the GitHub REST API, on the IPv4 loopback.

It enforces what GitHub documents, keeps a journal, and misbehaves on order; see
ghapi/ for the parts and ghapi/admin.py for the side that tests use. When it is
ready it prints one line of JSON, and it ends on SIGTERM or when its standard
input closes, so that no test can leave it behind.
"""

import argparse
import json
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import certs  # noqa: E402
from ghapi import admin, server, state, tokens  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description="Stand-in of the GitHub REST API")
    parser.add_argument("--dir", required=True, help="for certificates, keys, the admin socket")
    parser.add_argument("--name", action="append", help="name or address of the certificate")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--world", help="JSON file: app, installations, files (see ghapi/world.py)")
    parser.add_argument("--lifetime", type=int, default=3600, help="of a token, in seconds")
    parser.add_argument("--token-format", choices=tokens.FORMATS, default="stateless")
    parser.add_argument(
        "--until-signal", action="store_true", help="do not end when standard input closes"
    )
    return parser.parse_args()


def make_state(kind, arguments, paths):
    world = None
    if arguments.world:
        with open(arguments.world, encoding="utf-8") as file:
            world = json.load(file)
    made = kind(world, arguments.lifetime, arguments.token_format)
    made.add_vendors(arguments.dir)
    with open(paths["app_key"], encoding="ascii") as file:
        made.keys.add(file.read())
    return made


def announce(made, paths, port, socket_path):
    app = made.world.app
    ready = {
        "port": port,
        "admin": socket_path,
        "ca": paths["ca"],
        "app_key": paths["app_key"],
        "app_id": app["id"],
        "client_id": app["client_id"],
        "installations": sorted(made.world.installations),
    }
    print(json.dumps(ready), flush=True)


def start(target):
    threading.Thread(target=target.serve_forever, daemon=True).start()


def wait_for_end(until_signal):
    if until_signal:
        while True:
            signal.pause()
    while os.read(0, 4096):
        pass


def main(kind=state.State, serve=server.Server, names=certs.DEFAULT_NAMES):
    arguments = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    paths = certs.prepare(arguments.dir, tuple(arguments.name or names))
    made = make_state(kind, arguments, paths)
    socket_path = os.path.join(arguments.dir, "admin.sock")
    api = serve((arguments.address, arguments.port), made, paths["server"], paths["server_key"])
    control = admin.Server(socket_path, made)
    try:
        start(api)
        start(control)
        announce(made, paths, api.server_address[1], socket_path)
        wait_for_end(arguments.until_signal)
    finally:
        os.unlink(socket_path)


if __name__ == "__main__":
    main()
