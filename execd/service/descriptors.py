"""The descriptors that this process may still open. What is under way needs some to go on, so the last are not given to
what is new."""

from __future__ import annotations

import resource
from pathlib import Path

from execd.errors import TooFewDescriptors

FOR_WHAT_LASTS = 128
FOR_WHAT_ENDS = 64
"""How many must be left for a new context or sandbox, and how many for a command, which ends by itself."""

_SHARE = 4 * FOR_WHAT_LASTS
_OPEN = Path("/proc/self/fd")


def count_open() -> int:
    """How many are open."""
    # Since Linux 6.2 the folder's size says it (proc(5)); before, it is empty.
    return _OPEN.stat().st_size or len(list(_OPEN.iterdir()))


def enough(left: int, limit: int, kept: int) -> bool:
    """Whether something new may be begun when so many are left of all, and so many are to be. Where the limit is low
    they are a quarter of it, or an eighth for what ends by itself."""
    return left >= min(kept, limit * kept // _SHARE)


def check_descriptors(kept: int = FOR_WHAT_LASTS) -> None:
    """Raise TooFewDescriptors where nothing new may be begun. Takes microseconds; milliseconds before Linux 6.2."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return
    left = limit - count_open()
    if not enough(left, limit, kept):
        raise TooFewDescriptors(left, limit)
