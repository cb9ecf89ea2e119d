"""What a run of an agent returns and has used, gathered from its events into what is kept of it.

Its output is what the code has said by `execd_run.output`; else the value of its last line, where that is shown as
JSON; else what it has printed: the object that this is in JSON, or `{"text": …}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from execd.events import Checkpoint, Complete, Event, Output, Report, Result, Stderr, Stdout
from execd.service.tail import byte_size

OUTPUT, TOKENS, COST, BYTES = "output", "token_usage", "cost", "output_bytes"
"""Where it stands in an execution's detail."""

_LARGEST = 1024 * 1024
_MOST_PRINTED = 64 * 1024
_MOST_TOKENS = 20


class Gatherer:
    """Listens to one execution, whose detail this is. `ask` is called with each checkpoint. Nothing in an event is
    taken to have the type that it should: user code may have made it."""

    def __init__(self, detail: dict[str, Any], ask: Callable[[Checkpoint], None]) -> None:
        self._detail = detail
        self._ask = ask
        self._shown: Any = None
        self._printed = ""
        self._whole = True
        self._bytes = 0

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case Output():
                self._note_text(event)
            case Result():
                self._shown = event.data.get("application/json")
            case Report():
                self._note_report(event)
            case Checkpoint():
                self._ask(event)
            case Complete():
                self._settle()

    def recall(self, event: Mapping[str, Any]) -> None:
        """Take note of what an earlier service has heard and journaled, but for what is in the detail already."""
        match event["type"]:
            case Stdout.type:
                self._note_text(Stdout(event["text"]))
            case Stderr.type:
                self._note_text(Stderr(event["text"]))
            case Result.type if event["is_main_result"]:
                self._shown = event["results"].get("application/json")

    def _note_text(self, event: Output) -> None:
        self._bytes += byte_size(event.text)
        if isinstance(event, Stdout):
            room = _MOST_PRINTED - len(self._printed)
            self._whole = self._whole and len(event.text) <= room
            self._printed += event.text[:room]

    def _note_report(self, report: Report) -> None:
        if report.kind == "output" and _fits(report.fields.get("value")):
            self._detail[OUTPUT] = object_of(report.fields.get("value"))
        elif report.kind == "usage":
            self._detail[TOKENS] = added(self._detail.get(TOKENS, {}), report.fields.get("tokens"))
            cost = report.fields.get("cost")
            if isinstance(cost, int | float):
                self._detail[COST] = self._detail.get(COST, 0.0) + float(cost)

    def _settle(self) -> None:
        self._detail[BYTES] = self._bytes
        if OUTPUT in self._detail:
            return
        if self._shown is not None and _fits(self._shown):
            self._detail[OUTPUT] = object_of(self._shown)
        elif self._printed:
            self._detail[OUTPUT] = said(self._printed, whole=self._whole)


def object_of(value: Any) -> dict[str, Any]:
    """An output is an object: what is none becomes the `result` of one."""
    return value if isinstance(value, dict) else {"result": value}


def said(text: str, *, whole: bool) -> dict[str, Any]:
    """What printed text says: the object that it is in JSON, or else the text."""
    if not whole:
        return {"text": text, "truncated": True}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"text": text}
    return value if isinstance(value, dict) else {"text": text}


def added(before: Mapping[str, int], more: object) -> dict[str, int]:
    """The sums of tokens, by their names."""
    sums = dict(before)
    for name, count in more.items() if isinstance(more, dict) else ():
        if isinstance(count, int) and (name in sums or len(sums) < _MOST_TOKENS):
            sums[str(name)] = sums.get(str(name), 0) + count
    return sums


def _fits(value: Any) -> bool:
    try:
        return len(json.dumps(value)) <= _LARGEST
    except (ValueError, RecursionError):
        return False
