"""What makes libraries show themselves well to a service. One module a library, each with `install(shell)`.

None imports its library: they act when user code has done so. None leaves a name in the user's namespace.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

ANYWHERE = ("matplotlib", "chart", "pandas", "plotly", "altair", "asyncio", "run")
"""Those that need nothing but a shell."""

HERE = ("threads", "packages")
"""Those that look at the process, its environment or its threads."""

MODULES = ANYWHERE + HERE


def install(shell: Any, names: Sequence[str] = MODULES) -> list[str]:
    """Install these modules in `shell`. One that fails is reported on the kernel's own stderr and left out; its name is
    among those that are returned."""
    failed = []
    for name in names:
        try:
            import_module(f"{__name__}.{name}").install(shell)
        except Exception:
            failed.append(name)
            shell.log.exception("The start-up file for %s failed; its outputs are shown as in stock ipykernel", name)
    return failed
