"""What adopting a process of an earlier service takes: where it is found, and the descriptors that were kept for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from execd.isolation.launch import Started


class Adopted(Started, Protocol):
    """A process that an earlier service has started."""

    label: str

    def take(self) -> dict[str, int]:
        """Copies of the descriptors that are kept for it, by their names; they are the caller's. Raises OSError."""


Claim = Callable[[str], Sequence[Adopted]]
"""Finds the processes with a label, from the oldest on, for the caller to have."""


def close_all(kept: Mapping[str, int]) -> None:
    """Close what was taken and nobody wants."""
    for fd in kept.values():
        os.close(fd)
