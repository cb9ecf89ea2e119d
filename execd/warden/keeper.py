"""The service's hold on its warden: there is one whenever it is needed, a new one after the last has ended."""

from __future__ import annotations

from pathlib import Path

import anyio
import structlog

from execd.warden.client import Warden

log = structlog.get_logger(__name__)


class Keeper:
    """Reaches the warden of a folder. `patience` is how many seconds it lives on, with everything in it, when the
    service has gone without ending it."""

    def __init__(self, folder: Path, patience: float) -> None:
        self._folder = folder
        self._patience = patience
        self._warden: Warden | None = None
        self._reaching = anyio.Lock()

    async def warden(self) -> Warden:
        """The warden that lives. What another service has left in the first one stays there, to be adopted or closed.
        Raises OSError."""
        async with self._reaching:
            if self._warden is None or self._warden.lost.is_set():
                first = self._warden is None
                self._warden = await Warden.reach(self._folder, self._patience)
                if not first:
                    await self._clear(self._warden)
            return self._warden

    async def part(self, *, keep: bool) -> None:
        """Let go of the warden: end it with everything in it, or with `keep` let it go on alone with what is in it, for
        as long as it has patience; one that has nothing ends. Nothing may be asked of what it has started any more."""
        if self._warden is None:
            return
        if keep and self._warden.enclosures and not self._warden.lost.is_set():
            self._warden.leave()
        else:
            await self._warden.end()
        self._warden = None

    async def _clear(self, warden: Warden) -> None:
        for enclosure in list(warden.enclosures.values()):
            log.warning("sandbox_left_over", sandbox_id=enclosure.plan.id, processes=len(enclosure.children))
            await enclosure.close()
