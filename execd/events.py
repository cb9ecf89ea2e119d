"""What an execution can do: one frozen dataclass an event, and their one encoding.

An encoded event is a JSON object on one line, ASCII only (clients split lines on U+2028 and its kin). It is at once
the record that a journal keeps and the frame that the execd API sends, so nothing is encoded twice. `type` is always
the first key, and `seq` (from 1, no gaps) and `timestamp` (integer Unix milliseconds) follow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from pydantic_core import to_json


class Status(StrEnum):
    """Where an execution is in its life."""

    QUEUED = "queued"
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow."""
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.REJECTED)


class Reason(StrEnum):
    """Why a failed execution failed."""

    ERROR = "error"
    TIMEOUT = "timeout"
    OOM = "oom"
    KERNEL_DIED = "kernel_died"
    SANDBOX_LOST = "sandbox_lost"
    SERVICE_RESTARTED = "service_restarted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that an execution did. `late` marks what came after its end."""

    type: ClassVar[str]
    late: bool = False

    def payload(self) -> dict[str, Any]:
        """The fields of the encoded event besides type, seq, timestamp and late."""
        return {}


@dataclass(frozen=True, slots=True)
class Init(Event):
    """The execution was accepted. `text` is what clients of the execd API name it by when they interrupt it: the
    context's id for code, the execution's own for a command, which has no context."""

    type: ClassVar[str] = "init"
    execution_id: str
    context_id: str | None

    def payload(self) -> dict[str, Any]:
        fields = {"text": self.context_id or self.execution_id, "execution_id": self.execution_id}
        return fields if self.context_id is None else {**fields, "context_id": self.context_id}


@dataclass(frozen=True, slots=True)
class StatusChanged(Event):
    """A change that is not an end: queued (with the number of runs ahead), awaiting_approval, running, error."""

    type: ClassVar[str] = "status"
    text: str
    position: int | None = None

    def payload(self) -> dict[str, Any]:
        return {"text": self.text} if self.position is None else {"text": self.text, "position": self.position}


@dataclass(frozen=True, slots=True)
class ContextRestarted(Event):
    """The context's earlier state is lost: this run is the first in a new kernel."""

    type: ClassVar[str] = "context_restarted"
    generation: int
    why: str

    def payload(self) -> dict[str, Any]:
        text = f"this context runs in a new kernel, its earlier variables are lost: {self.why}"
        return {"text": text, "generation": self.generation, "why": self.why}


@dataclass(frozen=True, slots=True)
class ServiceRestarted(Event):
    """The service was ended, and this one has taken over. After a sudden end there is a hole before this event's seq:
    what came in the last 50 ms may be missing, and output that nobody was there to read."""

    type: ClassVar[str] = "service_restarted"
    kept_seq: int

    def payload(self) -> dict[str, Any]:
        text = f"the service was restarted; output after event {self.kept_seq} and before this one may be missing"
        return {"text": text, "kept_seq": self.kept_seq}


@dataclass(frozen=True, slots=True)
class Output(Event):
    """Text on one of the two streams, as the kernel sent it. `literal` is the text as JSON has it between quotes, in
    ASCII, where it came so."""

    text: str
    literal: bytes | None = field(default=None, compare=False, repr=False)

    def payload(self) -> dict[str, Any]:
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class Stdout(Output):
    type: ClassVar[str] = "stdout"


@dataclass(frozen=True, slots=True)
class Stderr(Output):
    type: ClassVar[str] = "stderr"


@dataclass(frozen=True, slots=True)
class Keepalive(Event):
    """It goes on, and has had nothing to tell for a while. Only where the API that asked for it counts these as events,
    as Baponi's does: others have pings of their own, which are in no journal."""

    type: ClassVar[str] = "keepalive"


@dataclass(frozen=True, slots=True)
class ExecutionCount(Event):
    """The number of the cell whose result follows."""

    type: ClassVar[str] = "execution_count"
    count: int

    def payload(self) -> dict[str, Any]:
        return {"execution_count": self.count}


@dataclass(frozen=True, slots=True)
class Bundle(Event):
    """A MIME bundle: `data` by MIME type, whole, with the kernel's metadata."""

    data: Mapping[str, Any]
    metadata: Mapping[str, Any]
    display_id: str | None = None

    def payload(self) -> dict[str, Any]:
        text = self.data.get("text/plain", "")
        fields: dict[str, Any] = {"results": {"text": text if isinstance(text, str) else "", **self.data}}
        if self.metadata:
            fields["metadata"] = dict(self.metadata)
        if self.display_id is not None:
            fields["display_id"] = self.display_id
        return fields


@dataclass(frozen=True, slots=True)
class Result(Bundle):
    """The value of the cell."""

    type: ClassVar[str] = "result"

    def payload(self) -> dict[str, Any]:
        return {**Bundle.payload(self), "is_main_result": True}


@dataclass(frozen=True, slots=True)
class Display(Bundle):
    """Something that the code displayed; clients see it as a result that is not the main one."""

    type: ClassVar[str] = "result"

    def payload(self) -> dict[str, Any]:
        return {**Bundle.payload(self), "is_main_result": False}


@dataclass(frozen=True, slots=True)
class DisplayUpdate(Bundle):
    """New content for every display that has this `display_id`."""

    type: ClassVar[str] = "update_display_data"


@dataclass(frozen=True, slots=True)
class ClearOutput(Event):
    """Forget the output so far; with `wait`, only when the next output comes."""

    type: ClassVar[str] = "clear_output"
    wait: bool

    def payload(self) -> dict[str, Any]:
        return {"wait": self.wait}


@dataclass(frozen=True, slots=True)
class InputRequest(Event):
    """The code waits for a line; `POST /code/executions/{id}/input` answers."""

    type: ClassVar[str] = "input_request"
    prompt: str
    password: bool

    def payload(self) -> dict[str, Any]:
        return {"text": self.prompt, "prompt": self.prompt, "password": self.password}


@dataclass(frozen=True, slots=True)
class Report(Event):
    """What code says about its run by the module execd_run: `output` (value), `usage` (tokens, cost), `tool_start` (id,
    name), `tool_end` (id, name, summary). User code may have made the fields anything."""

    type: ClassVar[str] = "report"
    kind: str
    fields: Mapping[str, Any]

    def payload(self) -> dict[str, Any]:
        return {"report": {**self.fields, "kind": self.kind}}


@dataclass(frozen=True, slots=True)
class Checkpoint(Event):
    """The code waits until somebody has approved; `content` is what they are shown."""

    type: ClassVar[str] = "checkpoint"
    name: str
    content: Any

    def payload(self) -> dict[str, Any]:
        return {"text": self.name, "name": self.name, "payload": self.content}


@dataclass(frozen=True, slots=True)
class Error(Event):
    """The code raised, or the run ended in a way that a client must see as an error."""

    type: ClassVar[str] = "error"
    ename: str
    evalue: str
    traceback: tuple[str, ...] = ()

    def payload(self) -> dict[str, Any]:
        return {"error": {"ename": self.ename, "evalue": self.evalue, "traceback": list(self.traceback)}}

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Error:
        """The error that has this payload."""
        told = payload["error"]
        return cls(told["ename"], told["evalue"], tuple(told["traceback"]))


@dataclass(frozen=True, slots=True)
class Truncated(Event):
    """The output budget was met: `dropped_bytes` of the stream's `total_bytes` stand nowhere in the journal."""

    type: ClassVar[str] = "truncated"
    stream: str
    dropped_bytes: int
    total_bytes: int

    def payload(self) -> dict[str, Any]:
        text = f"{self.dropped_bytes} of {self.total_bytes} bytes of {self.stream} were left out here"
        return {
            "text": text,
            "stream": self.stream,
            "dropped_bytes": self.dropped_bytes,
            "total_bytes": self.total_bytes,
        }


@dataclass(frozen=True, slots=True)
class Artifact(Event):
    """Something that the run made is kept by itself: `artifact` is all that there is to say of it (execd.service.
    artifact), but for links, which whoever asks gets fresh."""

    type: ClassVar[str] = "artifact"
    artifact: Mapping[str, Any]

    def payload(self) -> dict[str, Any]:
        return {"artifact": dict(self.artifact)}


@dataclass(frozen=True, slots=True)
class ArtifactsLeftOut(Event):
    """Some of what the run made became no artifacts: `count` things of `size` bytes together, as far as that is known,
    and why."""

    type: ClassVar[str] = "truncated"
    count: int
    size: int
    kept_size: int
    why: str

    def payload(self) -> dict[str, Any]:
        number = f"{self.count} of this run's artifacts" if self.count else "artifacts of this run"
        return {
            "text": f"{number} were left out: {self.why}",
            "stream": "artifacts",
            "dropped_bytes": self.size,
            "total_bytes": self.size + self.kept_size,
            "dropped_count": self.count,
        }


@dataclass(frozen=True, slots=True)
class Interruption:
    """What stopped a run: the rung of the ladder that worked, and whether the context kept its variables."""

    rung: str
    state_kept: bool


@dataclass(frozen=True, slots=True)
class Complete(Event):
    """The end: exactly one a journal. Times in ms, CPU in seconds, memory in bytes; None where it is not known.
    `execution_count` is there for a cell that has no value, which it would have come with."""

    type: ClassVar[str] = "execution_complete"
    status: Status
    reason: Reason | None = None
    exit_code: int | None = None
    duration_ms: int = 0
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    interruption: Interruption | None = None
    execution_count: int | None = None

    def payload(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"execution_time": self.duration_ms, "status": self.status.value}
        optional = {
            "reason": self.reason.value if self.reason else None,
            "exit_code": self.exit_code,
            "cpu_seconds": self.cpu_seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "execution_count": self.execution_count,
        }
        fields |= {name: value for name, value in optional.items() if value is not None}
        if self.interruption is not None:
            kept = "kept" if self.interruption.state_kept else "lost"
            fields["interruption"] = {"rung": self.interruption.rung, "state": kept}
        return fields

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Complete:
        """The end that has this payload."""
        stopped = payload.get("interruption")
        return cls(
            Status(payload["status"]),
            Reason(payload["reason"]) if "reason" in payload else None,
            exit_code=payload.get("exit_code"),
            duration_ms=payload["execution_time"],
            cpu_seconds=payload.get("cpu_seconds"),
            peak_memory_bytes=payload.get("peak_memory_bytes"),
            interruption=Interruption(stopped["rung"], stopped["state"] == "kept") if stopped else None,
            execution_count=payload.get("execution_count"),
        )


_TERMINAL_PREFIX = b'{"type":"execution_complete",'
_encoder = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def encode(event: Event, seq: int, timestamp: int) -> bytes:
    """The event as one line of ASCII JSON, without a line end. NaN and the infinities become null."""
    if isinstance(event, Output) and event.literal is not None and not event.late:
        head = b'{"type":"%b","seq":%d,"timestamp":%d,"text":"' % (event.type.encode(), seq, timestamp)
        return b"".join((head, event.literal, b'"}'))
    fields: dict[str, Any] = {"type": event.type, "seq": seq, "timestamp": timestamp}
    if event.late:
        fields["late"] = True
    fields |= event.payload()
    return _quickly(fields) or _in_ascii(fields)


def _quickly(fields: dict[str, Any]) -> bytes | None:
    # A quarter of the time of json, but not in ASCII where there is anything else.
    try:
        record = to_json(fields, inf_nan_mode="null")
    except ValueError:
        return None
    return record if record.isascii() else None


def _in_ascii(fields: dict[str, Any]) -> bytes:
    try:
        return _encoder.encode(fields).encode("ascii")
    except ValueError:
        return _encoder.encode(_finite(fields)).encode("ascii")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def is_terminal(record: bytes) -> bool:
    """Whether an encoded event is the end of its journal."""
    return record.startswith(_TERMINAL_PREFIX)
