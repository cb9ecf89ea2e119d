"""The file behind a journal."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from execd.errors import StorageFull
from execd.service.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool")
    yield made
    made.remove()
    made.seal()


def test_the_file_is_there_from_the_first_write_on_and_private(spool: Spool, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []
    spool.append(b"x")
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("sealed", [False, True])
def test_what_was_written_is_read_anywhere(spool: Spool, sealed: bool) -> None:
    assert [spool.append(data) for data in (b"one", b"", b"three")] == [0, 3, 3]
    if sealed:
        spool.seal()
    assert (spool.read(0, 3), spool.read(3, 5), spool.read(2, 2), spool.read(8, 5)) == (b"one", b"three", b"et", b"")
    assert spool.size == 8


def test_it_can_be_written_after_it_was_sealed(spool: Spool) -> None:
    spool.append(b"one")
    spool.seal()
    spool.seal()
    assert spool.append(b"two") == 3
    assert spool.read(0, 6) == b"onetwo"


@pytest.mark.parametrize("sealed", [False, True])
def test_what_was_removed_can_be_read_until_it_is_sealed(spool: Spool, tmp_path: Path, sealed: bool) -> None:
    spool.append(b"x")
    if sealed:
        spool.seal()
    spool.remove()
    spool.remove()
    assert list(tmp_path.iterdir()) == []
    assert spool.read(0, 1) == b"x"
    spool.seal()
    with pytest.raises(FileNotFoundError):
        spool.read(0, 1)


def test_a_folder_that_is_gone_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageFull, match="No such file or directory"):
        Spool(tmp_path / "gone" / "spool").append(b"x")


@pytest.fixture
def no_file_above_1000_bytes() -> Iterator[None]:
    # RLIMIT_FSIZE makes a write stop short, and the next one fail, as a full disk does.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.usefixtures("no_file_above_1000_bytes")
def test_a_write_that_stopped_short_added_nothing(spool: Spool) -> None:
    spool.append(b"a" * 600)
    with pytest.raises(StorageFull, match="File too large"):
        spool.append(b"b" * 600)
    assert spool.size == 600
    assert spool.append(b"c" * 400) == 600
    assert spool.read(0, 1000) == b"a" * 600 + b"c" * 400


def test_it_keeps_one_descriptor_at_most(spool: Spool) -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = descriptors()
    for _ in range(9):
        spool.append(b"x")
        spool.read(0, 1)
    assert descriptors() == before + 1
    spool.seal()
    spool.read(0, 1)
    assert descriptors() == before
