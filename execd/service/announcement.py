"""Announcements: what webhooks are told of an execution. Values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from execd.events import Status

AWAITING = f"execution.{Status.AWAITING_APPROVAL}"
EVENT_TYPES = tuple(f"execution.{status}" for status in Status if status.terminal or status is Status.AWAITING_APPROVAL)
"""What webhooks can be told of."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """One thing to be told: its type, when it happened (Unix ms), and what the execution looked like, None for an end:
    then it never looks otherwise."""

    type: str
    at: int
    record: Mapping[str, Any] | None = None
