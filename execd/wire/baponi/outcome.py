"""What this dialect calls how a run stands and how it ended. Pure."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from execd.events import Reason, Status
from execd.service.execution import Execution
from execd.service.transcript import Transcript
from execd.wire.baponi.rules import Mode
from execd.wire.baponi.schemas import BaponiExecution, BaponiResult
from execd.wire.statuses import WORDS
from execd.wire.times import rfc3339

_SIGNALLED = 128
_NEVER_RAN = -1

# The status, and the word in a result where it was not the program itself that failed.
ENDS: Mapping[tuple[Status, Reason | None], tuple[str, str | None]] = {
    (Status.QUEUED, None): ("running", None),
    (Status.RUNNING, None): ("running", None),
    (Status.AWAITING_APPROVAL, None): (WORDS[Status.AWAITING_APPROVAL].baponi, None),
    (Status.SUCCEEDED, None): ("success", None),
    (Status.FAILED, Reason.ERROR): ("failed", None),
    (Status.FAILED, Reason.TIMEOUT): ("timeout", "timeout"),
    (Status.FAILED, Reason.OOM): ("oom", "memory_limit_exceeded"),
    (Status.FAILED, Reason.KERNEL_DIED): ("failed", "kernel_died"),
    (Status.FAILED, Reason.SANDBOX_LOST): ("failed", "sandbox_lost"),
    (Status.FAILED, Reason.SERVICE_RESTARTED): ("failed", "service_restarted"),
    (Status.CANCELLED, None): ("cancelled", "Cancelled by user"),
    (Status.REJECTED, None): (WORDS[Status.REJECTED].baponi, "rejected"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run stands. `exit_code` is None while it runs."""

    status: str
    exit_code: int | None = None
    error: str | None = None

    @classmethod
    def of(cls, execution: Execution) -> Outcome:
        """That of an execution."""
        complete = execution.complete
        if complete is None:
            return cls(ENDS[execution.status, None][0])
        status, error = ENDS[complete.status, complete.reason]
        if complete.exit_code is None and complete.reason is Reason.ERROR:
            error = _unstarted(execution.language, execution.error.evalue if execution.error else "")
        return cls(status, _exit_code(complete.exit_code), error)

    def result(self, told: Transcript) -> BaponiResult:
        """The result of a run that has ended, and has printed this."""
        return BaponiResult(
            success=self.status == "success",
            stdout=told.stdout,
            stderr=told.stderr,
            exit_code=_NEVER_RAN if self.exit_code is None else self.exit_code,
            error=self.error,
        )


def shown(execution: Execution, told: Transcript | None) -> BaponiExecution:
    """An execution as this dialect shows it; `told` is what it has printed, None while it runs."""
    outcome, detail = Outcome.of(execution), execution.origin.detail
    return BaponiExecution(
        trace_id=execution.id,
        status=outcome.status,
        exit_code=outcome.exit_code,
        stdout=None if told is None else told.stdout,
        stderr=None if told is None else told.stderr,
        error=outcome.error,
        duration_ms=execution.elapsed_ms(),
        delivery_mode=mode_in(detail).value,
        created_at=rfc3339(execution.created_at),
        completed_at=None if execution.finished_at is None else rfc3339(execution.finished_at),
        webhook_url=execution.origin.webhook_url,
        webhook_delivery_status=execution.webhook_delivery,
    )


def detail_of(mode: Mode, thread_id: str | None, metadata: Mapping[str, str]) -> dict[str, Any]:
    """What only this dialect knows of a run."""
    return {"mode": mode.value, "thread_id": thread_id, "metadata": dict(metadata)}


def mode_in(detail: Mapping[str, Any]) -> Mode:
    """How the result of a run was to be told."""
    return Mode(detail.get("mode", Mode.INLINE))


def _exit_code(code: int | None) -> int:
    if code is None:
        return _NEVER_RAN
    return code if code >= 0 else _SIGNALLED - code


def _unstarted(language: str, why: str) -> str:
    if why.endswith(os.strerror(errno.ENOENT)):
        return f"Language {language!r} not available in this image"
    return f"the program could not be started: {why}"
