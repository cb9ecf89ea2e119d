"""Whether a part of the service works now, told in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from execd.errors import ExecdError

PATIENCE = 5.0
"""How long a part may take to answer, in seconds."""


async def lacking(check: Callable[[], Awaitable[None]], patience: float = PATIENCE) -> str:
    """What a part lacks that this check complains of; nothing where it passes."""
    try:
        with anyio.fail_after(patience):
            await check()
    except TimeoutError:
        return f"it has not answered for {patience:g} s"
    except (OSError, ExecdError) as error:
        return str(error) or type(error).__name__
    return ""
