"""The room of a workspace, and memory where there are no control groups: what nothing but a watchdog holds, and what
memory of a size does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.waiting import eventually
from tests.running_service import RunningService, running_service
from tests.walled.sandbox import Walled, walled

MIB = 2**20
FILL = "for i in 1 2 3 4 5 6; do head -c 5000000 /dev/zero > /workspace/$i || exit 9; done; echo done"


@pytest.fixture(params=["root", "plain"])
def user(request: pytest.FixtureRequest, folder: Path) -> int | None:
    """Whose service it is: ours, or that of a user who may do nothing in particular."""
    if request.param == "root":
        return None
    if os.geteuid() != 0:
        pytest.skip("only root can start another user's service")
    os.chown(folder, 65534, 65534)
    return 65534


@pytest.fixture
def in_memory(folder: Path, user: int | None) -> Iterator[RunningService]:
    """A service that keeps small workspaces in memory."""
    with running_service(
        folder, user, isolation="bwrap", sandbox_workspace_size=20 * MIB, sandbox_workspace_memory=64 * MIB
    ) as running:
        yield running


def test_a_workspace_in_memory_has_its_size_and_no_more(in_memory: RunningService) -> None:
    with walled(in_memory, memory_mb=1024, disk_mb=512) as sandbox:
        told = sandbox.client.get("/v1/capabilities").json()["limits"]["workspace_size"]
        assert told == f"tmpfs up to {64 * MIB} bytes, watchdog beyond"
        ended = sandbox.sh(FILL)
        assert (ended.code, "No space left on device" in ended.err) == (9, True)
        refused = sandbox.write("/workspace/more", bytes(10 * MIB))
        assert (refused.status_code, "no room" in refused.text) == (507, True), refused.text
        assert sandbox.sh("rm /workspace/*; id -un; stat -c %U /workspace").out.split() == ["user", "user"]
        assert sandbox.write("/workspace/a/file", b"text").status_code == 200
        assert sandbox.sh("cat /workspace/a/file; ln -s a/file /workspace/link").out == "text"
        [reading] = sandbox.client.get(f"{sandbox.base}/metrics").json()
        assert reading["disk_total_bytes"] == 20 * MIB
        copy = Walled(in_memory, sandbox.client.post(f"{sandbox.base}/fork").raise_for_status().json())
        try:
            assert copy.sh("cat link; echo more >> a/file; stat -c %U a/file").out == "textuser\n"
        finally:
            copy.close()
        assert sandbox.sh("cat a/file").out == "text"


@pytest.fixture
def watched(folder: Path, user: int | None) -> Iterator[RunningService]:
    """A service whose workspaces are looked at."""
    with running_service(folder, user, isolation="bwrap", sandbox_workspace_size=20 * MIB) as running:
        yield running


def test_a_workspace_that_is_full_takes_no_more_until_there_is_room(watched: RunningService) -> None:
    with walled(watched, memory_mb=1024) as sandbox:
        assert sandbox.client.get("/v1/capabilities").json()["limits"]["workspace_size"] == "watchdog"
        assert "done" in sandbox.sh(FILL).out
        eventually(lambda: sandbox.write("/workspace/more", b"more").status_code == 507)
        late = "sleep 3; echo x > /workspace/late; echo $?"
        assert sandbox.sh(f"trap '' XFSZ; {late}").err.strip().endswith("File too large")
        lifted = sandbox.sh(f"sleep 1; ulimit -S -f unlimited; {late}")
        assert "0" not in lifted.out.split()
        assert sandbox.sh("rm /workspace/?").code == 0
        eventually(lambda: sandbox.write("/workspace/more", b"more").status_code == 200)
        assert sandbox.sh(late).out == "0\n"


def test_memory_is_watched_where_nothing_holds_it(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can start another user's service")
    os.chown(folder, 65534, 65534)
    with (
        running_service(folder, 65534, isolation="bwrap", sandbox_memory=300 * MIB) as service,
        walled(service, memory_mb=1024) as sandbox,
    ):
        if "watchdog" not in sandbox.client.get("/v1/capabilities").json()["limits"]["memory"]:
            pytest.skip("control groups hold it here")
        hog = 'python3 -c "import time; b = bytearray(150 * 2**20); time.sleep(8)"'
        ended = sandbox.sh(
            f"{hog} & a=$!; {hog} & b=$!; {hog} & c=$!; wait $a; echo $?; wait $b; echo $?; wait $c; echo $?"
        )
        assert sorted(ended.out.split()) != ["0", "0", "0"]
        assert "137" in ended.out.split()
        assert sandbox.sh("echo lives").out == "lives\n"
