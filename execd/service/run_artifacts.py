"""The artifacts of one run, gathered at its end: the files that it has changed, and its rich outputs.

    begin ──▶ Span of the workspace's changes ──▶ the code runs ──▶ gather: files, outputs ──▶ blobs ──▶ rows ──▶ events
                                                  └─ see: events that were journaled

Whatever goes wrong on the way costs the run its artifacts and nothing else: it is told in the log and in a notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import PurePath

import anyio
import structlog
from anyio import to_thread

from execd.errors import StorageFull
from execd.events import Artifact, Event
from execd.isolation.root import Root
from execd.service.artifact import row_of, shown
from execd.service.artifacts import Artifacts
from execd.service.basket import Basket, Why
from execd.service.execution import Execution
from execd.service.gathering import gather_files, gather_outputs
from execd.service.harvest import NO_HARVESTS, Harvest
from execd.service.journal import now_ms
from execd.service.rich_outputs import RichOutputs
from execd.service.workspace_changes import Span, WorkspaceChanges

log = structlog.get_logger(__name__)

# How long keeping what was gathered may take beyond gathering it.
_GRACE_SECONDS = 3.0


class SandboxArtifacts:
    """Gathers the artifacts of the runs of one sandbox; `close` when it ends."""

    def __init__(self, artifacts: Artifacts, root: Root, workspace: PurePath) -> None:
        self.artifacts = artifacts
        self.root = root
        self.workspace = workspace
        self.changes = WorkspaceChanges(root, workspace)

    async def begin(self, execution: Execution) -> Harvest:
        """A run is about to begin, or one that an earlier service has begun goes on: its files are found all the same.
        Raises nothing."""
        if not self.artifacts.limits.count:
            return NO_HARVESTS
        try:
            began = None if execution.started_at is None else execution.started_at * 1_000_000
            return RunArtifacts(self, execution, await self.changes.begin(began))
        except Exception:
            log.exception("artifacts_broke", execution_id=execution.id)
            return NO_HARVESTS

    def close(self) -> None:
        """Watch its workspace no longer. Safe to call twice."""
        self.changes.close()


class RunArtifacts:
    """Those of one run."""

    def __init__(self, sandbox: SandboxArtifacts, execution: Execution, span: Span) -> None:
        self._sandbox = sandbox
        self._artifacts = sandbox.artifacts
        self._execution = execution
        self._span = span
        self._outputs = RichOutputs()

    def see(self, event: Event, seq: int) -> None:
        """An event of the run, right after it was journaled."""
        self._outputs.see(event, seq)

    async def gather(self) -> Sequence[Event]:
        """The events to journal before the terminal one."""
        limits = self._artifacts.limits
        basket = Basket(limits)
        made: list[Event] = []
        with anyio.move_on_after(limits.seconds + _GRACE_SECONDS, shield=True) as patience:
            made = await self._made(basket)
        if patience.cancelled_caught:
            basket.leave_out(Why.TIME, len(basket.gathered))
        return [*made, *basket.notices()]

    def close(self) -> None:
        """There will be no more."""
        self._sandbox.changes.forget(self._span)

    async def _made(self, basket: Basket) -> list[Event]:
        try:
            await self._fill(basket)
            return await self._keep(basket)
        except StorageFull as error:
            log.warning("artifacts_not_kept", execution_id=self._execution.id, why=str(error))
            basket.leave_out(Why.STORAGE, len(basket.gathered))
        except Exception:
            log.exception("artifacts_broke", execution_id=self._execution.id)
            basket.leave_out(Why.FAILED, len(basket.gathered))
        finally:
            hashes = [gathered.blob.sha256 for gathered in basket.gathered]
            self._artifacts.let_go(hashes)
        await self._artifacts.discard(hashes)
        return []

    async def _fill(self, basket: Basket) -> None:
        found = await self._sandbox.changes.end(self._span)
        await self._fill_with_outputs(basket)
        if found or not found.all_seen:
            root, workspace = self._sandbox.root, self._sandbox.workspace
            work = partial(gather_files, root, workspace, found, self._artifacts.blobs, basket)
            await to_thread.run_sync(work, limiter=self._artifacts.threads)

    async def _fill_with_outputs(self, basket: Basket) -> None:
        seqs = self._outputs.seqs
        for place, seq in enumerate(seqs):
            if why := basket.refusal(0):
                basket.leave_out(why, len(seqs) - place)
                return
            piece = await self._execution.journal.read(seq - 1, 1)
            work = partial(gather_outputs, piece.records[:1], self._artifacts.blobs, basket)
            await to_thread.run_sync(work, limiter=self._artifacts.threads)

    async def _keep(self, basket: Basket) -> list[Event]:
        if not basket.gathered:
            return []
        now = now_ms()
        expires_at = self._artifacts.expiry(now)
        made = [row_of(gathered, self._execution, now, expires_at) for gathered in basket.gathered]
        await self._artifacts.add(made)
        return [Artifact(shown(row)) for row in made]
