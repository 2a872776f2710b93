#!/usr/bin/env python3
"""mcpcred exec --sandbox against a broker of straw: what its command sees, and what the session gets.

Each runs as root and as an ordinary user.
"""
import importlib.util
import json
import os
import pathlib
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
import time

spec = importlib.util.spec_from_file_location("support", pathlib.Path(__file__).with_name("support.py"))
support = importlib.util.module_from_spec(spec)
spec.loader.exec_module(support)
Broker, Fault, Home = support.Broker, support.Fault, support.Home
equal, holds, times = support.equal, support.holds, support.times

SESSION = "s-0123456789abcdef"
SECRET = "not-" + "a-real-" + "secret"
SO_NETNS_COOKIE = 71
PYTHON = os.path.realpath(sys.executable)


class SessionSocket(Broker):
    """A session's process of straw: keeps what it is handed over."""

    def __init__(self, directory):
        super().__init__(directory, {"GetToken": lambda p: {"profile": "p", "token": SECRET}, "Serve": lambda p: {}},
                         "io.mcpcred.Session")

    def sockets(self):
        return [(call[1]["service"], end) for call, end in zip(self.asked("Serve"), self.served)]

    def close(self):
        for end in self.served:
            end.close()


class Sandbox(Home):
    """A home whose broker opens sessions of a proxy profile."""

    def __init__(self, proxy=True, **handlers):
        super().__init__({})
        self.session = SessionSocket(self.runtime / "sessions" / SESSION)
        directory = self.session.directory
        (directory / "ca.pem").write_text("CA\n")

        def open_session(parameters):
            ours, theirs = socket.socketpair()
            threading.Thread(target=self.session.serve, args=(ours,), daemon=True).start()
            reply = {"session": SESSION, "expires": times(1800), "socket": str(self.session.path),
                     "directory": str(directory), "grants": [{"profile": "p", "deliver": "proxy"}],
                     "environment": [{"name": "MCPCRED_SOCK", "value": str(self.session.path)},
                                     {"name": "MCPCRED_SESSION", "value": "mcpcs_x"},
                                     {"name": "API_KEY", "value": SECRET}]}
            if proxy:
                reply.update(proxy_socket=str(directory / "proxy.sock"), ca=str(directory / "ca.pem"),
                             ca_bundle=str(directory / "ca.pem"), hosts=["api.example"])
            return support.WithFds(reply, [theirs.detach()])
        self.broker.handlers.update({"OpenSession": open_session,
                                     "CloseSession": lambda p: {"sessions": 1, "credentials": [], "pending": False}})
        self.broker.handlers.update(handlers)

    def __exit__(self, *_):
        self.session.close()
        super().__exit__()

    def inside(self, *command, options=(), status=0, **more):
        done = self.run("exec", "p", "--sandbox", *options, "--", *command, **more)
        equal(done.returncode, status, done)
        return done

    def python(self, script, **more):
        done = self.inside(PYTHON, "-c", script, **more)
        return json.loads(done.stdout) if done.stdout else None


def start(home, *arguments, **options):
    return subprocess.Popen([support.MCPCRED, "exec", "p", "--sandbox", *arguments], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=home.environment(), **options)


# ---- what the command sees ----

def test_sandbox_has_no_network():
    script = ("import json,os,socket\n"
              "def attempt(family, address):\n"
              "  s=socket.socket(family, socket.SOCK_DGRAM)\n"
              "  try: s.connect(address); return 0\n"
              "  except OSError as e: return e.errno\n"
              "print(json.dumps([sorted(os.listdir('/sys/class/net')) if 0 else [n for _,n in socket.if_nameindex()],\n"
              "  attempt(socket.AF_INET, ('192.0.2.1', 80)), attempt(socket.AF_INET6, ('2001:db8::1', 80)),\n"
              "  os.readlink('/proc/self/ns/net')]))")
    with Sandbox() as home:
        interfaces, ipv4, ipv6, namespace = home.python(script)
        # Beside the loopback there may be fallback tunnels of the kernel, which are down.
        equal(interfaces[0], "lo")
        holds(ipv4 and ipv6, (ipv4, ipv6))
        holds(namespace != os.readlink("/proc/self/ns/net"))
        # What listens on the host's loopback, or at an abstract address, is not there.
        with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as abstract:
            tcp.bind(("127.0.0.1", 0))
            tcp.listen()
            abstract.bind(f"\0mcpcred-test-{os.getpid()}")
            abstract.listen()
            script = ("import json,socket\n"
                      "def attempt(family, address):\n"
                      "  try: socket.socket(family).connect(address); return 0\n"
                      "  except OSError as e: return e.errno\n"
                      f"print(json.dumps([attempt(socket.AF_INET, ('127.0.0.1', {tcp.getsockname()[1]})),\n"
                      f"  attempt(socket.AF_UNIX, '\\0mcpcred-test-{os.getpid()}')]))")
            holds(all(home.python(script)))


def test_sandbox_has_no_capability():
    with Sandbox() as home:
        status = home.inside("cat", "/proc/self/status").stdout.decode()
        sets = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
        equal({name: int(value, 16) for name, value in sets.items()},
              dict.fromkeys(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"], 0))
        holds("NoNewPrivs:\t1" in status, status)
        # Nor may it change its network.
        script = ("import fcntl,json,socket,struct\n"
                  "try: fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 0)); print(0)\n"
                  "except OSError as e: print(e.errno)")
        equal(home.python(script), 1)


def test_sandbox_has_its_own_processes_and_ipc():
    with Sandbox() as home:
        script = ("import json,os\n"
                  "print(json.dumps([os.getpid(), sorted(int(p) for p in os.listdir('/proc') if p.isdigit()),\n"
                  "  *[os.readlink(f'/proc/self/ns/{n}') for n in ('pid', 'ipc', 'mnt', 'uts', 'user')]]))")
        pid, processes, *namespaces = home.python(script)
        equal((pid, processes), (2, [1, 2]))
        for name, namespace in zip(("pid", "ipc", "mnt", "uts", "user"), namespaces):
            holds(namespace != os.readlink(f"/proc/self/ns/{name}"), name)


def test_sandbox_sees_no_session_bus():
    for bus in ("inside the runtime directory", "somewhere else"):
        with Sandbox() as home:
            directory = home.path if bus.startswith("inside") else outside_directory()
            path = directory / "bus"
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
                listener.listen()
                script = ("import json,socket\n"
                          f"try: socket.socket(socket.AF_UNIX).connect({str(path)!r}); print(0)\n"
                          "except OSError as e: print(e.errno)")
                env = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={path},guid=0"}
                holds(home.python(script, env=env) != 0, bus)
                done = home.run("exec", "p", "--sandbox", "--rw", path.parent, "--", "true", env=env)
                equal(done.returncode, 125)
                holds(b"would let the sandbox at" in done.stderr, done)
            path.unlink()
            if directory != home.path:
                directory.rmdir()


def outside_directory():
    """One that no sandbox hides by its place: only root can have it."""
    if os.geteuid() != 0:
        import tempfile
        return pathlib.Path(tempfile.mkdtemp(prefix="mcpcred-cli-"))
    path = pathlib.Path(f"/srv/mcpcred-test-{os.getpid()}")
    path.mkdir(exist_ok=True)
    return path


def test_listening_unix_sockets_of_the_system_do_not_answer():
    """Wherever they are, if they were there first; only root can have one where no sandbox hides it."""
    directory = outside_directory()
    path = directory / "service.sock"
    script = ("import json,socket,sys\n"
              "try: socket.socket(socket.AF_UNIX).connect(sys.argv[1]); print(0)\n"
              "except OSError as e: print(e.errno)")
    try:
        with Sandbox() as home, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            holds(json.loads(home.inside(PYTHON, "-c", script, path).stdout) != 0)
            # Who names it gets it.
            equal(json.loads(home.inside(PYTHON, "-c", script, path, options=["--ro", path]).stdout), 0)
            # One that root sees and the sandbox cannot reach is in nobody's way.
            os.chmod(directory, 0)
            home.inside("true")
            os.chmod(directory, 0o700)
    finally:
        path.unlink(missing_ok=True)
        directory.rmdir()


# System calls, by number where the C library has no function: the same at x86-64 and elsewhere, or of a table.
CALLS = {"x86_64": {"add_key": 248, "keyctl": 250, "unshare": 272}}.get(
    os.uname().machine, {"add_key": 217, "keyctl": 219, "unshare": 97})
CALLS.update(io_uring_setup=425, clone3=435)
CALLING = ("import ctypes,json,os,socket,sys\n"
           f"calls = {CALLS}\n"
           "libc = ctypes.CDLL(None, use_errno=True)\n"
           "def call(name, *arguments):\n"
           "  r = libc.syscall(calls[name], *arguments)\n"
           "  return r if r >= 0 else -ctypes.get_errno()\n")


def test_kernel_keyrings_stay_outside():
    """What a login put into its keyring, as a ticket or the key of a disk."""
    scope = {}
    exec(CALLING, scope)
    call = scope["call"]
    join, read, session, user = 1, 11, -3, -4
    pid = os.fork()
    if pid:
        equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        return
    try:
        call("keyctl", join, None)
        key = call("add_key", b"user", b"mcpcred-test", b"ticket", 6, session)
        if key >= 0:
            with Sandbox() as home:
                script = CALLING + ("b = ctypes.create_string_buffer(64)\n"
                                    f"print(json.dumps([call('keyctl', {read}, k, b, 64)\n"
                                    f"  for k in (int(sys.argv[1]), {session}, {user})]))")
                equal(json.loads(home.inside(PYTHON, "-c", script, key).stdout), [-1, -1, -1])
                listed = home.inside("sh", "-c", "cat /proc/keys /proc/key-users || :").stdout
                holds(b"mcpcred-test" not in listed, listed)
        os._exit(0)
    except BaseException:  # pylint: disable=broad-except
        support.traceback.print_exc()
        os._exit(1)


def test_sandbox_makes_no_socket_outside_its_network():
    """AF_VSOCK is of no network namespace: it reaches the host of a virtual machine, and what listens for it."""
    with Sandbox() as home:
        script = CALLING + ("made = []\n"
                            "for family in range(64):\n"
                            "  for kind in (1, 2, 3, 5):\n"
                            "    try: socket.socket(family, kind).close(); made.append(family)\n"
                            "    except OSError: pass\n"
                            "b = ctypes.create_string_buffer(120)\n"
                            "print(json.dumps([sorted(set(made)), call('io_uring_setup', 4, b)]))")
        families, ring = home.python(script)
        holds(set(families) <= {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}, families)
        holds(ring < 0, ring)


def test_sandbox_makes_no_user_namespace():
    with Sandbox() as home:
        script = CALLING + ("b = ctypes.create_string_buffer(b'\\0\\0\\0\\x10', 88)\n"
                            "print(json.dumps([call('unshare', 0x10000000), call('clone3', b, 88)]))")
        equal(home.python(script), [-1, -38])
        equal(home.python("import subprocess,threading\n"
                          "t = threading.Thread(target=lambda: None); t.start(); t.join()\n"
                          "print(subprocess.run(['true']).returncode)"), 0)


def test_every_process_of_the_sandbox_is_filtered():
    """The first one may be traced by the command, and made to do what it may."""
    with Sandbox() as home:
        said = home.inside("cat", "/proc/1/status", "/proc/self/status").stdout.decode()
        equal([line for line in said.splitlines() if line.startswith(("Seccomp:", "NoNewPrivs:"))],
              ["NoNewPrivs:\t1", "Seccomp:\t2"] * 2)


def test_kernel_settings_are_not_to_write():
    """Root's own need no capability, and core_pattern names a program that the kernel starts outside."""
    with Sandbox() as home:
        script = ("import json,os\n"
                  "def writable(path):\n"
                  "  try: os.close(os.open(path, os.O_WRONLY)); return True\n"
                  "  except OSError: return False\n"
                  "print(json.dumps([os.path.join(d, n) for t in ('/proc/sys', '/sys/fs/cgroup', '/sys/kernel')\n"
                  "  for d, _, ns in os.walk(t) for n in ns if writable(os.path.join(d, n))]\n"
                  "  + [p for p in ('/proc/sysrq-trigger', '/proc/sys/kernel/core_pattern') if writable(p)]))")
        # The sandbox's own IPC and process numbers may be for it to set.
        own = ("fs/mqueue/", "kernel/msg", "kernel/sem", "kernel/shm", "kernel/auto_msgmni", "kernel/ns_last_pid",
               "kernel/pid_max") if os.geteuid() != 0 else ()
        equal([path for path in home.python(script) if not path.startswith(tuple("/proc/sys/" + name for name in own))], [])


def test_home_is_empty():
    with Sandbox() as home:
        (home.path / ".netrc").write_text("secret")
        script = ("import json,os\n"
                  "h=os.environ['HOME']; open(h+'/new','w').write('x')\n"
                  "print(json.dumps([h, os.listdir(h), [os.listdir(d) for d in ('/home', '/root') if os.path.isdir(d)]]))")
        path, names, others = home.python(script)
        # The session's directory is in this home, as it is not in a real one.
        equal((path, sorted(names)), (str(home.path), ["mcpcred", "new"]))
        equal([name for name in sum(others, [])], [])
        holds(not (home.path / "new").exists())


def test_drives_and_mail_are_hidden():
    with Sandbox() as home:
        places = [place for place in ("/media", "/mnt", "/var/mail", "/var/spool/cron") if os.path.isdir(place)]
        said = home.inside("sh", "-c", "for d; do stat -f -c %T $d; ls -A $d; done", "sh", *places).stdout.decode()
        equal(said.split(), ["tmpfs"] * len(places))


def test_standard_descriptors_are_all_that_comes_along():
    with Sandbox() as home:
        number = os.open("/etc", os.O_RDONLY)
        done = subprocess.run(
            [support.MCPCRED, "exec", "p", "--sandbox", "--", "sh", "-c", "ls /proc/$$/fd"], env=home.environment(),
            stdin=subprocess.DEVNULL, capture_output=True, pass_fds=[number], timeout=30)
        os.close(number)
        holds(set(done.stdout.split()) <= {b"0", b"1", b"2", b"3"}, done)


def test_runtime_directory_hidden():
    with Sandbox() as home:
        script = ("import json,os\n"
                  f"r={str(home.runtime)!r}\n"
                  "print(json.dumps([os.listdir(r), os.listdir(r+'/sessions'),\n"
                  "  sorted(os.listdir(os.path.dirname(os.environ['MCPCRED_SOCK']))), os.listdir('/run')]))")
        runtime, sessions, own, run = home.python(script)
        equal((runtime, sessions, own), (["sessions"], [SESSION], ["broker.sock", "ca.pem"]))
        holds("user" not in run and "dbus" not in run and "docker.sock" not in run, run)
        for option in ("--rw", "--ro"):
            for path in (home.runtime, home.runtime / "broker.sock", home.path, "/", "/run", "/proc"):
                done = home.run("exec", "p", "--sandbox", option, path, "--", "true")
                equal((done.returncode, home.broker.asked("OpenSession")[1:]), (125, []), path)
                holds(b"would let the sandbox at" in done.stderr or b"No such file" in done.stderr, done)


def test_state_and_configuration_cannot_be_bound_nor_made():
    with Sandbox() as home:
        (home.path / "c").mkdir()
        (home.path / "s/mcpcred").mkdir(parents=True)
        env = {"XDG_CONFIG_HOME": str(home.path / "c"), "XDG_STATE_HOME": str(home.path / "s")}
        for path in (home.path / "c", home.path / "s", home.path / "s/mcpcred"):
            equal(home.run("exec", "p", "--sandbox", "--rw", path, "--", "true", env=env).returncode, 125, path)
        (home.path / ".config").mkdir()
        equal(home.run("exec", "p", "--sandbox", "--rw", home.path / ".config", "--", "true").returncode, 125)


def test_rw_path_visible():
    with Sandbox() as home:
        work = home.path / "work"
        (work / "locked").mkdir(parents=True)
        (work / "in").write_text("in\n")
        (work / "locked/file").write_text("x")
        done = home.inside("sh", "-c", "cat in; echo out >out; pwd", options=["--rw", work], cwd=work)
        equal(done.stdout.decode(), f"in\n{work}\n")
        equal((work / "out").read_text(), "out\n")
        # What is within it and read-only stays so, in whichever order it is said.
        for options in (["--rw", work, "--ro", work / "locked"], ["--ro", work / "locked", "--rw", work]):
            done = home.inside("sh", "-c", f"echo y >{work}/new; echo y >{work}/locked/file", options=options, status=2)
            equal(((work / "new").read_text(), (work / "locked/file").read_text()), ("y\n", "x"))
        link = home.path / "link"
        link.symlink_to(work)
        equal(home.inside("cat", f"{link}/in", f"{work}/in", options=["--ro", link]).stdout, b"in\nin\n")
        equal(home.inside("cat", f"{link}/in", options=["--ro", "../link"], cwd=work).stdout, b"in\n")
        done = home.run("exec", "p", "--sandbox", "--rw", home.path / "absent", "--", "true")
        equal(done.returncode, 125)


def test_root_is_read_only_and_tmp_private():
    with Sandbox() as home:
        done = home.inside("sh", "-c", "echo x >/usr/mcpcred-test || echo x >/etc/mcpcred-test || echo refused; "
                           "echo y >/tmp/mcpcred-test && echo y >/dev/shm/mcpcred-test && cat /tmp/mcpcred-test; "
                           "ls -d /tmp/mcpcred-cli-* | wc -l; pwd", cwd="/tmp")
        equal(done.stdout.decode().split(), ["refused", "y", "1", "/"])
        holds(not os.path.exists("/tmp/mcpcred-test") and not os.path.exists("/dev/shm/mcpcred-test"))
        equal(home.inside("pwd", cwd="/usr").stdout, b"/usr\n")
        equal(home.inside("sh", "-c", "echo $TMPDIR", env={"TMPDIR": str(home.path)}).stdout, b"/tmp\n")


def test_names_are_asked_of_the_session():
    with Sandbox() as home:
        done = home.inside("cat", "/etc/resolv.conf", "/etc/hosts")
        equal(done.stdout.decode().splitlines()[:2], ["nameserver 127.0.0.1", "options timeout:5 attempts:2"])
        holds(b"\n::1 localhost" in done.stdout, done)


def with_mounts(home, setup, *command):
    """As root of a user namespace with mounts of its own, in which /etc can be another. None: not here."""
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", setup + " && exec \"$@\"", "sh",
                           support.MCPCRED, "exec", "p", "--sandbox", "--", *command], env=home.environment(),
                          capture_output=True)
    if b"unshare" in done.stderr or b"mount:" in done.stderr:
        return None
    equal(done.returncode, 0, done)
    return done.stdout.decode()


def test_resolv_conf_may_be_a_dangling_link():
    """As with systemd-resolved, whose file is in /run."""
    with Sandbox() as home:
        said = with_mounts(home, "mount -t tmpfs none /mnt && { cp -r /etc/. /mnt/ 2>/dev/null; rm -f /mnt/resolv.conf; } && "
                           "ln -s ../run/mcpcred-no-such/stub.conf /mnt/resolv.conf && mount --bind /mnt /etc && umount /mnt",
                           "cat", "/etc/resolv.conf")
        if said is None:
            return "no mounts here"
        equal(said.splitlines()[0], "nameserver 127.0.0.1")


def test_hosts_may_be_a_mount_of_a_deleted_file():
    with Sandbox() as home:
        said = with_mounts(home, f"echo 192.0.2.1 old >{home.path}/h && mount --bind {home.path}/h /etc/hosts && "
                           f"rm {home.path}/h", "cat", "/etc/hosts")
        if said is None:
            return "no mounts here"
        equal(said, "192.0.2.1 old\n")


# ---- what the session gets ----

def test_sockets_are_of_another_namespace():
    with Sandbox() as home:
        process = start(home, "--", "sh", "-c", "echo ready; read x; exit 0")
        equal(process.stdout.readline(), b"ready\n")
        got = home.session.sockets()
        with socket.socket() as own:
            cookie = own.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8)
        cookies = {end.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8) for _, end in got}
        equal(len(cookies), 1)
        holds(cookie not in cookies)
        described = sorted((service, end.family.name, end.type.name, end.getsockname()[:2],
                            end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) for service, end in got)
        families = ["AF_INET", "AF_INET6"] if socket.has_ipv6 and len(got) == 6 else ["AF_INET"]
        address = {"AF_INET": "127.0.0.1", "AF_INET6": "::1"}
        equal(described, sorted((service, family, kind, (address[family], port), accepts)
                                for service, kind, port, accepts in (("proxy", "SOCK_STREAM", 3128, 1),
                                                                     ("tls", "SOCK_STREAM", 443, 1),
                                                                     ("dns", "SOCK_DGRAM", 53, 0))
                                for family in families))
        parameters = home.broker.asked("OpenSession")[0][1]
        equal((parameters["proxy"], parameters["sandboxed"]), ("127.0.0.1:3128", True))
        process.stdin.close()
        equal(process.wait(10), 0)


def test_command_reaches_the_session_by_all_of_them():
    with Sandbox() as home:
        script = ("import json,socket,sys\n"
                  "print('ready', flush=True); sys.stdin.readline()\n"
                  "got=[]\n"
                  "for family, address in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')):\n"
                  "  for port in (3128, 443):\n"
                  "    s=socket.socket(family); s.settimeout(10)\n"
                  "    try: s.connect((address, port))\n"
                  "    except OSError: continue\n"
                  "    got.append([port, s.recv(99).decode()])\n"
                  "s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10)\n"
                  "s.sendto(b'?', ('127.0.0.1', 53)); got.append([53, s.recv(99).decode()])\n"
                  "print(json.dumps(got))")
        process = start(home, "--", PYTHON, "-c", script)
        equal(process.stdout.readline(), b"ready\n")
        sockets = home.session.sockets()
        threads = [threading.Thread(target=answer, args=item, daemon=True) for item in sockets]
        for thread in threads:
            thread.start()
        output, errors = process.communicate(b"\n", timeout=30)
        got = json.loads(output)
        equal(sorted(map(tuple, got)), sorted([(3128, "proxy"), (443, "tls")] * (len(sockets) // 3) + [(53, "dns")]))


def answer(service, end):
    end.settimeout(10)
    try:
        if service == "dns":
            _, address = end.recvfrom(99)
            end.sendto(service.encode(), address)
        else:
            connection, _ = end.accept()
            connection.sendall(service.encode())
            connection.close()
    except (TimeoutError, OSError):
        pass


def test_descriptors():
    with Sandbox() as home:
        read, write = os.pipe()
        script = ("import json,os,socket\n"
                  "def is_open(fd):\n"
                  "  try: return bool(os.fstat(fd))\n"
                  "  except OSError: return False\n"
                  "fds=[fd for fd in range(1024) if is_open(fd)]\n"
                  "s=socket.socket(fileno=int(os.environ['MCPCRED_FD']))\n"
                  "s.sendall(b'{\"method\":\"io.mcpcred.Session.GetToken\"}\\0')\n"
                  "print(json.dumps([fds, s.recv(999).decode()]))")
        fds, token = home.python(script, pass_fds=[read, write])
        equal(fds, [0, 1, 2, 3])
        holds(SECRET in token)
        os.close(read), os.close(write)


def test_no_process_outside_keeps_the_sockets():
    """When the command has ended and the session lets go, the port is gone: nobody else holds it."""
    with Sandbox() as home:
        process = start(home, "--", "sh", "-c", "echo ready; read x")
        equal(process.stdout.readline(), b"ready\n")
        inodes = {f"socket:[{os.fstat(end.fileno()).st_ino}]" for _, end in home.session.sockets()}
        for pid in descendants(process.pid):
            try:
                held = {os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")}
            except (PermissionError, FileNotFoundError):
                continue
            equal(held & inodes, set(), pid)
        process.stdin.close()
        process.wait(10)


def descendants(pid):
    found = [pid]
    for at in found:
        try:
            found += [int(p) for p in pathlib.Path(f"/proc/{at}/task/{at}/children").read_text().split()]
        except FileNotFoundError:
            pass
    return found


def test_child_is_marked_for_ever():
    with Sandbox() as home:
        hard = home.python("import json,resource as r; print(r.getrlimit(r.RLIMIT_RTTIME)[1])")
        holds(hard >= 1 << 60, hard)


def test_a_session_without_proxy_gets_no_sockets():
    with Sandbox(proxy=False) as home:
        done = home.inside("true")
        holds(b"no network" in done.stderr, done)
        equal(home.session.sockets(), [])


# ---- how it ends ----

def test_exit_status_passes():
    with Sandbox() as home:
        for status in (0, 1, 42, 125):
            done = home.inside("sh", "-c", f"exit {status}", status=status)
            equal((done.stdout, done.stderr), (b"", b""))
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
            home.inside("sh", "-c", f"kill -{int(number)} $$", status=128 + number)
        done = home.inside("no-such-program", status=127)
        holds(b"no-such-program" in done.stderr and b"--ro" in done.stderr, done)
        home.inside("/etc/passwd", status=126)
        equal(len(home.broker.asked("CloseSession")), 9)


def test_stdio_is_the_commands_own():
    data = bytes(range(256)) * 1000
    with Sandbox() as home:
        done = home.inside("cat", stdin=data)
        equal((done.stdout == data, done.stderr), (True, b""))
        done = home.inside("sh", "-c", "cat >&2; exit 3", stdin=data, status=3)
        equal((done.stderr == data, done.stdout), (True, b""))


def test_command_alone_holds_stdout():
    with Sandbox() as home:
        process = start(home, "--", "sh", "-c", "exec >&-; echo closed >&2; read x")
        equal(process.stderr.readline(), b"closed\n")
        # bubblewrap's own two processes hold it too, as long as the command runs.
        process.stdin.write(b"go\n")
        process.stdin.close()
        equal(process.wait(10), 0)


def test_signals_are_forwarded():
    with Sandbox() as home:
        for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH"):
            process = start(home, "--", "sh", "-c", f"trap 'echo got; exit 7' {name}; echo ready; "
                            "while :; do sleep 0.01; done", start_new_session=True)
            equal(process.stdout.readline(), b"ready\n")
            process.send_signal(getattr(signal, "SIG" + name))
            equal((process.wait(10), process.stdout.read()), (7, b"got\n"), name)
        process = start(home, "--", "sh", "-c", "echo ready; read x")
        equal(process.stdout.readline(), b"ready\n")
        process.terminate()
        equal(process.wait(10), 128 + signal.SIGTERM)


def test_terminal_interrupt_reaches_the_command_once():
    with Sandbox() as home:
        script = "n=0; trap 'n=$((n+1))' INT; echo ready; while [ $n = 0 ]; do sleep 0.05; done; sleep 0.3; echo n=$n"
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(support.MCPCRED, [support.MCPCRED, "exec", "p", "--sandbox", "--", "sh", "-c", script],
                      home.environment())
        read_until(terminal, b"ready")
        os.write(terminal, b"\x03")
        holds(b"n=1" in read_until(terminal, b"n="))
        equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        os.close(terminal)


def test_terminal_takes_no_typing_from_the_command():
    with Sandbox() as home:
        script = ("import fcntl\n"
                  "for request in (0x5412, 0x541c):\n"
                  "  try: fcntl.ioctl(0, request, b'x'); print('typed')\n"
                  "  except OSError as e: print('errno', e.errno)\n"
                  "print('done')")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(support.MCPCRED, [support.MCPCRED, "exec", "p", "--sandbox", "--", PYTHON, "-c", script],
                      home.environment())
        said = read_until(terminal, b"done")
        equal((said.count(b"errno 1"), b"typed" in said), (2, False), said)
        os.waitpid(pid, 0)
        os.close(terminal)
        # Without a terminal it has left ours.
        holds(home.python("import json,os; print(os.getsid(0))") == 1)


def read_until(fd, wanted, seconds=10):
    got, deadline = b"", time.monotonic() + seconds
    while wanted not in got or not got.endswith(b"\n"):
        if not select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]:
            raise AssertionError(f"no {wanted!r} in {got!r}")
        try:
            got += os.read(fd, 4096)
        except OSError:
            break
    return got


def test_kill_of_exec_ends_everything():
    with Sandbox() as home:
        process = start(home, "--", "sh", "-c", "echo ready; sleep 1000")
        equal(process.stdout.readline(), b"ready\n")
        watched = [os.pidfd_open(pid) for pid in descendants(process.pid)[1:]]
        holds(len(watched) >= 3, watched)
        process.kill()
        process.wait()
        for fd in watched:
            holds(select.select([fd], [], [], 10)[0])
            os.close(fd)
        home.broker.lifelines[0].settimeout(10)
        equal(home.broker.lifelines[0].recv(1), b"")


def test_descendants_end_with_the_command():
    with Sandbox() as home:
        process = start(home, "--", "sh", "-c", "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo ready; read x")
        equal(process.stdout.readline(), b"ready\n")
        watched = [os.pidfd_open(pid) for pid in descendants(process.pid)[1:]]
        process.stdin.close()
        equal(process.wait(10), 1)
        for fd in watched:
            holds(select.select([fd], [], [], 10)[0])
            os.close(fd)


# ---- what goes wrong ----

def test_missing_bubblewrap_is_told_before_a_session():
    with Sandbox() as home:
        done = home.run("exec", "p", "--sandbox", "--bwrap", home.path / "absent", "--", "true")
        equal((done.returncode, done.stdout, home.broker.asked("OpenSession")), (125, b"", []))
        holds(b"Install the package bubblewrap" in done.stderr, done)


def test_refused_socket_ends_the_session():
    with Sandbox() as home:
        def refuse(parameters):
            raise Fault("PolicyDenied", message="Not this one.")
        home.session.handlers["Serve"] = refuse
        done = home.inside("sh", "-c", "echo ran", status=125)
        equal(done.stdout, b"")
        holds(b"Not this one." in done.stderr, done)
        equal(len(home.broker.asked("CloseSession")), 1)


def is_alive(pid):
    try:
        return " Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_nothing_is_left_of_a_sandbox_that_is_given_up():
    """Whatever bubblewrap is at: its first process, orphaned, would wait for ever with our output open."""
    with Sandbox() as home:
        for _ in range(20):
            process = start(home, "--", "sh", "-c", "echo ran")
            deadline = time.monotonic() + 10
            while len(started := descendants(process.pid)) < 3 and process.poll() is None and time.monotonic() < deadline:
                pass
            process.terminate()
            out, _ = process.communicate(timeout=20)
            holds(process.returncode in (0, 128 + signal.SIGTERM), process.returncode)
            while any(map(is_alive, started[1:])) and time.monotonic() < deadline:
                time.sleep(0.01)
            equal([pid for pid in started[1:] if is_alive(pid)], [])


def test_bubblewrap_that_fails_is_told_and_ends_the_session():
    with Sandbox() as home:
        done = home.inside("sh", "-c", "echo ran", options=["--sandbox-arg", "--no-such-option"], status=125)
        equal(done.stdout, b"")
        holds(b"no-such-option" in done.stderr and b"could not make the sandbox" in done.stderr, done)
        equal(len(home.broker.asked("CloseSession")), 1)


def test_sandbox_arg_passes():
    with Sandbox() as home:
        done = home.inside("sh", "-c", "echo $X; ls /opt/mcpcred-test", status=0,
                           options=sum((["--sandbox-arg", a] for a in ("--setenv", "X", "y", "--tmpfs", "/opt", "--dir",
                                                                       "/opt/mcpcred-test")), []))
        equal(done.stdout, b"y\n")
        for option in (["--rw", "/usr"], ["--ro", "/usr"], ["--sandbox-arg", "x"], ["--bwrap", "/usr/bin/bwrap"]):
            equal(home.run("exec", "p", *option, "--", "true").returncode, 125)


def test_where_it_may_make_no_namespace_bubblewrap_does():
    """The limit of a user namespace of the test's own says no; bubblewrap is root there and needs none."""
    with Sandbox() as home:
        script = ("import json,os,socket\n"
                  "s=socket.socket(); s.settimeout(10); s.connect(('127.0.0.1', 3128))\n"
                  "print(json.dumps([s.recv(9).decode(), os.readlink('/proc/self/ns/net')]))")
        process = subprocess.Popen(["unshare", "--user", "--map-root-user", "sh", "-c",
                                    "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"", "sh", support.MCPCRED,
                                    "exec", "p", "--sandbox", "--", "sh", "-c", "echo ready; read x; exec \"$@\"", "sh",
                                    PYTHON, "-c", script],
                                   env=home.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        if process.stdout.readline() != b"ready\n":
            errors = process.communicate()[1]
            if b"unshare" in errors or b"max_user_namespaces" in errors:
                return "no user namespaces here"
            raise AssertionError(errors)
        got = home.session.sockets()
        equal({service for service, _ in got}, {"proxy"})
        for item in got:
            threading.Thread(target=answer, args=item, daemon=True).start()
        output, errors = process.communicate(b"\n", timeout=30)
        said, namespace = json.loads(output)
        equal((process.returncode, said, errors.count(b"\n")), (0, "proxy", 1), errors)
        holds(b"port 3128 alone" in errors and namespace != os.readlink("/proc/self/ns/net"), errors)


support.main(globals())
