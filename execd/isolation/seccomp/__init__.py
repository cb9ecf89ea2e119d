"""The seccomp filters, as scripts/seccomp.py has made them. Only the standard library."""

from __future__ import annotations

import errno
import platform
from pathlib import Path

_FOLDER = Path(__file__).parent


def program(mode: str) -> bytes:
    """The filter for this machine and a mode of isolation, `bwrap` or `landlock`. Raises OSError (ENOENT) where the
    machine's architecture has none."""
    try:
        return (_FOLDER / f"{platform.machine()}-{mode}.bpf").read_bytes()
    except FileNotFoundError:
        raise OSError(errno.ENOENT, f"no seccomp filter for {platform.machine()}") from None
