"""A hint for `asyncio.run()` in a cell, which fails because the kernel's own loop is running."""

from types import TracebackType
from typing import Any

HINT = "Hint: an event loop already runs this code. Use top-level await: `await main()`, not `asyncio.run(main())`."

SYMPTOMS = ("cannot be called from a running event loop", "event loop is already running", "another loop is running")


def install(shell: Any) -> None:
    """Add the hint to such errors' tracebacks; their class and message stay as they are."""
    shell.set_custom_exc((RuntimeError,), show)


def show(
    shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: int | None = None
) -> None:
    """Show `error` as IPython does, the hint below it where it helps."""
    if any(symptom in str(error) for symptom in SYMPTOMS) and HINT not in getattr(error, "__notes__", ()):
        error.add_note(HINT)
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
