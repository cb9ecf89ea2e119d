"""Functions that run in a process of their own, as another user if need be, and answer in JSON."""

from __future__ import annotations

import ctypes
import encodings.ascii
import encodings.idna
import json
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterable
from typing import Any

_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36

PRELOADED = (encodings.ascii, encodings.idna)
"""What would else be imported on first use, where there is no library to be found any more."""

_libc = ctypes.CDLL(None, use_errno=True)


class Ended(Exception):
    """The process ended without an answer."""


def in_fork(function: Callable[[], Any], uid: int | None = None) -> Any:
    """What it returns in a fork of ours that adopts orphans, and is this user. Raises AssertionError with what it has
    raised; Ended."""
    answer, end = os.pipe()
    pid = fork()
    if pid == 0:
        close_all_but([end])
        reply(end, lambda: _as_user(function, uid))
    os.close(end)
    try:
        return heard(answer)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def fork() -> int:
    """os.fork; a test's process may have threads, which are not in the fork and not missed there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def reply(end: int, function: Callable[[], Any]) -> None:
    """In a fork: write what the function returns or raises, and end."""
    try:
        said = {"value": function()}
    except BaseException as error:  # noqa: BLE001 - it is told
        said = {"error": "".join(traceback.format_exception(error)), "errno": getattr(error, "errno", None)}
    try:
        with open(end, "w", encoding="utf-8") as file:
            json.dump(said, file)
    finally:
        os._exit(0)


def heard(answer: int) -> Any:
    """The answer that comes through a pipe, which is closed."""
    with open(answer, encoding="utf-8") as file:
        text = file.read()
    if not text:
        raise Ended
    said = json.loads(text)
    if said.get("errno"):
        raise OSError(said["errno"], said["error"])
    assert "error" not in said, said["error"]
    return said["value"]


def close_all_but(kept: Iterable[int]) -> None:
    """Close every descriptor above 2 that is not kept."""
    at = 3
    for fd in sorted(kept):
        os.closerange(at, fd)
        at = fd + 1
    os.closerange(at, 2**20)


def _as_user(function: Callable[[], Any], uid: int | None) -> Any:
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # as a service that was started by this user
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return function()
