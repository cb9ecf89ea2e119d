"""Letting processes write to no file, and letting them again, from outside.

By their limit of a file's size (prlimit(2)), as their user: in most containers not even root may do it to others'.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from contextlib import suppress


def let_write(pids: Iterable[int], user: int | None, *, allowed: bool) -> set[int]:
    """Let these processes of a user's (None: our own) write, or not. Returns those for which that is a change. It may
    fork, so the caller must have one thread."""
    wanted = list(pids)
    if user is None or user == os.geteuid():
        return _change(wanted, allowed=allowed)
    heard, said = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _tell(said, user, wanted, allowed=allowed)
    os.close(said)
    with os.fdopen(heard, "rb") as answer:
        changed = {int(pid) for pid in answer.read().split()}
    os.waitpid(child, 0)
    return changed


def _tell(to: int, user: int, pids: list[int], *, allowed: bool) -> None:
    # In a fork, which does not return.
    try:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        changed = " ".join(map(str, _change(pids, allowed=allowed))).encode()
        while changed:
            changed = changed[os.write(to, changed) :]
    finally:
        os._exit(0)


def _change(pids: list[int], *, allowed: bool) -> set[int]:
    changed = set()
    for pid in pids:
        with suppress(OSError):
            soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            wanted = hard if allowed else 0
            if soft != wanted:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (wanted, hard))
                changed.add(pid)
    return changed
