"""The checkpoints of one run: where its code waits, with all its state alive, until somebody has decided."""

from __future__ import annotations

import json
from collections import deque

import anyio

from execd.errors import StorageFull
from execd.events import Checkpoint, Status
from execd.service.approvals import APPROVED, Approvals
from execd.service.context import Context
from execd.service.execution import Execution
from execd.store.approvals import PENDING, ApprovalRow


class Checkpoints:
    """Asks for approvals when the code does, one after the other, and answers the code."""

    def __init__(self, approvals: Approvals, execution: Execution, patience: float) -> None:
        self._approvals = approvals
        self._execution = execution
        self._patience = patience
        # More than one at a time comes only of code that makes up messages of its own.
        self._asked: deque[Checkpoint] = deque(maxlen=1)
        self._news = anyio.Event()

    def ask(self, checkpoint: Checkpoint) -> None:
        """The code waits here."""
        self._asked.append(checkpoint)
        self._news.set()

    async def serve(self, context: Context) -> None:
        """Serve what the code in this context asks, until cancelled."""
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            if self._asked and self._execution.status is Status.RUNNING:
                await self._serve(self._asked.popleft(), context)

    async def _serve(self, checkpoint: Checkpoint, context: Context) -> None:
        execution = self._execution
        try:
            row = await self._approvals.ask(execution, checkpoint.name, checkpoint.content, self._patience)
            if execution.status is Status.RUNNING:
                execution.park()
            await self._approvals.wait(row, lambda decided: self._answer(decided, context))
        except StorageFull as error:
            self._go_on(context, approved=False, reason=str(error))

    def _answer(self, row: ApprovalRow, context: Context) -> None:
        if row.status != PENDING and not self._execution.journal.ended:
            self._go_on(context, approved=row.status == APPROVED, reason=row.reason)

    def _go_on(self, context: Context, *, approved: bool, reason: str) -> None:
        execution = self._execution
        execution.rejected = execution.rejected or not approved
        if execution.status is Status.AWAITING_APPROVAL:
            execution.resume()
        context.answer_input(json.dumps({"approved": approved, "reason": reason}))
