"""`python another_user.py UID PROGRAM ARGUMENTS…`: a program as another user of the machine, who reaches this Python
and the checkout also where they are in a folder of root's. UID 0 stays root. Takes root."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from execd.isolation.stage import mount, unshare_mounts

_CHECKOUT = Path(__file__).resolve().parent.parent


def main(uid: int, argv: list[str]) -> None:
    """Become the program."""
    os.umask(0o022)
    open_up({Path(sys.base_prefix).resolve(), Path(sys.prefix), _CHECKOUT})
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    os.execv(argv[0], argv)


def open_up(wanted: set[Path]) -> None:
    """Show these at their places in a mount namespace of our own, with nothing else beside them where others may not
    look."""
    closed = {path: at for path in wanted if (at := closed_by(path)) is not None}
    if not closed:
        return
    unshare_mounts()
    opened = {path: os.open(path, os.O_PATH) for path in closed}
    for folder in set(closed.values()):
        mount("tests", str(folder), "tmpfs", "mode=0755,size=1m")
    for path in sorted(closed):
        # One may be in another, which shows it as well.
        if not path.exists():
            path.mkdir(parents=True)
            mount(f"/proc/self/fd/{opened[path]}", str(path))


def closed_by(path: Path) -> Path | None:
    """The topmost folder on the way that other users may not enter, None where they may go all the way."""
    for folder in [*reversed(path.parents), path]:
        if not folder.stat().st_mode & 0o001:
            return folder
    return None


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
