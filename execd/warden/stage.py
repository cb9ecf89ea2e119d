"""What a sandbox of a root's service is made of, where its user can reach it.

bubblewrap runs as the sandbox's user, who may not be let into the folders that lead to a workspace or to a kernel's
Python. The process that becomes bubblewrap first mounts all of it side by side, in a mount namespace of its own: nobody
else sees that, and it is gone when the sandbox is made.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace

from execd.isolation.bubblewrap import Surroundings
from execd.isolation.plan import Plan
from execd.warden.linux import mount, unshare_mounts

_PLACE = "/tmp"


def staged(plan: Plan, around: Surroundings) -> tuple[Plan, Surroundings, Callable[[], None]]:
    """The same with sources that anybody reaches, once the third has been called in the process that needs them."""
    sources = [*(bind.source for bind in plan.binds), around.etc]
    places = [f"{_PLACE}/{number}" for number in range(len(sources) + 1)]
    program, seen = around.program, around.program
    if not program.startswith("/usr/"):
        # With what belongs to it: a wheel's has its libraries beside it.
        folder = os.path.dirname(os.path.dirname(program))
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
