"""Modes, owners and groups."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.errors import InvalidRequest, NotADirectory
from execd.service.ownership import Names, Permission, make_folders, mode_bits, mode_digits, remove_folders
from tests.machine import MACHINE

ME = pwd.getpwuid(os.geteuid()).pw_name
MINE = grp.getgrgid(os.getegid()).gr_name
ROOT = os.geteuid() == 0


@given(st.integers(0, 0o7777))
def test_digits_and_bits_are_each_others_inverse(bits: int) -> None:
    assert mode_bits(mode_digits(bits)) == bits
    assert f"{bits:o}" == str(mode_digits(bits))


@given(st.integers())
def test_only_octal_digits_are_a_mode(digits: int) -> None:
    spelled = str(digits)
    valid = len(spelled) <= 4 and set(spelled) <= set("01234567")
    if valid:
        assert mode_bits(digits) == int(spelled, 8)
    else:
        with pytest.raises(InvalidRequest, match="octal digits"):
            mode_bits(digits)


def test_the_type_of_a_file_is_no_part_of_its_mode() -> None:
    assert mode_digits(stat.S_IFDIR | 0o1777) == 1777


def give(path: Path, permission: Permission) -> None:
    with MACHINE.target(path) as fd:
        permission.apply(fd, MACHINE.accounts)


def test_mode_is_set(tmp_path: Path) -> None:
    give(tmp_path, Permission(0o640))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o640
    tmp_path.chmod(0o700)


def test_zero_and_empty_leave_everything_alone(tmp_path: Path) -> None:
    before = tmp_path.stat()
    give(tmp_path, Permission())
    after = tmp_path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@pytest.mark.parametrize("owner", [ME, str(os.geteuid())])
def test_owners_are_names_or_numbers(tmp_path: Path, owner: str) -> None:
    give(tmp_path, Permission(0, owner, str(os.getegid())))
    assert (tmp_path.stat().st_uid, tmp_path.stat().st_gid) == (os.geteuid(), os.getegid())


def test_a_number_needs_no_name() -> None:
    assert (MACHINE.accounts.uid("54321"), MACHINE.accounts.gid("54322")) == (54321, 54322)


def test_the_group_may_be_given_alone(tmp_path: Path) -> None:
    give(tmp_path, Permission(0, "", MINE))
    assert tmp_path.stat().st_gid == os.getegid()


@pytest.mark.parametrize("name", ["nobody-of-this-name", "4294967295", "99999999999999999999", "-1", "²", "a\0b"])
def test_an_unknown_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match="owner: there is no user"):
        give(tmp_path, Permission(0, name))
    with pytest.raises(InvalidRequest, match="group: there is no group"):
        Permission(0, "", name).check(MACHINE.accounts)


def test_changing_the_owner_does_not_cost_the_set_user_id_bit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    give(file, Permission(0o4755, ME, MINE))
    assert stat.S_IMODE(file.stat().st_mode) == 0o4755


def test_names_of_nobody_are_numbers() -> None:
    names = Names(MACHINE.accounts)
    assert (names.user(os.geteuid()), names.group(os.getegid())) == (ME, MINE)
    assert (names.user(3_999_999_999), names.group(3_999_999_998)) == ("3999999999", "3999999998")


def test_folders_are_made_with_their_owner(tmp_path: Path) -> None:
    owner, group = ("54321", "54322") if ROOT else (ME, MINE)
    made = make_folders(MACHINE, tmp_path / "a/b", Permission(0o700, owner, group))
    assert made == [tmp_path / "a", tmp_path / "a/b"]
    for folder in made:
        found = Path(folder).stat()
        assert (found.st_uid, found.st_gid) == (MACHINE.accounts.uid(owner), MACHINE.accounts.gid(group))
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) != 0o700
    remove_folders(MACHINE, made)
    assert not (tmp_path / "a").exists()


def test_what_is_there_is_not_made(tmp_path: Path) -> None:
    assert make_folders(MACHINE, tmp_path, Permission()) == []


@pytest.mark.parametrize("kind", ["regular file", "symlink"])
def test_something_else_in_the_way_is_told(tmp_path: Path, kind: str) -> None:
    way = tmp_path / "way"
    way.touch() if kind == "regular file" else way.symlink_to("nowhere")
    with pytest.raises(NotADirectory, match=f"is a {kind}"):
        make_folders(MACHINE, way / "a/b", Permission())


def test_folders_that_are_used_stay(tmp_path: Path) -> None:
    made = make_folders(MACHINE, tmp_path / "a/b", Permission())
    (tmp_path / "a/file").touch()
    remove_folders(MACHINE, made)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a/file"]


def test_an_owner_that_cannot_be_given_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        make_folders(MACHINE, tmp_path / "a/b", Permission(0, "nobody-of-this-name"))
    assert list(tmp_path.iterdir()) == []
