"""What a sandbox may use: what it asks for, within what the operator sets."""

from __future__ import annotations

from typing import TypeVar

from execd.isolation.plan import Limits
from execd.settings import Settings

Number = TypeVar("Number", int, float)


def limits_of(asked: Limits, settings: Settings) -> Limits:
    """The limits of a sandbox that asks for these. Nothing that it asks for is more than the settings allow."""
    return Limits(
        memory=_least(asked.memory, settings.sandbox_memory),
        cpu=_least(asked.cpu, settings.sandbox_cpus),
        processes=_least(asked.processes, settings.sandbox_processes),
        open_files=_least(asked.open_files, settings.sandbox_open_files),
        # Nothing bounds a workspace as a whole; no file alone may be more than all of it.
        file_size=_least(_smaller(asked.file_size, asked.workspace_size), settings.sandbox_file_size),
        tmp_size=_least(asked.tmp_size, settings.sandbox_tmp_size),
        workspace_size=_least(asked.workspace_size, settings.sandbox_workspace_size),
    )


def _smaller(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else min(one, other)


def _least(asked: Number | None, most: Number) -> Number | None:
    return (most or None) if asked is None else min(asked, most or asked)
