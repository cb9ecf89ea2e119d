"""Whether the users of sandboxes get to what their processes need, where these see the machine's own file tree: with
bubblewrap it is shown to them wherever it is, with Landlock they have to go there themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from execd.errors import CannotServe
from execd.isolation.identity import Identity


def check_reachable(uid: int, wanted: Mapping[str, Path]) -> None:
    """Raise CannotServe, which says what to change, unless this user gets to each of these, which are there. They are
    named by what the operator knows them as."""
    for name, path in wanted.items():
        closed = closed_by(uid, path)
        if closed is not None:
            raise CannotServe(
                f"{name}: the users of sandboxes cannot get to {path}, since {closed} lets nobody else in. Behind "
                f"Landlock they have to: allow it with chmod o+x {closed}, or name a place that others can get to. "
                "With bubblewrap (EXECD_ISOLATION=bwrap) nothing of this is needed."
            )


def closed_by(uid: int, path: Path) -> Path | None:
    """The first folder on the way to something that this user cannot enter; None where there is no such folder."""
    ways = (path.absolute(), path.resolve())
    with Identity(uid, uid).assumed():
        for folder in (folder for way in ways for folder in reversed(way.parents)):
            try:
                os.lstat(f"{folder}/.")
            except PermissionError:
                return folder
    return None
