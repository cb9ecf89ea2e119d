"""The rich outputs of a run that are worth keeping by themselves: images, HTML, PDF. Pure.

They are told by their place in the journal, so that however large they are, nothing but numbers is kept here. What is
worth keeping is what stands there in the end, as in a notebook: what was cleared is not, and of a display that was
updated its last state is.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass

from execd.events import Bundle, ClearOutput, DisplayUpdate, Event, Output

_BINARY = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")
_TEXT = ("image/svg+xml", "text/html")
RICH_TYPES = frozenset((*_BINARY, *_TEXT))


@dataclass(frozen=True, slots=True)
class Rendering:
    """One representation of an output: its MIME type and its bytes."""

    mime_type: str
    content: bytes


class RichOutputs:
    """Those of one run, by the seqs of their events. `see` every event that was journaled."""

    def __init__(self) -> None:
        self._shown: list[tuple[int, str | None]] = []
        self._clears_next = False

    @property
    def seqs(self) -> list[int]:
        """The events of the outputs that stand there now, in the order in which they came."""
        return [seq for seq, _ in self._shown]

    def see(self, event: Event, seq: int) -> None:
        """An event of the run, and its number in the journal."""
        match event:
            case ClearOutput(wait=True):
                self._clears_next = True
            case ClearOutput():
                self._clear()
            case DisplayUpdate():
                self._update(event, seq)
            case Bundle() | Output():
                if self._clears_next:
                    self._clear()
                if isinstance(event, Bundle) and not RICH_TYPES.isdisjoint(event.data):
                    self._shown.append((seq, event.display_id))

    def _clear(self) -> None:
        self._clears_next = False
        self._shown.clear()

    def _update(self, event: DisplayUpdate, seq: int) -> None:
        if event.display_id is None:
            return
        kept = [entry for entry in self._shown if entry[1] != event.display_id]
        if not RICH_TYPES.isdisjoint(event.data):
            kept.append((seq, event.display_id))
        self._shown = kept


def renderings(record: bytes) -> Iterator[Rendering]:
    """What an encoded event of the journal shows in types that are worth keeping; what is no base64 where it should be
    is passed over."""
    shown = json.loads(record).get("results", {})
    for mime_type in (*_BINARY, *_TEXT):
        value = shown.get(mime_type)
        content = _content(mime_type, value) if isinstance(value, str) else None
        if content:
            yield Rendering(mime_type, content)


def _content(mime_type: str, value: str) -> bytes | None:
    if mime_type in _TEXT:
        return value.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(value)
    except (binascii.Error, ValueError):
        return None
