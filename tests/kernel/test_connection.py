"""Where a kernel is reached."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from execd.kernel import connection as module
from execd.kernel.connection import Connection


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder with a short path, as the service's own."""
    folder = Path(tempfile.mkdtemp(prefix="execd-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def test_only_this_user_can_enter_and_read(runtime: Path) -> None:
    made = Connection.make(runtime)
    assert made.folder.parent == runtime
    assert made.folder.stat().st_mode & 0o777 == 0o700
    assert made.file.stat().st_mode & 0o077 == 0


def test_the_file_says_what_we_connect_to(runtime: Path) -> None:
    made = Connection.make(runtime)
    told = json.loads(made.file.read_text())
    assert (told["transport"], told["key"]) == ("ipc", made.key.decode())
    for channel in ("shell", "iopub", "stdin", "control"):
        assert made.endpoint(channel) == f"ipc://{told['ip']}-{told[f'{channel}_port']}"


def test_two_kernels_share_nothing(runtime: Path) -> None:
    one, other = Connection.make(runtime), Connection.make(runtime)
    assert one.folder != other.folder
    assert one.key != other.key
    assert len(one.key) == 32


def folder_of_length(runtime: Path, length: int, letter: str = "d") -> Path:
    """A folder below the runtime folder whose kernels' longest socket path has `length` bytes."""
    inside = len(b"/kxxxxxxxx/s-1")
    missing = length - inside - len(str(runtime)) - 1
    folder = runtime / (letter * (missing // len(letter.encode())))
    folder.mkdir()
    return folder


def test_the_longest_path_that_fits_is_taken(runtime: Path) -> None:
    made = Connection.make(folder_of_length(runtime, 107))
    assert len(made.endpoint("shell").removeprefix("ipc://")) == 107


@pytest.mark.parametrize(("length", "letter"), [(108, "d"), (110, "é"), (140, "é")])
def test_a_path_that_is_too_long_is_refused_and_nothing_left(runtime: Path, length: int, letter: str) -> None:
    folder = folder_of_length(runtime, length, letter)
    with pytest.raises(OSError, match="too long for unix sockets"):
        Connection.make(folder)
    assert list(folder.iterdir()) == []


def test_a_file_that_cannot_be_written_leaves_nothing(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_connection_file", full)
    with pytest.raises(OSError, match="No space left"):
        Connection.make(runtime)
    assert list(runtime.iterdir()) == []


def test_removal_takes_everything_and_may_be_repeated(runtime: Path) -> None:
    made = Connection.make(runtime)
    (made.folder / "s-1").touch()
    made.remove()
    made.remove()
    assert list(runtime.iterdir()) == []


def test_a_runtime_folder_that_is_not_there_is_an_error(runtime: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Connection.make(runtime / "gone")
