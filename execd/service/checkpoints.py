"""The checkpoints of one run: where its code waits, with all its state alive, until somebody has decided."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from functools import partial

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
        self._before: Sequence[Checkpoint] | None = None
        self._asked_before_start = 0

    def ask(self, checkpoint: Checkpoint) -> None:
        """The code waits here."""
        self._asked.append(checkpoint)
        self._news.set()

    def recall(self, asked: Sequence[Checkpoint], *, before_start: int) -> None:
        """An earlier service has heard of these; so many approvals were asked for before the run was started."""
        self._before, self._asked_before_start = asked, before_start

    async def serve(self, context: Context) -> None:
        """Serve what the code in this context asks, until cancelled."""
        if self._before is not None:
            await self._catch_up(self._before, context)
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            if self._asked and self._execution.status is Status.RUNNING:
                await self._serve(self._asked.popleft(), context)

    async def _catch_up(self, before: Sequence[Checkpoint], context: Context) -> None:
        """Go on where the earlier service was: it had not asked, or waited, or perhaps not answered any more. What it
        had asked is kept before what it had heard. An answer that comes twice is thrown away by the code's next
        question."""
        try:
            rows = await self._approvals.of(self._execution.id)
            asked = rows[: len(rows) - self._asked_before_start]
            if len(asked) < len(before):
                self.ask(before[-1])
            elif asked:
                await self._wait(asked[0], context)
        except StorageFull as error:
            self._go_on(context, approved=False, reason=str(error))

    async def _serve(self, checkpoint: Checkpoint, context: Context) -> None:
        try:
            row = await self._approvals.ask(self._execution, checkpoint.name, checkpoint.content, self._patience)
            await self._wait(row, context)
        except StorageFull as error:
            self._go_on(context, approved=False, reason=str(error))

    async def _wait(self, row: ApprovalRow, context: Context) -> None:
        if row.status == PENDING and self._execution.status is Status.RUNNING:
            self._execution.park()
        await self._approvals.wait(row, partial(self._answer, context))

    def _answer(self, context: Context, row: ApprovalRow) -> None:
        if not self._execution.journal.ended:
            self._go_on(context, approved=row.status == APPROVED, reason=row.reason)

    def _go_on(self, context: Context, *, approved: bool, reason: str) -> None:
        execution = self._execution
        execution.rejected = execution.rejected or not approved
        if execution.status is Status.AWAITING_APPROVAL:
            execution.resume()
        context.answer_input(json.dumps({"approved": approved, "reason": reason}))
