"""Paths as they are written, and what they lead to."""

from __future__ import annotations

import errno
import os
import pwd
import socket
import threading
from pathlib import Path

import pytest

from execd import errors
from execd.isolation.entry import reopen_folder
from execd.isolation.shown import kind_of, shown
from execd.service.paths import Paths, file_errors, translated
from tests.machine import MACHINE

VARIABLES = {"HOME": "/home/sandbox", "DATA": "/data", "NAME": "x y"}
OWN = pwd.getpwuid(0)


@pytest.fixture
def paths() -> Paths:
    return Paths(Path("/workspace"), lambda: VARIABLES)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("/etc/hosts", "/etc/hosts"),
        ("a/b", "/workspace/a/b"),
        ("./a", "/workspace/a"),
        ("~", "/home/sandbox"),
        ("~/a", "/home/sandbox/a"),
        ("a~", "/workspace/a~"),
        ("$DATA/a", "/data/a"),
        ("${DATA}a", "/dataa"),
        ("/x/$NAME", "/x/x y"),
        (f"~{OWN.pw_name}/a", f"{OWN.pw_dir}/a"),
        ("~nobody-of-this-name/a", "/workspace/~nobody-of-this-name/a"),
        ("routes/$id.tsx", "/workspace/routes/$id.tsx"),
        ("${id}", "/workspace/${id}"),
        ("cost$", "/workspace/cost$"),
        ("$1", "/workspace/$1"),
    ],
)
def test_what_is_meant(paths: Paths, given: str, meant: str) -> None:
    assert paths.resolve(given) == Path(meant)


def test_home_may_be_another(paths: Paths) -> None:
    assert paths.resolve("~/a", "/home/other") == Path("/home/other/a")


def test_without_a_home_the_tilde_is_a_name() -> None:
    assert Paths(Path("/w"), dict).resolve("~/a") == Path("/w/~/a")


@pytest.mark.parametrize(("given", "why"), [("", "got nothing"), ("a\0b", "NUL")])
def test_what_is_no_path(paths: Paths, given: str, why: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=f"dest: .*{why}"):
        paths.resolve(given, field="dest")


def test_names_that_are_not_utf_8_can_be_shown() -> None:
    assert shown(os.fsdecode(b"/a\xff")) == "/a\ufffd"


def test_a_regular_file_is_opened_through_symlinks(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    fd = MACHINE.open_regular(tmp_path / "link")
    try:
        assert os.read(fd, 100) == b"content"
    finally:
        os.close(fd)


@pytest.mark.parametrize("kind", ["directory", "FIFO", "socket", "character device"])
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "there"
    with socket.socket(socket.AF_UNIX) as listener:
        match kind:
            case "directory":
                path.mkdir()
            case "FIFO":
                os.mkfifo(path)
            case "socket":
                listener.bind(str(path))
            case _:
                path = Path("/dev/zero")
        with pytest.raises(errors.NotAFile, match=f"is a {kind}"):
            MACHINE.open_regular(path)


def test_the_writer_of_a_fifo_does_not_notice(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    opened = threading.Event()

    def write() -> None:
        os.close(os.open(fifo, os.O_WRONLY))
        opened.set()

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(errors.NotAFile):
        MACHINE.open_regular(fifo)
    assert not opened.is_set()
    os.close(os.open(fifo, os.O_RDONLY))
    writer.join()
    assert opened.is_set()


def test_a_folder_is_checked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with MACHINE.target(tmp_path) as found:
        os.close(reopen_folder(found, tmp_path))
    with MACHINE.target(tmp_path / "file") as found, pytest.raises(errors.NotADirectory, match="regular file"):
        reopen_folder(found, tmp_path / "file")


@pytest.mark.parametrize(
    ("number", "meaning"),
    [
        (errno.ENOENT, errors.FileNotFound),
        (errno.EISDIR, errors.NotAFile),
        (errno.ENOTDIR, errors.PathUnusable),
        (errno.ELOOP, errors.PathUnusable),
        (errno.ENAMETOOLONG, errors.PathUnusable),
        (errno.EACCES, errors.FileForbidden),
        (errno.EPERM, errors.FileForbidden),
        (errno.EROFS, errors.FileForbidden),
        (errno.ENOSPC, errors.FileDoesNotFit),
        (errno.EDQUOT, errors.FileDoesNotFit),
        (errno.EIO, errors.FileFailed),
    ],
)
def test_what_the_machine_says(number: int, meaning: type[errors.ExecdError]) -> None:
    found = translated(OSError(number, os.strerror(number)), "/a/b")
    assert type(found) is meaning
    assert "/a/b" in str(found)


def test_errors_name_the_path_that_was_asked_for(tmp_path: Path) -> None:
    asked = tmp_path / "a"
    with pytest.raises(errors.FileNotFound, match="/a'"), file_errors(asked):
        (tmp_path / "b").stat()


def test_a_symlink_loop_is_told(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(errors.PathUnusable, match="symbolic links"), file_errors(loop):
        MACHINE.open_regular(loop)


def test_kinds_have_names() -> None:
    assert kind_of(0o010644) == "FIFO"
    assert kind_of(0) == "special file"
