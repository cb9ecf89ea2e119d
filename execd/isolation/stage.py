"""What a sandbox of a root's service is made of, where its user can reach it.

bubblewrap runs as the sandbox's user, who may not be let into the folders that lead to a workspace or to a kernel's
Python. The process that becomes bubblewrap first mounts all of it side by side, in a mount namespace of its own: nobody
else sees that, and it is gone when the sandbox is made.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace

from execd.isolation.bubblewrap import Surroundings, belongings
from execd.isolation.plan import Plan

_PLACE = "/tmp"

# linux/sched.h, linux/mount.h
_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_SLAVE = 4096, 16384, 1 << 19

_libc = ctypes.CDLL(None, use_errno=True)


def staged(plan: Plan, around: Surroundings) -> tuple[Plan, Surroundings, Callable[[], None]]:
    """The same with sources that anybody reaches, once the third has been called in the process that needs them."""
    sources = [*(bind.source for bind in plan.binds), around.etc]
    places = [f"{_PLACE}/{number}" for number in range(len(sources) + 1)]
    program, seen = around.program, around.program
    if folder := belongings(program):
        sources.append(folder)
        seen = places[-1] + program.removeprefix(folder)
    binds = tuple(replace(bind, source=place) for bind, place in zip(plan.binds, places, strict=False))
    around = replace(around, etc=places[len(plan.binds)], program=seen)
    return replace(plan, binds=binds), around, lambda: _build(sources, places)


def _build(sources: Sequence[str], places: Sequence[str]) -> None:
    unshare_mounts()
    # Opened before the place is covered, which may lead to some of them.
    opened = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source in sources]
    mount("execd", _PLACE, "tmpfs", "mode=0711,size=64k")
    for fd, place in zip(opened, places, strict=False):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.mkdir(place)
        else:
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        mount(f"/proc/self/fd/{fd}", place)
        os.close(fd)


def unshare_mounts() -> None:
    """Get a mount namespace of one's own, which still follows what the machine mounts."""
    _check(_libc.unshare(_CLONE_NEWNS))
    _check(_libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None))


def mount(source: str, target: str, kind: str | None = None, options: str | None = None) -> None:
    """Mount a file system of a kind; without a kind, show `source` with what is mounted in it at `target` as well."""
    flags = 0 if kind else _MS_BIND | _MS_REC
    data = None if options is None else options.encode()
    names = os.fsencode(source), os.fsencode(target), None if kind is None else kind.encode()
    _check(_libc.mount(*names, ctypes.c_ulong(flags), data), target)


def _check(result: int, name: str | None = None) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
