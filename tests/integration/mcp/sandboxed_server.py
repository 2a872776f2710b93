"""The command line of server-github, unmodified, in a bubblewrap sandbox.

It always talks to https://api.github.com, so the sandbox has a hosts file that
says where that is, and Node is told of the stand-in's authority. Both are files
that a launcher can bind; the package itself is not touched.
"""

import os
import shutil

HOSTS = "127.0.0.1 localhost api.github.com\n"
ENTRY = "node_modules/@modelcontextprotocol/server-github/dist/index.js"
MERGED = ("bin", "lib", "lib64", "sbin")


def _system():
    """/usr, and the links into it that this distribution has at the root."""
    options = ["--ro-bind", "/usr", "/usr"]
    for name in MERGED:
        if os.path.islink("/" + name):
            options += ["--symlink", os.readlink("/" + name), "/" + name]
        elif os.path.isdir("/" + name):
            options += ["--ro-bind", "/" + name, "/" + name]
    return options


def _node():
    """(options, path): node may be installed outside of /usr."""
    path = os.path.realpath(shutil.which("node"))
    if path.startswith("/usr/"):
        return [], path
    prefix = os.path.dirname(os.path.dirname(path))
    return ["--ro-bind", prefix, "/node"], "/node/bin/node"


def command(modules, ca, directory):
    """`directory` is the test's own; the hosts file goes there."""
    hosts = os.path.join(directory, "hosts")
    with open(hosts, "w", encoding="ascii") as file:
        file.write(HOSTS)
    node_options, node = _node()
    return [
        "bwrap",
        *_system(),
        *node_options,
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
        *("--ro-bind", hosts, "/etc/hosts"),
        *("--ro-bind", ca, "/etc/standin-ca.pem"),
        *("--ro-bind", modules, "/modules"),
        *("--setenv", "NODE_EXTRA_CA_CERTS", "/etc/standin-ca.pem"),
        *("--unshare-all", "--share-net", "--die-with-parent"),
        *(node, "/modules/" + ENTRY),
    ]
