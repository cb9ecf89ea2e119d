"""A sandbox's file tree: what is found in it, made in it, and whose it is."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePath

import pytest

from execd.errors import FileForbidden, InvalidRequest, NotADirectory, NotAFile, UserNotInside
from execd.isolation.entry import identity, reopen_folder
from execd.isolation.identity import Identity
from execd.isolation.openat2 import open_beneath, open_in_root
from execd.isolation.root import Root
from execd.service.directories import listed, make
from execd.service.downloads import OpenFile
from execd.service.files import Files, delete, info_of, move, set_permission
from execd.service.landing import PendingFile, Syncing
from execd.service.ownership import Permission
from execd.service.paths import Paths

ROOT = os.geteuid() == 0
OWNER = (54321, 54322) if ROOT else (os.geteuid(), os.getegid())
needs_root = pytest.mark.skipif(not ROOT, reason="only root can make files that belong to others")

PASSWD = "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nodd\n"
GROUP = "root:x:0:\nstaff:x:1000:\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What plays the root of a sandbox."""
    inside = tmp_path / "inside"
    for name in ("etc", "home/folder"):
        (inside / name).mkdir(parents=True)
    (inside / "etc/passwd").write_text(PASSWD)
    (inside / "etc/group").write_text(GROUP)
    (inside / "home/file").write_bytes(b"content \xff")
    (tmp_path / "outside").write_text("secret")
    for path in [inside, *inside.rglob("*")]:
        os.chown(path, *OWNER)
    return inside


@pytest.fixture
def root(folder: Path) -> Iterator[Root]:
    opened = Root(os.open(folder, os.O_PATH), OWNER)
    yield opened
    opened.close()
    opened.close()


def test_look_ups_end_at_the_root(root: Root, folder: Path) -> None:
    for path in ("/home", "home", "/../home", "/home/folder/../../../home"):
        fd = open_in_root(root.fd, path, os.O_PATH)
        assert os.path.samestat(os.fstat(fd), (folder / "home").stat())
        os.close(fd)
    with pytest.raises(FileNotFoundError):
        open_in_root(root.fd, "/../outside", os.O_PATH)


def test_below_a_folder_there_is_no_way_out_and_no_symlink(root: Root, folder: Path) -> None:
    (folder / "home/link").symlink_to("file")
    for path, number in [("../etc", errno.EXDEV), ("/etc", errno.EXDEV), ("link", errno.ELOOP)]:
        home = root.open_folder(PurePath("/home"))
        with pytest.raises(OSError, match=f"Errno {number}"):
            open_beneath(home, path, os.O_RDONLY)
        os.close(home)


def test_a_path_with_a_nul_byte_is_not_cut_there(root: Root) -> None:
    with pytest.raises(ValueError, match="null byte"):
        open_in_root(root.fd, "/home\0/x", os.O_PATH)


def test_text_is_read_up_to_a_limit_as_it_is(root: Root) -> None:
    assert root.read_text(PurePath("/home/file"), 7) == "content"
    assert os.fsencode(root.read_text(PurePath("/home/file"), 100)) == b"content \xff"
    with pytest.raises(NotAFile, match="'/home' is a directory"):
        root.read_text(PurePath("/home"), 7)


def test_kinds_are_told_apart(root: Root, folder: Path) -> None:
    (folder / "home/dangling").symlink_to("nowhere")
    (folder / "home/loop").symlink_to("loop")
    paths = {name: PurePath("/home", name) for name in ("folder", "file", "dangling", "loop", "none", "file/x")}
    assert [name for name, path in paths.items() if root.is_folder(path)] == ["folder"]
    assert [name for name, path in paths.items() if root.is_there(path)] == ["folder", "file", "dangling", "loop"]
    with root.itself(paths["dangling"]) as fd, pytest.raises(NotADirectory, match="is a symlink"):
        reopen_folder(fd, paths["dangling"])


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/home/file", "/home/file"),
        ("/home/none", "/home/none"),
        ("/none/none", "/none/none"),
        ("/home/absolute", "/etc/new"),
        ("/home/relative", "/home/../etc/new"),
        ("/home/twice", "/home/../etc/new"),
    ],
)
def test_symlinks_at_the_end_are_followed_to_what_may_not_be_there(
    root: Root, folder: Path, path: str, leads_to: str
) -> None:
    (folder / "home/absolute").symlink_to("/etc/new")
    (folder / "home/relative").symlink_to("../etc/new")
    (folder / "home/twice").symlink_to("relative")
    assert root.followed(PurePath(path)) == PurePath(leads_to)


def test_folders_are_made_whatever_dots_are_in_the_path(root: Root, folder: Path) -> None:
    root.make_folder(PurePath("/a/../../../b/c"))
    assert (folder / "a").is_dir()
    assert (folder / "b/c").is_dir()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["inside", "outside"]
    root.make_folder(PurePath("/"))


@pytest.mark.parametrize(("path", "error"), [("/home/file", FileExistsError), ("/home/file/x", NotADirectoryError)])
def test_something_else_in_the_way_is_told(root: Root, path: str, error: type[OSError]) -> None:
    with pytest.raises(error):
        root.make_folder(PurePath(path))


def test_a_folder_can_be_entered_by_those_in_there(root: Root, folder: Path) -> None:
    (folder / "home/closed").mkdir(mode=0o700)
    os.chown(folder / "home/closed", *OWNER)
    root.check_enterable(PurePath("/home/closed"))
    if ROOT:
        os.chown(folder / "home/closed", 0, 0)
        with pytest.raises(PermissionError):
            root.check_enterable(PurePath("/home/closed"))
    with pytest.raises(NotADirectoryError):
        root.check_enterable(PurePath("/home/file"))


@needs_root
class TestOwner:
    """The service is root, the sandbox somebody else."""

    def test_what_is_made_belongs_to_the_sandbox(self, root: Root, folder: Path) -> None:
        root.make_folder(PurePath("/home/a/b"))
        with root.acting():
            make(root, PurePath("/home/c/d"), Permission(0o711))
            pending = PendingFile(root, PurePath("/home/e/f"), Permission())
            pending.settle(Syncing())
            pending.land()
            move(root, PurePath("/home/e/f"), PurePath("/home/g/h"))
        for name in ("a", "a/b", "c", "c/d", "e", "g", "g/h"):
            found = (folder / "home" / name).stat()
            assert (found.st_uid, found.st_gid) == OWNER, name

    @pytest.mark.anyio
    async def test_what_others_own_is_closed_to_it_as_to_the_sandbox(self, root: Root, folder: Path) -> None:
        os.chown(folder / "home/file", 0, 0)
        (folder / "home/file").chmod(0o600)
        files = Files(root, Paths(PurePath("/home"), dict, root.accounts))
        with pytest.raises(FileForbidden):
            await files.run(partial(OpenFile.open, root, PurePath("/home/file")))
        with pytest.raises(FileForbidden):
            await files.run(partial(set_permission, root, PurePath("/home/file"), Permission(0o644)))
        await files.run(partial(delete, root, PurePath("/home/file")))

    def test_blocks_may_be_nested(self, root: Root, folder: Path) -> None:
        with root.acting():
            root.make_folder(PurePath("/home/a"))
            root.make_folder(PurePath("/home/b"))
        root.make_folder(PurePath("/home/c"))
        (folder / "home/d").mkdir()
        owners = [(folder / "home" / name).stat().st_uid for name in "abcd"]
        assert owners == [OWNER[0], OWNER[0], OWNER[0], 0]

    def test_on_the_machine_the_owner_is_who_makes_it(self, tmp_path: Path) -> None:
        root = Root.machine()
        with Identity(*OWNER).assumed(), pytest.raises(PermissionError):
            root.make_folder(tmp_path / "x")
        root.make_folder(tmp_path / "x")
        assert (tmp_path / "x").stat().st_uid == 0
        root.close()


class TestAccounts:
    """Who is who behind the walls."""

    def test_owners_are_shown_by_the_names_in_there(self, root: Root, folder: Path) -> None:
        os.chown(folder / "home/file", *OWNER)
        found = info_of(root, PurePath("/home/file"))
        assert (found.owner, found.group) == ("user", "staff")
        if ROOT:
            os.chown(folder / "home/folder", 0, 0)
            found = info_of(root, PurePath("/home/folder"))
            assert (found.owner, found.group) == ("nobody", "65534")

    @pytest.mark.parametrize(("owner", "group"), [("user", "staff"), ("1000", "1000"), ("user", "")])
    def test_the_one_user_can_be_given_files(self, root: Root, folder: Path, owner: str, group: str) -> None:
        os.chown(folder / "home/file", *OWNER)
        set_permission(root, PurePath("/home/file"), Permission(0, owner, group))
        found = (folder / "home/file").stat()
        assert (found.st_uid, found.st_gid) == OWNER

    @pytest.mark.parametrize("name", ["root", "0", "nobody", "54321", "65534"])
    def test_nobody_else_can_be(self, root: Root, folder: Path, name: str) -> None:
        before = (folder / "home/file").stat()
        with pytest.raises(InvalidRequest, match=r"owner: this sandbox has one user, 1000; .* is another"):
            set_permission(root, PurePath("/home/file"), Permission(0o777, name))
        assert (folder / "home/file").stat() == before

    def test_who_is_unknown_is_told(self, root: Root) -> None:
        with pytest.raises(InvalidRequest, match="there is no user 'somebody' in this sandbox"):
            root.accounts.uid("somebody")

    @pytest.mark.parametrize("kind", ["missing", "symlink", "FIFO", "odd"])
    def test_a_table_that_is_none_names_nobody(self, root: Root, folder: Path, kind: str) -> None:
        table = folder / "etc/passwd"
        table.unlink()
        match kind:
            case "symlink":
                table.symlink_to("/etc/../../../../etc/shadow")
            case "FIFO":
                os.mkfifo(table)
            case "odd":
                table.write_bytes(b"\xff:\0:::\n::::::\n:x:1000:1000:::\nuser:x:one:1000:::\n")
        assert root.accounts.user(OWNER[0]) == "1000"
        with pytest.raises(InvalidRequest, match="there is no user"):
            root.accounts.uid("user")

    def test_homes(self, root: Root) -> None:
        paths = Paths(PurePath("/home"), dict, root.accounts)
        assert paths.resolve("~user/a") == PurePath("/home/user/a")
        assert Identity.inside(root.accounts, 1000, 1000).home == "/home/user"

    def test_only_the_user_in_there_can_be_acted_as(self, root: Root) -> None:
        found = Identity.inside(root.accounts, 1000, 1000)
        assert (found.uid, found.gid, found.groups()) == (*OWNER, [OWNER[1]])
        for uid, gid in [(0, 0), (1000, 0), (0, 1000), (54321, 54322)]:
            with pytest.raises(UserNotInside, match="this sandbox has one user, uid 1000, gid 1000"):
                Identity.inside(root.accounts, uid, gid)

    def test_the_machine_has_its_own(self) -> None:
        machine = Root.machine()
        assert Identity.inside(machine.accounts, 7, 8) == Identity(7, 8)
        machine.close()


def test_a_folder_that_was_replaced_meanwhile_is_told_and_left_alone(root: Root, folder: Path) -> None:
    pending = PendingFile(root, PurePath("/home/folder/file"), Permission())
    pending.settle(Syncing())
    (folder / "home/folder").rename(folder / "home/before")
    (folder / "home/folder").mkdir()
    with pytest.raises(Exception, match="replaced by another"):
        pending.land()
    pending.discard()
    assert list((folder / "home/folder").iterdir()) == []


def test_names_are_shown_as_paths_of_the_sandbox(root: Root) -> None:
    assert [info.path for info in listed(root, PurePath("/"), 2)] == [
        "/etc",
        "/etc/group",
        "/etc/passwd",
        "/home",
        "/home/file",
        "/home/folder",
    ]


def test_which_folder_a_descriptor_is_open_on(root: Root) -> None:
    with root.target(PurePath("/home")) as one, root.itself(PurePath("/home/folder/..")) as other:
        assert identity(one) == identity(other) != identity(root.fd)
