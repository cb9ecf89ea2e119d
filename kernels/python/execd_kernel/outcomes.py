"""What became of the last requests, for a service that was not there when their replies were sent."""

import json
from collections import OrderedDict
from typing import Any

REMEMBERED = 8
LARGEST = 256 * 1024
"""Bytes of a reply that are remembered whole; of a larger one only how it ended."""

_ESSENTIAL = ("status", "execution_count", "ename", "evalue")


class Outcomes:
    """The requests by their msg_ids: with their replies once they have ended, None while they run."""

    def __init__(self) -> None:
        self._all: OrderedDict[str, dict[str, Any] | None] = OrderedDict()

    def begin(self, msg_id: str) -> None:
        """It runs from now on."""
        self._all[msg_id] = None
        while len(self._all) > REMEMBERED:
            self._all.popitem(last=False)

    def end(self, msg_id: str, reply: dict[str, Any]) -> None:
        """It has ended with this reply."""
        if msg_id in self._all:
            self._all[msg_id] = bounded(reply)

    def of(self, msg_id: str) -> dict[str, Any]:
        """What to tell of it: `state` is running, ended or unknown; with `reply` where it has ended."""
        if msg_id not in self._all:
            return {"state": "unknown"}
        reply = self._all[msg_id]
        return {"state": "running"} if reply is None else {"state": "ended", "reply": reply}


def bounded(reply: dict[str, Any]) -> dict[str, Any]:
    """The reply, or what is essential of a large one."""
    try:
        if len(json.dumps(reply)) <= LARGEST:
            return dict(reply)
    except (TypeError, ValueError):
        pass
    return {name: str(reply[name])[:LARGEST] for name in _ESSENTIAL if name in reply}
