"""A command that has taken its sandbox over: each attack's name and what came of it, as JSON.

    hostile.py serve|control MCPCRED
"""

import array
import json
import os
import resource
import select
import socket
import subprocess
import sys
import tempfile


# An ordinary user's soft limit is 1024; the attack has more sockets than that.
_, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))


def call(method, parameters, fds=(), timeout=10):
    """The reply's error, {} or None where the connection was cut."""
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(timeout)
        try:
            end.connect(os.environ["MCPCRED_SOCK"])
            message = json.dumps({"method": method, "parameters": parameters}).encode() + b"\0"
            control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            end.sendmsg([message], control)
            data = b""
            while not data.endswith(b"\0"):
                if not (more := end.recv(65536)):
                    return "cut"
                data += more
            return json.loads(data[:-1]).get("error") or "taken"
        except OSError as error:
            return error.strerror or str(error)


def serve(service, *fds):
    return call("io.mcpcred.Session.Serve", {"service": service, "session": os.environ["MCPCRED_SESSION"]}, fds)


def listening(family=socket.AF_INET, address=("127.0.0.1", 0), listen=True, kind=socket.SOCK_STREAM, options=()):
    end = socket.socket(family, kind)
    for option in options:
        end.setsockopt(socket.SOL_SOCKET, option, 1)
    end.bind(address)
    if listen:
        end.listen()
    return end


def odd_descriptors():
    """Each of a kind that nobody should serve; kept by the list."""
    directory = tempfile.mkdtemp()
    os.mkfifo(directory + "/fifo")
    tcp = listening()
    peer = socket.create_connection(tcp.getsockname())
    yield "null", os.open("/dev/null", os.O_RDWR)
    yield "directory", os.open("/", os.O_RDONLY)
    yield "path", os.open("/etc/passwd", os.O_PATH)
    yield "process", os.open("/proc/self/mem", os.O_RDONLY)
    yield "fifo", os.open(directory + "/fifo", os.O_RDWR | os.O_NONBLOCK)
    yield "terminal", os.open("/dev/ptmx", os.O_RDWR)
    yield "memory", os.memfd_create("x")
    yield "epoll", select.epoll().fileno()
    yield "pipe", os.pipe()[0]
    yield "pidfd", os.pidfd_open(os.getpid())
    yield "namespace", os.open("/proc/self/ns/net", os.O_RDONLY)
    yield "unix", listening(socket.AF_UNIX, directory + "/socket").detach()
    yield "abstract", listening(socket.AF_UNIX, "\0x").detach()
    yield "pair", socket.socketpair()[0].detach()
    yield "itself", os.dup(3)
    yield "netlink", socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).detach()
    yield "not listening", listening(listen=False).detach()
    yield "connected", peer.detach()
    yield "shared", listening(options=[socket.SO_REUSEPORT]).detach()
    yield "datagrams", listening(kind=socket.SOCK_DGRAM, listen=False).detach()


def attack_serve():
    results = {f"serve {name}": serve("proxy", fd) for name, fd in odd_descriptors()}
    results["serve a stream for names"] = serve("dns", listening().fileno())
    results["serve of the broker's loopback"] = serve("loopback", listening().fileno())
    results["serve without a descriptor"] = serve("proxy")
    results["serve 200 at once"] = serve("proxy", *[os.open("/dev/null", os.O_RDONLY) for _ in range(200)])
    many = [listening() for _ in range(1000)]
    answers = [serve("proxy", end.fileno()) for end in many]
    results["serve 1000"] = answers.count("taken")
    # Calls that nobody reads the answers of, each with descriptors.
    for _ in range(100):
        end = socket.socket(socket.AF_UNIX)
        end.setblocking(False)
        try:
            end.connect(os.environ["MCPCRED_SOCK"])
            socket.send_fds(end, [b'{"method":"io.mcpcred.Session.Serve","par'], [many[0].fileno()] * 100)
        except OSError:
            pass
        many.append(end)
    return results


def attack_control(mcpcred):
    results = {}
    directory = os.path.dirname(os.environ["MCPCRED_SOCK"])
    results["other sessions"] = [name for name in os.listdir(os.path.dirname(directory)) if name != os.path.basename(directory)]
    results["control socket"] = os.path.exists(os.path.join(os.path.dirname(os.path.dirname(directory)), "broker.sock"))
    for method in ("OpenSession", "ListSessions", "GetStatus", "RevokeSession", "AddSecret", "Shutdown"):
        results[f"call {method}"] = call("io.mcpcred.Broker." + method, {})
    for words in (["status"], ["sessions"], ["list"], ["exec", "echo", "--", "true"], ["exec", "echo", "--sandbox", "--", "true"]):
        done = subprocess.run([mcpcred, *words], capture_output=True, text=True, timeout=60, check=False)
        results["mcpcred " + " ".join(words)] = done.returncode
    results["descriptors"] = sorted(name for name in os.listdir("/proc/self/fd") if os.path.lexists("/proc/self/fd/" + name))
    results["environment"] = sorted(os.environ)
    return results


print(json.dumps(attack_serve() if sys.argv[1] == "serve" else attack_control(sys.argv[2])))
