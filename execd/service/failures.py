"""The errors of a run, within bounds: a huge one is shortened, and when there are too many the last one is kept.

Pure. A run raises one error, as a rule, but code can make as many as it likes and of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from execd.events import Error, Event, StatusChanged
from execd.service.tail import EVENT_OVERHEAD, byte_size

ERROR_BYTES = 64 * 1024
ROOM = 16 * ERROR_BYTES

_LONGEST_CHARACTER = 4


def shortened(error: Error) -> Error:
    """The error in at most about ERROR_BYTES: the beginning of what it says, and the end of its traceback."""
    if error_size(error) <= ERROR_BYTES:
        return error
    characters = ERROR_BYTES // 4 // _LONGEST_CHARACTER
    traceback = _last_lines(error.traceback, ERROR_BYTES // 2)
    return replace(error, ename=error.ename[:characters], evalue=error.evalue[:characters], traceback=traceback)


def error_size(error: Error) -> int:
    """What an error costs, in bytes."""
    return EVENT_OVERHEAD + sum(byte_size(text) for text in (error.ename, error.evalue, *error.traceback))


def _last_lines(lines: Sequence[str], room: int) -> tuple[str, ...]:
    kept: list[str] = []
    for line in reversed(lines):
        room -= byte_size(line) + 1
        if room < 0:
            break
        kept.insert(0, line)
    return tuple(kept) or tuple(line[-ERROR_BYTES // 2 // _LONGEST_CHARACTER :] for line in lines[-1:])


class Failures:
    """Lets errors, and the statuses that announce them, through to the journal as long as there is room; then holds
    the last of each back until the end. `seen` and `dropped` are bytes."""

    def __init__(self) -> None:
        self.seen = 0
        self.dropped = 0
        self._room = ROOM
        self._status: StatusChanged | None = None
        self._error: Error | None = None

    def admit(self, event: Error | StatusChanged, hold: bool) -> list[Event]:
        """What to journal now; nothing if `hold`, or if something is held back already."""
        size = EVENT_OVERHEAD
        if isinstance(event, Error):
            whole = error_size(event)
            event = shortened(event)
            size = error_size(event)
            self.seen += whole
            self.dropped += whole - size
        if not hold and size <= self._room:
            self._room -= size
            return [event]
        self._room = 0
        self._hold(event)
        return []

    def settle(self) -> list[Event]:
        """What was held back."""
        return [event for event in (self._status, self._error) if event is not None]

    def _hold(self, event: Error | StatusChanged) -> None:
        if isinstance(event, StatusChanged):
            self._status = event
            return
        if self._error is not None:
            self.dropped += error_size(self._error)
        self._error = event
