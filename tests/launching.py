"""A warden for tests, and sandboxes in it that have no walls."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio

from execd.identifiers import new_id
from execd.isolation.plan import Mode, Plan
from execd.warden.client import Enclosure, Warden

_PATIENCE = 120


@contextlib.contextmanager
def warden_folder() -> Iterator[Path]:
    """A folder for a warden, which ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="execd-warden-", dir="/tmp"))
    try:
        yield folder
    finally:
        anyio.run(_end_warden, folder)
        shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def enclosure_in(folder: Path) -> AsyncIterator[Enclosure]:
    """A sandbox that is the machine as it is, made by the warden of this folder; nothing runs in it afterwards."""
    warden = await Warden.reach(folder, _PATIENCE)
    enclosure = await warden.open(Plan(new_id("sb"), Mode.PROCESS, None, "/tmp", os.environ.get("HOME", "/")))
    try:
        yield enclosure
    finally:
        with anyio.CancelScope(shield=True):
            await enclosure.close()
        warden.hang_up()


async def _end_warden(folder: Path) -> None:
    await (await Warden.reach(folder, _PATIENCE)).end()
