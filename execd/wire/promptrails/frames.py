"""The frames of an execution's stream: `event: <name>`, `data: <object>`, an empty line; with LF, for the clients read
nothing else. One of `done` and `error` is the last."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from execd.events import Status
from execd.service.agent_output import TOKENS
from execd.service.execution import Execution
from execd.service.journal import Slice
from execd.wire.promptrails.rendering import error_of, output_of
from execd.wire.statuses import promptrails_word


class ExecutionFrames:
    """The framing of one execution's journal, for clients of this generation."""

    def __init__(self, execution: Execution, *, newer: bool) -> None:
        self._execution = execution
        self._newer = newer

    def frame(self, seq: int | None, record: bytes) -> bytes:  # noqa: ARG002  # nothing is resumed in this dialect
        """What a record is to these clients, which may be nothing."""
        return b"".join(frame(name, data) for name, data in self._told(json.loads(record)))

    def frames(self, records: Slice) -> bytes:
        """The same of several."""
        return b"".join(self.frame(None, record) for record in records.records)

    def ping(self) -> bytes:
        """A comment."""
        return b": ping\n\n"

    def _told(self, event: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        match event["type"]:
            case "init":
                yield "execution", {"execution_id": self._execution.id}
            case "stdout":
                yield "content", {"content": event["text"]}
            case "report":
                yield from tool_frames(event["report"])
            case "status" if event["text"] in (Status.AWAITING_APPROVAL, Status.RUNNING):
                # Unknown to clients, which skip it.
                yield "status", {"status": promptrails_word(Status(event["text"]), newer=self._newer)}
            case "execution_complete":
                yield end_of(self._execution)


def end_of(execution: Execution) -> tuple[str, Mapping[str, Any]]:
    """The last frame of one that has ended."""
    if execution.status is not Status.SUCCEEDED:
        return "error", {"message": error_of(execution)}
    output = output_of(execution)
    done = {} if output is None else {"output": output}
    return "done", {**done, "token_usage": execution.origin.detail.get(TOKENS, {})}


def tool_frames(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What is told of a tool that the code uses."""
    if report.get("kind") in ("tool_start", "tool_end"):
        told = {name: str(report[name]) for name in ("id", "name", "summary") if report.get(name)}
        yield str(report["kind"]), told


def frame(name: str, data: Mapping[str, Any]) -> bytes:
    """One frame."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
