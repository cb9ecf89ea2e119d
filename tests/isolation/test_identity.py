"""Acting as another user, in one thread."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from execd.errors import IdentityRefused
from execd.isolation.identity import Identity

ROOT = os.geteuid() == 0
OTHER = Identity(54321, 54322)
needs_root = pytest.mark.skipif(not ROOT, reason="only root can be somebody else; what others get is tested, too")


def credentials() -> dict[str, str]:
    """What the calling thread accesses files with: uids, gids (real, effective, saved, for files), groups, and what it
    may do beyond them."""
    status = Path(f"/proc/self/task/{threading.get_native_id()}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return {name: fields[name].strip() for name in ("Uid", "Gid", "Groups", "CapEff")}


def test_the_service_is_itself() -> None:
    before = credentials()
    with Identity.own().assumed():
        assert credentials() == before
    assert credentials() == before


def test_homes_and_groups() -> None:
    root = pwd.getpwuid(0)
    assert Identity(0, 0).home == root.pw_dir
    assert Identity(0, 7).groups() == os.getgrouplist(root.pw_name, 7)
    assert (OTHER.home, OTHER.groups()) == (None, [54322])


@needs_root
class TestRoot:
    """A service that root runs."""

    def test_files_are_made_and_refused_as_that_user(self, public_folder: Path) -> None:
        (public_folder / "closed").mkdir(mode=0o700)
        public_folder.chmod(0o777)
        with OTHER.assumed():
            (public_folder / "theirs").touch()
            with pytest.raises(PermissionError):
                (public_folder / "closed/file").touch()
            with pytest.raises(PermissionError):
                os.chown(public_folder / "theirs", 0, 0)
            with pytest.raises(PermissionError):
                Path("/etc/shadow").read_bytes()
        found = (public_folder / "theirs").stat()
        assert (found.st_uid, found.st_gid) == (OTHER.uid, OTHER.gid)

    def test_the_groups_are_that_users_too(self, public_folder: Path) -> None:
        (public_folder / "file").write_text("x")
        os.chown(public_folder / "file", 0, 0)
        (public_folder / "file").chmod(0o640)
        with Identity(54321, 54322).assumed(), pytest.raises(PermissionError):
            (public_folder / "file").read_text()
        with Identity(54321, 0).assumed():
            assert (public_folder / "file").read_text() == "x"

    @pytest.mark.parametrize("wanted", [OTHER, Identity(0, 54322), Identity(4294967294, 4294967294)])
    def test_everything_is_given_back(self, wanted: Identity) -> None:
        before = credentials()
        with wanted.assumed():
            assert credentials()["Uid"].split()[3] == str(wanted.uid)
            assert credentials()["Gid"].split()[3] == str(wanted.gid)
            assert credentials()["Groups"] == str(wanted.gid) or wanted.uid == 0
        assert credentials() == before

    def test_everything_is_given_back_after_an_error(self) -> None:
        before = credentials()
        with pytest.raises(ValueError, match="mine"), OTHER.assumed():
            raise ValueError("mine")
        assert credentials() == before

    def test_other_threads_notice_nothing(self) -> None:
        before = credentials()
        seen: list[dict[str, str]] = []
        assumed, looked = threading.Event(), threading.Event()

        def act() -> None:
            with OTHER.assumed():
                assumed.set()
                looked.wait()

        other = threading.Thread(target=act)
        other.start()
        assumed.wait()
        seen.append(credentials())
        looked.set()
        other.join()
        assert seen == [before]

    def test_a_thread_begun_meanwhile_elsewhere_is_the_services(self, public_folder: Path) -> None:
        with OTHER.assumed():
            inherited = threading.Thread(target=(public_folder / "x").touch)
        inherited.start()
        inherited.join()
        assert (public_folder / "x").stat().st_uid == 0


REFUSED = """
import os, sys
from execd.errors import IdentityRefused
from execd.isolation.identity import Identity
if os.geteuid() == 0:
    {drop}
own = Identity.own()
with own.assumed():
    pass
for wanted in {{Identity(own.uid + 1, own.gid), Identity(own.uid, own.gid + 1), Identity(0, 0)}} - {{own}}:
    try:
        with wanted.assumed():
            sys.exit("it was let in")
    except IdentityRefused as error:
        print(error)
"""
PLAIN_USER = "os.setgroups([]); os.setgid(54321); os.setuid(54321)"
# Root in a container that was given no capabilities.
POWERLESS = """
import ctypes
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0
"""


@pytest.mark.parametrize("drop", [PLAIN_USER, "; ".join(POWERLESS.strip().splitlines())], ids=["plain", "powerless"])
def test_who_has_not_the_power_is_refused(drop: str) -> None:
    answered = subprocess.run(
        [sys.executable, "-c", REFUSED.format(drop=drop)], capture_output=True, text=True, check=False, timeout=60
    )
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout.count("cannot act as uid") == 3 - (ROOT and drop is not PLAIN_USER)


def test_a_service_of_a_plain_user_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Identity, "own", classmethod(lambda cls: cls(1000, 1000)))
    said = "runs as uid 1000, gid 1000 and cannot act as uid 54321, gid 54322"
    with pytest.raises(IdentityRefused, match=said), OTHER.assumed():
        pytest.fail("it was let in")
