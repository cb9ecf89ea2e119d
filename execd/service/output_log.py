"""A command's output as one run of bytes, read from any offset: a projection of its journal."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from execd.service.journal import Journal, until

_CHECKPOINT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """The byte `offset` at which the record after the seq `after` begins."""

    offset: int
    after: int


class OutputLog:
    """The text of a journal's stdout and stderr events, UTF-8 encoded, addressed by byte.

    Checkpoints are kept while reading, so that following a long log costs what is new, not what is there.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._checkpoints = [_Checkpoint(0, 0)]

    async def read(self, offset: int, most: int, pending: Callable[[], str] = str) -> bytes:
        """Up to `most` bytes from `offset`; `pending` tells what follows the journal's last line for now. What could
        still be lost is not shown yet."""
        place = bisect_right(self._checkpoints, offset, key=lambda found: found.offset) - 1
        position, after = self._checkpoints[place].offset, self._checkpoints[place].after
        pieces: list[bytes] = []
        size = 0
        while size < most:
            # Whoever has read to an offset goes on from there after a restart: what is shown must not be lost.
            found = until(await self._journal.read(after), self._journal.safe_seq)
            if not found.records:
                if self._journal.safe_seq == self._journal.last_seq:
                    pieces.append(_from(pending().encode(), position, offset))
                break
            for record in found.records:
                text = _text_of(record)
                pieces.append(_from(text, position, offset))
                size += len(pieces[-1])
                position += len(text)
            after = found.last
            self._note(position, after)
        return b"".join(pieces)[:most]

    def _note(self, offset: int, after: int) -> None:
        if offset - self._checkpoints[-1].offset >= _CHECKPOINT_BYTES:
            self._checkpoints.append(_Checkpoint(offset, after))


def _from(text: bytes, position: int, offset: int) -> bytes:
    return text[max(offset - position, 0) :]


def _text_of(record: bytes) -> bytes:
    if record.startswith((b'{"type":"stdout",', b'{"type":"stderr",')):
        return str(json.loads(record)["text"]).encode("utf-8", "replace")
    if record.startswith(b'{"type":"truncated",'):
        return f"[{json.loads(record)['text']}]\n".encode()
    return b""
