"""A machine, its neighbour and a sandbox with an uplink, in namespaces of their own: run by test_uplink.py.

The machine has services on its loopback interface and on its addresses. The neighbour has a private address, a public
one and a resolver. Writes, as JSON, what a program without any power reaches from inside the sandbox, and how.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from execd.isolation.slirp import raise_uplink
from execd.isolation.uplink import UplinkPlan, choose_subnet, routed_networks

MACHINE, NEIGHBOUR, PUBLIC, OWN_PUBLIC = "10.9.8.1", "10.9.8.7", "93.184.216.34", "93.184.216.1"

# The interpreter of these tests may lie where only root finds it.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
POWERLESS = "setpriv --bounding-set=-all --inh-caps=-all --no-new-privs"

# Answers every TCP connection and datagram, at the addresses and ports given, with its name; says when it listens.
SERVE = """
import socket, sys, threading
name, hosts, ports = sys.argv[1:]
def tcp(s):
    while True:
        c, _ = s.accept(); c.send(name.encode()); c.close()
def udp(s):
    while True:
        _, peer = s.recvfrom(100); s.sendto(name.encode(), peer)
for address in [(host, int(port)) for host in hosts.split() for port in ports.split()]:
    s = socket.create_server(address, backlog=100); threading.Thread(target=tcp, args=[s]).start()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(address)
    threading.Thread(target=udp, args=[u]).start()
print("up", flush=True)
"""

# Tries each address and port in every way that leads out; a connection alone proves nothing, an answer does.
PROBE = """
import concurrent.futures as f, itertools, json, socket, sys
def plain(s): pass
def by_device(s): s.setsockopt(socket.SOL_SOCKET, 25, b"tap0")
index = socket.htonl(socket.if_nametoindex("tap0")).to_bytes(4, sys.byteorder)
def by_index(s): s.setsockopt(socket.IPPROTO_IP, 50, index)
def unrouted(s): s.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
def tried(target, kind, way):
    (host, port), name = target, f"{kind.name.removeprefix('SOCK_')} {way.__name__}"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as s:
        s.settimeout(1.5)
        try:
            way(s); s.connect((host, port))
            if kind == socket.SOCK_DGRAM: s.send(b"?")
            return [host, port, name, s.recv(100).decode()]
        except OSError as error:
            return [host, port, name, ""]
ways, kinds = (plain, by_device, by_index, unrouted), (socket.SOCK_STREAM, socket.SOCK_DGRAM)
cases = itertools.product(json.loads(sys.argv[1]), kinds, ways)
with f.ThreadPoolExecutor(40) as pool:
    print(json.dumps([found for found in pool.map(lambda case: tried(*case), cases) if found[-1]]))
"""


def run(*argv: str) -> str:
    """Run a program to its end."""
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def running(*argv: str) -> Iterator[subprocess.Popen[str]]:
    """A program that has said that it is up."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def lay_lines(neighbour: int) -> None:
    """Connect the machine to its neighbour, which is its way to the world."""
    for command in (
        "ip link set lo up",
        f"ip address add {OWN_PUBLIC}/32 dev lo",
        f"ip link add out type veth peer name machine netns {neighbour}",
        f"ip address add {MACHINE}/24 dev out",
        "ip link set out up",
        f"ip route add default via {NEIGHBOUR}",
        f"nsenter -t {neighbour} -n ip address add {NEIGHBOUR}/24 dev machine",
        f"nsenter -t {neighbour} -n ip address add {PUBLIC}/32 dev machine",
        f"nsenter -t {neighbour} -n ip link set machine up",
        f"nsenter -t {neighbour} -n ip link set lo up",
    ):
        run(*command.split())


def main() -> None:
    """Build it, look, and take it down. The argument is the user that the sandbox belongs to, or nothing."""
    user = int(sys.argv[1]) if len(sys.argv) > 1 else None
    as_user = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    with ExitStack() as stack:
        neighbour = stack.enter_context(running("unshare", "-n", "sh", "-c", "echo up; exec sleep 1000"))
        lay_lines(neighbour.pid)
        run("mount", "--bind", os.environ["RESOLV_CONF"], "/etc/resolv.conf")
        serve = [sys.executable, "-c", SERVE]
        hosts = f"127.0.0.1 {NEIGHBOUR} {PUBLIC}"
        stack.enter_context(running("nsenter", "-t", str(neighbour.pid), "-n", *serve, "neighbour", hosts, "53 80"))
        stack.enter_context(running(*serve, "machine", f"127.0.0.1 {MACHINE} {OWN_PUBLIC}", "53 80 9000"))
        routed = routed_networks(Path("/proc/net/route").read_text())
        plan = UplinkPlan(choose_subnet(routed), (MACHINE, OWN_PUBLIC))
        program = f'ip link set lo up; echo up; read go; exec {POWERLESS} {PYTHON} -c "$1" "$2"'
        inside = ["unshare", "-Urn", "sh", "-c", program, "sh", PROBE, json.dumps(targets(plan))]
        sandbox = stack.enter_context(running(*as_user, *inside))
        uplink = raise_uplink(sandbox.pid, plan, None if user is None else (user, user))
        stack.callback(uplink.close)
        reached = json.loads(sandbox.communicate("go\n")[0])
        json.dump({"reached": reached, "uid": uid_of(uplink.pid), "resolver": str(plan.resolver)}, sys.stdout)


def targets(plan: UplinkPlan) -> list[tuple[str, int]]:
    """What is tried: the machine, its neighbour, special addresses, and the subnet of the uplink."""
    hosts = ["127.0.0.1", "0.0.0.0", MACHINE, OWN_PUBLIC, NEIGHBOUR, PUBLIC, "169.254.169.254", "255.255.255.255"]
    near = [str(plan.gateway), str(plan.resolver), str(plan.resolver + 1), str(plan.gateway + 98)]
    return [(host, port) for host in (*hosts, *near, "fe80::2", f"::ffff:{NEIGHBOUR}") for port in (53, 80, 9000)]


def uid_of(pid: int) -> int:
    """The user that a process runs as."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Uid:")))


if __name__ == "__main__":
    main()
