"""Network `full`: what its parts say, and what a small world of namespaces shows."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path

import pytest

from execd.isolation import uplink
from execd.isolation.netlink import Route, route_message
from execd.isolation.ranges import SPECIAL
from execd.isolation.slirp import raise_uplink
from execd.isolation.uplink import UplinkFailed, UplinkPlan, choose_subnet, routed_networks, uplink_missing
from tests.isolation.small_world import PUBLIC
from tests.namespaces import can_unshare

PLAN = UplinkPlan("198.18.0.0/25", ("8.8.4.4", "2600::5"))

TABLE = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_the_machine_s_routes() -> None:
    assert routed_networks(TABLE) == [IPv4Network("0.0.0.0/0"), IPv4Network("192.0.2.0/24")]


@pytest.mark.parametrize(
    ("routed", "subnet"),
    [
        ([], "198.18.0.0/25"),
        (["0.0.0.0/0", "10.0.0.0/8"], "198.18.0.0/25"),
        (["198.18.0.0/16"], "198.19.0.0/25"),
        (["198.18.0.64/32"], "198.18.0.128/25"),
    ],
)
def test_the_subnet_is_none_that_the_machine_knows(routed: list[str], subnet: str) -> None:
    assert choose_subnet(map(IPv4Network, routed)) == subnet


def test_without_a_subnet_there_is_no_uplink() -> None:
    with pytest.raises(UplinkFailed, match="no subnet left"):
        choose_subnet([IPv4Network("198.18.0.0/15")])


def goes(address: str) -> bool:
    """Whether the routes of the plan leave a way to the address, the most special route deciding."""
    target = ip_address(address)
    default, on_link = Route(ip_network("0.0.0.0/0"), 7), Route(ip_network(PLAN.subnet), 7)
    routes = [route for route in (default, on_link, *PLAN.routes(7)) if target in route.network]
    return max(routes, key=lambda route: route.network.prefixlen).device is not None


def test_what_is_closed_and_what_is_not() -> None:
    closed = [str(network[1 if network.num_addresses > 1 else 0]) for network in SPECIAL if not network.is_loopback]
    assert not any(map(goes, [*closed, "169.254.169.254", "8.8.4.4", "2600::1", "198.18.0.100", "198.18.0.4"]))
    assert all(map(goes, ["8.8.8.8", PUBLIC, str(PLAN.gateway), str(PLAN.resolver)]))


def test_the_command() -> None:
    argv = PLAN.argv("/usr/bin/slirp4netns", 3, 4, 5, 6)
    assert {"--disable-host-loopback", "--cidr=198.18.0.0/25", "--userns-path=/proc/self/fd/4"} <= set(argv)
    assert argv[-2:] == ["/proc/self/fd/3", "tap0"]
    assert not any(word.startswith(("--userns", "--enable-ipv6")) for word in PLAN.argv("slirp4netns", 3, None, 5, 6))
    assert PLAN.resolv_conf() == "nameserver 198.18.0.3\n"


def test_a_route_s_message() -> None:
    # As `ip route replace unreachable 10.0.0.0/8 proto static` sends it.
    message = route_message(Route(ip_network("10.0.0.0/8")), 1)
    assert message[:16].hex() == "24000000180005050100000000000000"
    assert message[16:].hex() == "0208000" + "0fe0400070000000008000100" + "0a000000"


def test_where_the_program_is_missing_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "needs slirp4netns, which is not installed" in (uplink_missing() or "")
    with pytest.raises(UplinkFailed, match="not installed"):
        raise_uplink(os.getpid(), PLAN)


def test_where_there_are_no_tunnels_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "slirp4netns").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(uplink, "TUNNELS", str(tmp_path / "tun"))
    assert "does not have" in (uplink_missing() or "")


NEEDED = ["slirp4netns", "ip", "nsenter", "setpriv"]
able = pytest.mark.skipif(
    not (all(map(shutil.which, NEEDED)) and can_unshare() and uplink_missing() is None),
    reason=f"this machine has no namespaces, no tunnels, or not all of {', '.join(NEEDED)}",
)
by_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start an uplink for another user")


def small_world(tmp_path: Path, *unshare: str, user: str = "") -> dict[str, object]:
    """What a program in a sandbox reaches in there, and how."""
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 10.9.8.7\n")
    command = ["unshare", *unshare, sys.executable, "-m", "tests.isolation.small_world", *user.split()]
    found: dict[str, object] = json.loads(run(command, RESOLV_CONF=str(resolv_conf)))
    return found


def run(command: list[str], code: int = 0, **env: str) -> str:
    """Run a program, as if in the root of the repository, and give what it prints."""
    root, env = Path(__file__).parents[2], {**os.environ, **env}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


@able
@pytest.mark.parametrize(
    ("unshare", "user"), [pytest.param("-nm", "4321", marks=by_root, id="root"), pytest.param("-Urnm", "", id="user")]
)
def test_only_what_is_public_is_reached_whatever_a_program_tries(tmp_path: Path, unshare: str, user: str) -> None:
    found = small_world(tmp_path, unshare, user=user)
    reached = {(host, port) for host, port, _, _ in found["reached"]}  # type: ignore[attr-defined]
    assert reached == {(PUBLIC, 53), (PUBLIC, 80), (found["resolver"], 53)}
    assert found["uid"] == int(user or 0)


# A sandbox and its uplink, and then what a test wants.
SETTING = """
import contextlib, os, subprocess, sys
from execd.isolation.slirp import raise_uplink
from execd.isolation.uplink import UplinkFailed, UplinkPlan
def sandbox(*inner):
    command = ["unshare", "-Urn", *inner, "sh", "-c", "echo up; exec sleep 1000"]
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
    stack.callback(process.kill)
    assert process.stdout.readline() == b"up\\n"
    return process.pid
plan = UplinkPlan("198.18.0.0/25")
with contextlib.ExitStack() as stack:
"""


def scene(code: str, ends: int = 0) -> str:
    """What a scene of one line prints."""
    return run(["unshare", "-Urn", sys.executable, "-c", f"{SETTING}    {code}"], ends).strip()


@able
def test_the_sandbox_may_be_in_a_user_namespace_without_power_over_its_network() -> None:
    assert (
        scene("up = raise_uplink(sandbox('unshare', '-Ur'), plan); up.close(); up.close(); print('closed')") == "closed"
    )


@able
def test_it_goes_with_the_process_that_started_it() -> None:
    pids = scene("pid = sandbox(); print(pid, raise_uplink(pid, plan).pid, flush=True); os.kill(os.getpid(), 9)", -9)
    sandbox, uplink = map(int, pids.split())
    os.kill(sandbox, signal.SIGKILL)
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(uplink)
        ended, _, _ = select.select([descriptor], [], [], 10)
        os.close(descriptor)
        assert ended


@able
@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("raise_uplink(sandbox(), UplinkPlan('198.18.0.0/30'))", "slirp4netns failed: "),
        ("raise_uplink(2**22, plan)", "the sandbox's network cannot be made: "),
    ],
)
def test_what_went_wrong_is_said_and_nothing_is_left(call: str, said: str) -> None:
    look = "; print(len(os.listdir('/proc/self/fd')))"
    before, *told, after = scene(
        f"pass{look}\n    try: {call}\n    except UplinkFailed as error: print(str(error).splitlines()[0])\n"
        f"    stack.close(){look}"
    ).splitlines()
    assert told[0].startswith(said)
    assert before == after
