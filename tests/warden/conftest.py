"""A warden for each test, and a check that nothing of it is left."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from execd.isolation.plan import Mode, Plan
from execd.warden.client import Enclosure, Warden
from tests.warden.tools import Cases, descriptors, members, until


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a warden, with a short path that other users may pass."""
    with tempfile.TemporaryDirectory(prefix="execd-warden-test-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name)
        assert not list(Path("/sys/fs/cgroup").glob(f"**/execd-{zlib.crc32(name.encode()):08x}-*"))


@pytest.fixture
async def warden(folder: Path) -> AsyncIterator[Warden]:
    """A warden of the test's own, which lives for a minute without it."""
    reached = await Warden.reach(folder, 60)
    yield reached
    left = members(reached.pid)
    if not reached.lost.is_set():
        await reached.end()
    await until(lambda: not any(map(alive, {reached.pid, *left})))
    assert (folder / "warden.log").read_text() == ""


@pytest.fixture
async def enclosure(warden: Warden, tmp_path: Path) -> AsyncIterator[Enclosure]:
    """A sandbox without walls."""
    opened = await warden.open(Plan("sb_test", Mode.PROCESS, None, str(tmp_path), str(tmp_path)))
    yield opened
    await opened.close()


@pytest.fixture
def cases(enclosure: Enclosure, tmp_path: Path) -> Iterator[Cases]:
    """Starting things in it."""
    with Cases(enclosure, str(tmp_path)) as started:
        yield started


def alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """A client closes what it has opened."""
    before = descriptors()
    yield
    assert descriptors() <= before
