"""What becomes of runs and sandboxes when a part of the service is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.isolation.eventually import eventually
from tests.live.reading import SUCCEEDED, end_of, is_a, running
from tests.running_service import running_service
from tests.security.houses import KINDS, SECRET, SECRETS, House, Kind, Sandbox, arguments, everybody, house
from tests.security.test_warden import zygote

WAIT = "print('begun', flush=True)\nimport time; time.sleep(1000)"


@pytest.fixture(params=KINDS, ids=str)
def own(request: pytest.FixtureRequest) -> Iterator[House]:
    """A house of the test's own, which may be hurt."""
    with house(request.param, warden_patience=2) as made:
        yield made


def inside(where: House) -> set[int]:
    """The processes that have to do with this house, the service itself not counted."""
    name = str(where.service.data_dir)
    found = {pid for pid in everybody() if any(name in word for word in arguments(pid))}
    return {pid for pid in found | _below(found) if pid != where.service.process.pid and _lives(pid)}


def _below(found: set[int]) -> set[int]:
    parents = {pid: _parent(pid) for pid in everybody()}
    members = set(found)
    while more := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= more
    return members


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_of_the_zygote(own: House) -> None:
    own.default.printed("kept = 1")
    os.kill(zygote(own), signal.SIGKILL)
    assert own.default.printed("print(kept)") == "1\n"
    other = own.new_sandbox()
    assert other.printed("print(2)") == "2\n"


def test_of_the_warden(own: House) -> None:
    other = own.new_sandbox()
    other.printed("1")
    first = own.warden
    with running(own.client, WAIT) as stream:
        stream.until(is_a("stdout"))
        os.kill(first, signal.SIGKILL)
        assert end_of([e for e in stream.rest() if e["type"] != "ping"]) == ("failed", "sandbox_lost")
    assert own.client.get(f"/v1/sandboxes/{other.id}").status_code == 410
    assert own.default.printed("print(3)") == "3\n"
    assert own.warden != first
    assert '"event": "warden_lost"' in own.service.log_file.read_text()
    assert own.new_sandbox().printed("print(4)") == "4\n"


def test_of_a_holder(own: House) -> None:
    if own.kind.mode != "bwrap":
        pytest.skip("there is no holder")
    with running(own.client, WAIT) as stream:
        stream.until(is_a("stdout"))
        [holder] = [pid for pid in _below({own.warden}) if arguments(pid)[:2] == ["sleep", "infinity"]]
        os.kill(holder, signal.SIGKILL)
        assert end_of([e for e in stream.rest() if e["type"] != "ping"]) == ("failed", "sandbox_lost")
    assert own.default.said("cat kept || echo none; echo yes > kept") != ""
    assert own.default.printed("print(open('kept').read())").strip() == "yes"


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_of_the_service(kind: Kind) -> None:
    with house(kind, warden_patience=1) as own:
        with running(own.client, WAIT) as stream:
            stream.until(is_a("stdout"))
            left = inside(own)
            assert own.warden in left
            own.service.stop(signal.SIGKILL)
            with pytest.raises(httpx.RemoteProtocolError):
                stream.rest()
        eventually(lambda: not [pid for pid in left if _lives(pid)])
        assert not inside(own)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_of_the_service_with_a_new_one_at_once(kind: Kind) -> None:
    with house(kind, warden_patience=60) as own:
        other = own.new_sandbox()
        other.said("mkdir -p a/b; touch a/b/c; chmod 000 a/b a")
        warden = own.warden
        own.service.stop(signal.SIGKILL)
        with (
            running_service(
                own.folder, kind.user, variables=dict.fromkeys(SECRETS, SECRET), isolation=kind.mode
            ) as service,
            service.client() as client,
        ):
            again = House(kind, service, client, own.folder)
            assert again.warden == warden
            assert client.get(f"/v1/sandboxes/{other.id}").json()["status"] == "running"
            # Walls are as they were: what the next service shows of it is what it may see itself.
            left = Sandbox(again, other.id)
            assert "Permission denied" in left.said("ls a/b || true")
            assert SECRET not in left.said("env")
            left.delete()
            assert not left.workspace.exists()
            assert client.get(f"/v1/sandboxes/{other.id}").status_code == 404
            assert end_of(again.default.run("1")) == SUCCEEDED
        assert not inside(own)
