"""A session bus and a gnome-keyring-daemon of a test's own, with a home of their own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile

from harness import wait_until

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
DEFAULT = "/org/freedesktop/secrets/aliases/default"
PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon", "gdbus")


def missing():
    """What is not there: programs, and the account without which D-Bus knows nobody."""
    names = [name for name in PROGRAMS if not shutil.which(name)]
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        names.append("an account of this uid")
    return names


class Desktop:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="mcpcred-desktop-")
        for name in ("home", "run"):
            os.mkdir(self.path(name), 0o700)
        self.socket = self.path("run", "bus")
        self.address = "unix:path=" + self.socket
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.path("home"),
            "XDG_RUNTIME_DIR": self.path("run"),
            "DBUS_SESSION_BUS_ADDRESS": self.address,
        }
        self.bus = self.daemon = None

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def start_bus(self):
        config = self.path("bus.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(BUS_CONFIG.format(path=self.socket))
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        command = ["dbus-daemon", "--nofork", "--nosyslog", "--print-address", "--config-file=" + config]
        self.bus = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.bus.stdout.readline()  # it listens

    def start_daemon(self, password="pass"):
        """Unlocked with a password, which makes the collection; with None it is there and locked."""
        how = "--unlock" if password else "--start"
        self.daemon = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--components=secrets", how],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.daemon.stdin.write((password or "").encode())
        self.daemon.stdin.close()
        wait_until(self.has_service, "the keyring daemon does not come up")

    def has_service(self):
        method = "org.freedesktop.DBus.NameHasOwner"
        return self.bus_call("org.freedesktop.DBus", "/", method, "org.freedesktop.secrets") == "(true,)"

    def bus_call(self, name, path, method, *arguments):
        command = ["gdbus", "call", "--session", "-d", name, "-o", path, "-m", method, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def lock(self):
        method = "org.freedesktop.Secret.Service.Lock"
        self.bus_call("org.freedesktop.secrets", "/org/freedesktop/secrets", method, f"['{DEFAULT}']")

    def kill(self, which):
        process = getattr(self, which)
        if process:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
            setattr(self, which, None)

    def close(self):
        if self.daemon:
            self.daemon.send_signal(signal.SIGCONT)
        self.kill("daemon")
        self.kill("bus")
        shutil.rmtree(self.directory, ignore_errors=True)
