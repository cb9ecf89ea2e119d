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

    def leave(self) -> None:
        """Let the warden go on alone, with everything in it, for as long as it has patience; nothing may be asked of
        it, or of what it has started, any more."""
        if self._warden is not None:
            self._warden.leave()

    async def end(self) -> None:
        """End the warden with everything in it; nothing where there is none."""
        if self._warden is not None:
            await self._warden.end()
            self._warden = None

    async def _clear(self, warden: Warden) -> None:
        for enclosure in list(warden.enclosures.values()):
            log.warning("sandbox_left_over", sandbox_id=enclosure.plan.id, processes=len(enclosure.children))
            await enclosure.close()
