"""Where a kernel is reached."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

from execd.kernel.connection import Connection, Runtime, address_of


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder with a short path, as the service's own."""
    folder = Path(tempfile.mkdtemp(prefix="execd-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def test_only_this_user_can_enter_and_read(runtime: Path) -> None:
    made = Connection.make(Runtime(runtime, runtime))
    assert made.folder.parent == runtime
    assert made.folder.stat().st_mode & 0o777 == 0o700
    assert Path(made.file).stat().st_mode & 0o077 == 0


def bind(made: Connection, channel: str) -> socket.socket:
    """What a kernel does for a channel, as its connection file says."""
    told = json.loads(Path(made.file).read_text())
    made_socket = socket.socket(socket.AF_UNIX)
    made_socket.bind(f"{told['ip']}-{told[f'{channel}_port']}")
    made_socket.listen()
    return made_socket


def test_what_the_file_says_is_what_is_opened(runtime: Path) -> None:
    made = Connection.make(Runtime(runtime, runtime))
    told = json.loads(Path(made.file).read_text())
    assert (told["transport"], told["key"], told["signature_scheme"]) == ("ipc", made.key.decode(), "hmac-sha256")
    for channel in ("shell", "iopub", "stdin", "control"):
        assert not made.bound
        with bind(made, channel):
            fd = made.open_socket(channel)
            assert stat.S_ISSOCK(os.fstat(fd).st_mode)
            os.close(fd)
    assert made.bound


def test_a_kernel_elsewhere_is_told_its_own_paths(runtime: Path) -> None:
    made = Connection.make(Runtime(runtime, PurePath("/run/inside")))
    assert made.file == PurePath("/run/inside", made.folder.name, "connection.json")
    told = json.loads((made.folder / "connection.json").read_text())
    assert told["ip"] == f"/run/inside/{made.folder.name}/s"


@pytest.mark.parametrize("something", ["symlink", "file", "folder", "fifo"])
def test_what_is_no_socket_is_not_opened(runtime: Path, something: str) -> None:
    made = Connection.make(Runtime(runtime, runtime))
    place, bait = made.folder / "s-1", runtime / "bait"
    with socket.socket(socket.AF_UNIX) as ours:
        ours.bind(str(bait))
        make = {"symlink": lambda: place.symlink_to(bait), "file": place.touch, "folder": place.mkdir}
        make.get(something, lambda: os.mkfifo(place))()
        with pytest.raises(OSError, match="no socket"):
            made.open_socket("shell")


def test_an_address_stays_good_when_the_socket_is_replaced(runtime: Path) -> None:
    made = Connection.make(Runtime(runtime, runtime))
    with bind(made, "shell") as listener, socket.socket(socket.AF_UNIX) as client:
        fd = made.open_socket("shell")
        (made.folder / "s-1").rename(made.folder / "elsewhere")
        client.connect(address_of(fd).removeprefix("ipc://"))
        listener.accept()[0].close()
        os.close(fd)


def test_what_is_in_the_way_of_the_file_is_not_written_through(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, bait = runtime / "k", runtime / "bait"
    folder.mkdir()
    (folder / "connection.json").symlink_to(bait)
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: str(folder))
    with pytest.raises(FileExistsError):
        Connection.make(Runtime(runtime, runtime))
    assert not bait.exists()


def test_two_kernels_share_nothing(runtime: Path) -> None:
    one, other = Connection.make(Runtime(runtime, runtime)), Connection.make(Runtime(runtime, runtime))
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
    folder = folder_of_length(runtime, 107)
    made = Connection.make(Runtime(folder, folder))
    assert len(json.loads(Path(made.file).read_text())["ip"] + "-1") == 107


@pytest.mark.parametrize(("length", "letter"), [(108, "d"), (110, "é"), (140, "é")])
def test_a_path_that_is_too_long_is_refused_and_nothing_left(runtime: Path, length: int, letter: str) -> None:
    folder = folder_of_length(runtime, length, letter)
    with pytest.raises(OSError, match="too long for unix sockets"):
        Connection.make(Runtime(folder, folder))
    assert list(folder.iterdir()) == []


def test_a_file_that_cannot_be_written_leaves_nothing(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(OSError, match="No space left"):
        Connection.make(Runtime(runtime, runtime))
    assert list(runtime.iterdir()) == []


def test_removal_takes_everything_and_may_be_repeated(runtime: Path) -> None:
    made = Connection.make(Runtime(runtime, runtime))
    (made.folder / "s-1").touch()
    made.remove()
    made.remove()
    assert list(runtime.iterdir()) == []


def test_a_runtime_folder_that_is_not_there_is_an_error(runtime: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Connection.make(Runtime(runtime / "gone", runtime / "gone"))
