"""Code runs: the executions of a sandbox's contexts, whatever API they came by. Commands and what runs in sessions are
none. What of them is told beyond what an execution knows is decided here."""

from __future__ import annotations

from dataclasses import replace

from execd.errors import ExecutionNotFound
from execd.events import Reason, Status
from execd.service.contexts import CONTEXT
from execd.service.execution import Execution
from execd.service.executions import Page, SandboxExecutions
from execd.settings import Settings
from execd.store.executions import Wanted

_PREFIX = f"{CONTEXT}_"
_REASON_CHARACTERS = 1000


class CodeRuns:
    """Those of one sandbox, as long as their records are kept, whatever has become of the sandbox."""

    def __init__(self, executions: SandboxExecutions) -> None:
        self._executions = executions

    async def get(self, run_id: str) -> Execution:
        """The run with this id. Raises ExecutionNotFound, StorageFull."""
        found = await self._executions.get(run_id)
        if not (found.context_id or "").startswith(_PREFIX):
            raise ExecutionNotFound(run_id)
        return found

    async def page(self, wanted: Wanted, limit: int, before: int | None = None) -> Page:
        """Some of them, the newest first, as `Executions.page` has it."""
        return await self._executions.page(replace(wanted, context_prefix=_PREFIX), limit, before)


def kept_until(execution: Execution, settings: Settings) -> int:
    """Until when its record is kept, if nothing else removes it and it ends now; Unix ms."""
    return (execution.finished_at or execution.created_at) + int(settings.keep_executions_age * 1000)


def failure_reason(execution: Execution) -> str | None:
    """Why it failed: one of the reasons, a colon, and a sentence. None if it did not."""
    complete, error = execution.complete, execution.error
    if complete is None or complete.status is not Status.FAILED:
        return None
    reason = complete.reason or Reason.ERROR
    if error is None:
        return f"{reason}: the run failed"
    said = f"{error.ename}: {error.evalue}" if reason is Reason.ERROR else error.evalue
    return f"{reason}: {said[:_REASON_CHARACTERS]}"
