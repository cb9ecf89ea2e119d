"""A context that is served, on fake kernels, and what tests do to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from execd.service.context import CONTEXT_DELETED, Context
from execd.service.context_limits import ContextLimits
from execd.service.execution import Execution
from tests.kernel.fake_kernel import SPEC, FakeKernels
from tests.service.stage import new_execution

LIMITS = ContextLimits(contexts=10, queue=3, run_timeout=1000, run_timeout_max=1000, interrupt_grace=0.01)


class Stage:
    """A context, its kernels, and its executions by the code that they run."""

    def __init__(self, folder: Path, kernels: FakeKernels, **limits: Any) -> None:
        self.folder = folder
        self.kernels = kernels
        self.context = Context("ctx_1", SPEC, folder, replace(LIMITS, **limits), kernels)

    def submit(self, code: str, **wanted: Any) -> Execution:
        """Put code at the end of the line."""
        execution = new_execution(self.folder, code, **wanted)
        self.context.submit(execution)
        return execution

    async def run(self, code: str, **wanted: Any) -> Execution:
        """Run code to its end."""
        execution = self.submit(code, **wanted)
        await execution.ended.wait()
        return execution

    async def started(self, execution: Execution) -> None:
        """Return once its code has been given to a kernel, and all that could happen at once has."""
        while execution.started_at is None:
            await checkpoint()
        await anyio.wait_all_tasks_blocked()

    async def held(self) -> Execution:
        """An execution that runs until `release`."""
        execution = self.submit("hold")
        await self.started(execution)
        return execution

    async def release(self, execution: Execution) -> None:
        """Let the held execution end."""
        self.kernels.last.stimulate("release")
        await execution.ended.wait()


@asynccontextmanager
async def staged(folder: Path, *failures: Exception, **limits: Any) -> AsyncIterator[Stage]:
    """A stage whose context is served while the block runs; no kernel is left afterwards."""
    stage = Stage(folder, FakeKernels(*failures), **limits)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.context.serve)
            yield stage
            await stage.context.close(CONTEXT_DELETED)
    assert stage.kernels.living == 0
    assert stage.context.waiting == 0
