"""Network `full`, through the whole service: raised before anything runs, closed where it must be, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from execd.isolation.uplink import uplink_missing
from tests.live.waiting import eventually
from tests.running_service import RunningService, running_service
from tests.walled.sandbox import walled

needs_uplinks = pytest.mark.skipif(uplink_missing() is not None, reason=f"no uplinks here: {uplink_missing()}")

FIRST = "cat /etc/resolv.conf; ls /sys/class/net 2>/dev/null; cut -f1 /proc/net/route | grep -c tap0"


def uplinks(folder: Path) -> set[int]:
    """The uplinks that the warden of this folder has."""
    found = set()
    for process in psutil.process_iter(["name", "ppid"]):
        if process.info["name"] == "slirp4netns":
            try:
                if any(str(folder) in word for word in psutil.Process(process.info["ppid"]).cmdline()):
                    found.add(process.pid)
            except psutil.NoSuchProcess:
                continue
    return found


@pytest.fixture
def service(folder: Path) -> Iterator[RunningService]:
    """One whose sandboxes may have network full."""
    with running_service(folder, isolation="bwrap", network_allowed=["full"], warden_patience=0.5) as running:
        yield running


@needs_uplinks
def test_it_is_there_before_anything_runs_and_goes_with_the_sandbox(service: RunningService, folder: Path) -> None:
    before = set(psutil.pids())
    with walled(service, network={"mode": "full"}) as one, walled(service) as other:
        assert (one.shown["network"], other.shown["network"]) == ({"mode": "full"}, {"mode": "none"})
        assert one.sh(FIRST).out.splitlines()[0] == "nameserver 198.18.0.3"
        assert int(one.sh(FIRST).out.splitlines()[-1]) > 0
        assert other.sh("cut -f1 /proc/net/route").out.split() == ["Iface"]
        [uplink] = uplinks(folder)
        owner = (folder / "data" / "sandboxes" / one.id / "workspace").stat().st_uid
        assert psutil.Process(uplink).uids().real == owner
    assert not uplinks(folder)
    assert not any(_is_uplink(pid) for pid in set(psutil.pids()) - before)


@needs_uplinks
def test_neither_the_service_nor_the_machine_is_reached(service: RunningService) -> None:
    port = service.authority.rpartition(":")[2]
    own = [entry.address for entries in psutil.net_if_addrs().values() for entry in entries if entry.family == 2]
    code = (
        "import socket\n"
        "def reaches(host):\n"
        "    try: socket.create_connection((host, PORT), 2).close(); return True\n"
        "    except OSError: return False\n"
        "print([host for host in HOSTS if reaches(host)])"
    )
    hosts = [*own, "198.18.0.2", "10.0.2.2", "0.0.0.0"]
    with walled(service, network={"mode": "full"}) as sandbox:
        assert sandbox.python(code.replace("PORT", port).replace("HOSTS", str(hosts))).strip() == "[]"


@needs_uplinks
def test_it_goes_when_the_sandbox_is_lost_and_when_the_service_is(service: RunningService, folder: Path) -> None:
    with walled(service, network={"mode": "full"}) as one, walled(service, network={"mode": "full"}) as other:
        kept = uplinks(folder)
        assert len(kept) == 2
        first = one.sh("sleep 1000 >/dev/null 2>&1 & echo").code
        assert first == 0
        os.kill(_init_of(one.id, folder), signal.SIGKILL)
        eventually(lambda: len(uplinks(folder)) == 1)
        assert other.sh("true").code == 0
        service.stop(signal.SIGKILL)
        eventually(lambda: not any(map(_is_uplink, kept)))


@needs_uplinks
def test_a_paused_sandbox_keeps_it(service: RunningService, folder: Path) -> None:
    with walled(service, network={"mode": "full"}) as sandbox:
        assert sandbox.client.post(f"{sandbox.base}/hibernate").status_code == 200
        assert len(uplinks(folder)) == 1
        assert sandbox.client.post(f"{sandbox.base}/resume").status_code == 200
        assert sandbox.sh("true").code == 0


@needs_uplinks
def test_one_that_fails_is_told_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = folder / "bin"
    broken.mkdir()
    (broken / "slirp4netns").write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
    (broken / "slirp4netns").chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken}:{os.environ['PATH']}")
    with running_service(folder, isolation="bwrap", network_allowed=["full"]) as service, service.client() as client:
        answer = client.post("/v1/sandboxes", json={"network": {"mode": "full"}})
        assert answer.status_code >= 500
        assert "slirp4netns failed: out of order" in answer.text
        assert client.get("/v1/sandboxes").json() == []
        [folder_of_sandboxes] = [path for path in (folder / "data").iterdir() if path.name == "sandboxes"]
        assert list(folder_of_sandboxes.iterdir()) == []
        with walled(service) as sandbox:
            assert sandbox.sh("true").code == 0


def test_where_it_cannot_be_it_is_not_offered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = folder / "bin"
    programs.mkdir()
    for program in ("bwrap", "env", "sleep", "sh", "unshare"):
        (programs / program).symlink_to(shutil.which(program) or "")
    monkeypatch.setenv("PATH", str(programs))
    with running_service(folder, isolation="bwrap", network_allowed=["full", "proxy"]) as service:
        known = httpx.get(f"{service.url}/v1/capabilities").json()
        assert known["networks"] == ["none", "proxy"]
        answer = httpx.post(f"{service.url}/v1/sandboxes", json={"network": {"mode": "full"}})
        assert (answer.status_code, "expected one of none, proxy" in answer.text) == (400, True)
    with (
        pytest.raises(AssertionError, match="EXECD_NETWORK=full is not to be had: network full needs slirp4netns"),
        running_service(folder, isolation="bwrap", network="full"),
    ):
        pass


# Becomes a plain user's service, on a machine whose tunnels are anybody's, as on most.
PLAIN = """
import os, sys
from execd.isolation.slirp import _own_devices
_own_devices()
os.setgroups([]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
os.execv(sys.executable, [sys.executable, "-m", "execd", *sys.argv[1:]])
"""
by_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start another user's service")


@by_root
@needs_uplinks
def test_a_plain_user_s_service_has_it_too(folder: Path) -> None:
    os.chown(folder, 65534, 65534)
    with running_service(folder, 0, program=("-c", PLAIN), isolation="bwrap", network="full") as service:
        with walled(service) as sandbox:
            assert sandbox.sh(FIRST).out.splitlines()[0] == "nameserver 198.18.0.3"
            [uplink] = uplinks(folder)
            assert psutil.Process(uplink).uids().real == 65534
        assert not uplinks(folder)


@by_root
@needs_uplinks
def test_a_user_who_may_not_use_tunnels_is_told(folder: Path) -> None:
    if Path("/dev/net/tun").stat().st_mode & 0o006 == 0o006:
        pytest.skip("anybody may use them here")
    os.chown(folder, 65534, 65534)
    with (
        pytest.raises(AssertionError, match="which the user of this service may not use"),
        running_service(folder, 65534, isolation="bwrap", network="full"),
    ):
        pass


def _is_uplink(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.name() == "slirp4netns" and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _init_of(sandbox_id: str, folder: Path) -> int:
    """The first process of a sandbox, by what bubblewrap was told of it."""
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "bwrap" and any(sandbox_id in word for word in process.info["cmdline"] or ()):
            return int(process.children()[0].pid)
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "sleep" and _sees(process.pid, folder / "data" / "sandboxes" / sandbox_id):
            return process.pid
    raise AssertionError("there is no such sandbox")


def _sees(pid: int, folder: Path) -> bool:
    try:
        mine = (folder / "workspace").stat()
        return os.path.samestat(Path(f"/proc/{pid}/root/workspace").stat(), mine) and _is_first(pid)
    except OSError:
        return False


def _is_first(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1] == "1"
