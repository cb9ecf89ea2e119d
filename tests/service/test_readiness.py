"""What a part of the service lacks."""

from __future__ import annotations

import anyio

from execd.errors import StorageFull
from execd.service.readiness import lacking


async def fine() -> None:
    """Complain of nothing."""


async def full() -> None:
    """Complain as the store does."""
    raise StorageFull("disk full")


async def lost() -> None:
    """Complain as the warden's client does."""
    raise OSError(111, "Connection refused")


async def test_what_is_lacking() -> None:
    assert await lacking(fine) == ""
    assert "disk full" in await lacking(full)
    assert "Connection refused" in await lacking(lost)
    assert await lacking(anyio.sleep_forever, 0.01) == "it has not answered for 0.01 s"
