"""Nothing that a sandbox puts into its files leads the service out of them, whatever it is asked to do with them."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

from execd.errors import NotAFile, PathUnusable
from execd.service.directories import listed, searched
from execd.service.files import info_of
from execd.service.folder_watch import Change, FolderWatch
from execd.service.globs import Glob
from tests.machine import MACHINE
from tests.security.file_operations import HERE, OPERATIONS, REFUSED, attempt, open_descriptors
from tests.security.hostile import SECRET, World, exchanged, hostile_world, links_out

ROOT = os.geteuid() == 0
_ROUNDS = 60


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with hostile_world(tmp_path) as made:
        yield made


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("link", links_out(Path("/")))
def test_no_symlink_leads_out(world: World, name: str, link: str) -> None:
    before, descriptors = world.snapshot(), open_descriptors()
    paths = [HERE / link / below for below in ("", "secret", "folder", "folder/secret", "new/folder", "../outside")]
    for path in [*paths, PurePath("/../../outside/secret"), HERE / "../../outside" / link]:
        said = attempt(name, world.root, path)
        assert SECRET not in said
        assert "EXECD_" not in said
        assert "TOKEN" not in said
    assert world.snapshot() == before
    assert open_descriptors() == descriptors


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("place", ["folder", "file"])
def test_what_is_exchanged_meanwhile_does_not_lead_out(world: World, name: str, place: str) -> None:
    if place == "folder":
        plain, link = world.home / "plain", world.home / "absolute"
        link.unlink()
        link.symlink_to("../../outside")
        paths = [HERE / "plain/secret", HERE / "plain/folder", HERE / "plain/new/folder", HERE / "plain"]
    else:
        plain, link = world.home / "plain/secret", world.home / "plain/link"
        link.symlink_to("../../../outside/secret")
        paths = [HERE / "plain/secret"]
    before, descriptors = world.snapshot(), open_descriptors()
    with exchanged(plain, link):
        for _ in range(_ROUNDS // len(paths)):
            for path in paths:
                assert SECRET not in attempt(name, world.root, path)
    assert world.snapshot() == before
    assert open_descriptors() == descriptors


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_folder_that_is_moved_about_does_not_lead_out(world: World, name: str) -> None:
    (world.home / "deep/er/and/deeper").mkdir(parents=True)
    (world.home / "other").mkdir()
    before = world.snapshot()
    with exchanged(world.home / "deep/er", world.home / "other"):
        for _ in range(_ROUNDS):
            assert SECRET not in attempt(name, world.root, HERE / "deep/er/and/../../../../../outside/secret")
            attempt(name, world.root, HERE / "deep/er")
            with contextlib.suppress(OSError):  # what the operation removed
                (world.home / "other").mkdir(exist_ok=True)
                (world.home / "deep/er/and/deeper").mkdir(parents=True, exist_ok=True)
    assert world.snapshot() == before


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"delete", "remove", "move_away"}))
@pytest.mark.parametrize("kind", ["FIFO", "socket", "character device"])
def test_what_is_no_file_is_never_opened(world: World, name: str, kind: str) -> None:
    there = world.home / "there"
    with socket.socket(socket.AF_UNIX) as listener:
        match kind:
            case "FIFO":
                os.mkfifo(there)
            case "socket":
                here = os.open(world.home, os.O_PATH)
                listener.bind(f"/proc/self/fd/{here}/there")
                os.close(here)
            case _ if ROOT:
                os.mknod(there, 0o020666, os.makedev(1, 5))
            case _:
                pytest.skip("only root can make a device")
        kind_before = there.lstat().st_mode & 0o170000
        (world.home / "link").symlink_to("there")
        for path in (HERE / "there", HERE / "link"):
            assert "\\x00\\x00" not in attempt(name, world.root, path)
        assert there.lstat().st_mode & 0o170000 == kind_before


@pytest.mark.parametrize("path", ["x" * 300, "x/" * 4000, "loop", "loop/x", "to-itself"])
@pytest.mark.parametrize("name", ["info", "download", "upload", "list", "make", "move_onto"])
def test_names_and_loops_without_end_are_refused(world: World, name: str, path: str) -> None:
    if (name, path) in {("info", "loop"), ("info", "to-itself"), ("list", "loop"), ("list", "to-itself")}:
        return  # the symlink itself is shown, or refused as such
    said = attempt(name, world.root, HERE / path)
    assert said.startswith(("PathUnusable", "DestinationExists", "NotADirectory")), said


@pytest.mark.parametrize("link", ["root", "cwd", "exe", "fd/0", "task/1/root"])
@pytest.mark.parametrize("process", ["self", "1", "thread-self"])
def test_the_links_of_proc_lead_nowhere_not_even_on_the_machine(process: str, link: str) -> None:
    for path in (f"/proc/{process}/{link}", f"/proc/{process}/{link}/etc/passwd"):
        for name in ("download", "list", "search", "read_text", "check_enterable", "watch"):
            said = attempt(name, MACHINE, PurePath(path))
            assert said.startswith(REFUSED), said


def test_a_hard_link_is_replaced_and_not_written_through(world: World) -> None:
    (world.home / "linked").hardlink_to(world.outside / "secret")
    before = (world.outside / "secret").read_text()
    attempt("upload", world.root, HERE / "linked")
    assert (world.home / "linked").read_text() == "uploaded"
    (world.home / "linked-2").hardlink_to(world.outside / "secret")
    attempt("replace", world.root, HERE / "linked-2")
    assert (world.outside / "secret").read_text() == before


def test_absolute_symlinks_begin_at_the_sandboxs_root(world: World) -> None:
    (world.home / "within").symlink_to("/home/plain")
    (world.home / "above").symlink_to("../../../../home/plain/old")
    assert "harmless" in attempt("download", world.root, HERE / "within/old")
    assert "harmless" in attempt("download", world.root, HERE / "above")
    assert [info.path for info in listed(world.root, PurePath("/"), 1)] == ["/home"]


def test_an_upload_through_a_symlink_lands_inside(world: World) -> None:
    attempt("upload", world.root, HERE / "absolute-file")
    landed = Path(f"{world.inside}{world.outside}/secret")
    assert landed.read_text() == "uploaded"
    assert (world.outside / "secret").read_text() == SECRET


def test_the_root_is_not_removed_by_any_name(world: World) -> None:
    (world.home / "top").symlink_to("/")
    for path in ("/", "/..", "/home/..", "/home/top/home/..", "/../../.."):
        assert "root of everything" in attempt("remove", world.root, PurePath(path)), path
    attempt("remove", world.root, HERE / "top")
    assert (world.home / "plain/old").exists()


def test_a_watch_tells_nothing_of_what_symlinks_lead_to(world: World) -> None:
    watch = FolderWatch(world.root, HERE, recursive=True)
    watch.begin()
    try:
        (world.outside / "folder/unheard").touch()
        arriving = world.inside / "arriving"
        (arriving / "inner").mkdir(parents=True)
        (arriving / "link").symlink_to("../../outside")
        (arriving / "inner/file").touch()
        arriving.rename(world.home / "arrived")
        (world.outside / "unheard").touch()
        (world.home / "plain/folder/heard").touch()
        told = watch.read()
    finally:
        watch.close()
    paths = {path for _, path in told}
    assert not any("unheard" in path for path in paths)
    created = {path for change, path in told if change is Change.CREATED}
    assert created == {
        f"/home/{name}"
        for name in ("arrived", "arrived/inner", "arrived/link", "arrived/inner/file", "plain/folder/heard")
    }


def test_a_listing_that_is_given_up_gives_its_descriptors_back(world: World) -> None:
    before = open_descriptors()
    never_begun = listed(world.root, HERE, 9)
    begun = searched(world.root, HERE, Glob("*"))
    next(begun)
    assert open_descriptors() > before
    del never_begun, begun
    assert open_descriptors() == before


def test_a_tree_of_any_depth_is_removed_with_few_descriptors(world: World) -> None:
    here = os.open(world.home, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    before = open_descriptors()
    assert attempt("remove", world.root, HERE / "d") == "None"
    assert not (world.home / "d").exists()
    assert open_descriptors() == before


def test_what_is_refused_is_named_as_the_sandbox_names_it(world: World) -> None:
    with pytest.raises(PathUnusable, match="'/home/loop/x' is no usable path"):
        info_of(world.root, HERE / "loop/x")
    with pytest.raises(NotAFile) as refused:
        OPERATIONS["download"](world.root, HERE / "plain")
    assert str(world.inside) not in str(refused.value)
