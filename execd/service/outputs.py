"""What an execution has brought forth, as a notebook would show it: folded from its journal.

    stdout, stderr ─────────▶ chunks, as they came
    result ─────────────────▶ results      update_display_data: the displays with that id have this content instead
    clear_output ───────────▶ nothing so far; with `wait`, once more output comes
    error, execution_count ─▶ the last one
    artifact ───────────────▶ artifacts, which nothing clears
    context_restarted ──────▶ restarted

What came after the end is not part of it. `Outputs` does no I/O.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from anyio import to_thread

from execd.service.execution import Execution

_LOOP_BYTES = 32 * 1024

Event = dict[str, Any]


@dataclass(slots=True)
class Shown:
    """A MIME bundle that stands in the transcript: the cell's value, or something that it displayed."""

    data: Mapping[str, Any]
    is_main: bool = False


@dataclass(slots=True)
class Outputs:
    """The fold. Chunks keep their line ends; a notice of what is missing stands among those of stderr."""

    results: list[Shown] = field(default_factory=list)
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    artifacts: list[Mapping[str, Any]] = field(default_factory=list)
    error: Mapping[str, Any] | None = None
    execution_count: int | None = None
    restarted: str | None = None
    _displays: dict[str, list[Shown]] = field(default_factory=dict)
    _to_clear: bool = False

    def add(self, records: Iterable[bytes]) -> None:
        """Take further records of the journal, in their order."""
        for record in records:
            event = json.loads(record)
            if not event.get("late"):
                self._take(event)

    def _take(self, event: Event) -> None:
        match event["type"]:
            case "stdout" | "stderr":
                self._output()
                (self.stdout if event["type"] == "stdout" else self.stderr).append(event["text"])
            case "result":
                self._output()
                self._show(event)
            case "update_display_data":
                for shown in self._displays.get(event.get("display_id", ""), ()):
                    shown.data = bundle_of(event)
            case "clear_output":
                self._clear(wait=event["wait"])
            case "truncated" | "service_restarted":
                self.stderr.append(notice(event))
            case _:
                self._note(event)

    def _note(self, event: Event) -> None:
        match event["type"]:
            case "error":
                self._output()
                self.error = event["error"]
            case "execution_count" | "execution_complete":
                self.execution_count = event.get("execution_count", self.execution_count)
            case "artifact":
                self.artifacts.append(event["artifact"])
            case "context_restarted":
                self.restarted = event["text"]

    def _show(self, event: Event) -> None:
        shown = Shown(bundle_of(event), event["is_main_result"])
        self.results.append(shown)
        if "display_id" in event:
            self._displays.setdefault(event["display_id"], []).append(shown)

    def _clear(self, *, wait: bool) -> None:
        self._to_clear = True
        if not wait:
            self._output()

    def _output(self) -> None:
        if self._to_clear:
            self._to_clear = False
            for forgotten in (self.results, self.stdout, self.stderr, self._displays):
                forgotten.clear()


def bundle_of(event: Event) -> Mapping[str, Any]:
    """The MIME bundle of a result's event, without the field that only clients of the execd API look for."""
    return {mime_type: content for mime_type, content in event["results"].items() if mime_type != "text"}


def notice(event: Event) -> str:
    """A line that says what is missing from the output."""
    return f"[execd: {event['text']}]\n"


async def outputs_of(execution: Execution, into: Outputs | None = None) -> Outputs:
    """What the journal holds so far, folded `into` what is given, if anything is. Long journals are folded in a thread,
    a slice at a time. Raises StorageFull when it cannot be read."""
    found = Outputs() if into is None else into
    after = 0
    while (told := await execution.journal.read(after)).records:
        if sum(map(len, told.records)) > _LOOP_BYTES:
            await to_thread.run_sync(partial(found.add, told.records))
        else:
            found.add(told.records)
        after = told.last
    return found
