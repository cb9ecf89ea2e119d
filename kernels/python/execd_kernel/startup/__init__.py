"""What makes libraries show themselves well to a service. One module a library, each with `install(shell)`.

None imports its library: they act when user code has done so. None leaves a name in the user's namespace.
"""

from importlib import import_module
from typing import Any

MODULES = ("matplotlib", "pandas", "plotly", "altair", "asyncio", "threads", "packages")


def install(shell: Any) -> None:
    """Install every module in `shell`. One that fails is reported on the kernel's own stderr and left out."""
    for name in MODULES:
        try:
            import_module(f"{__name__}.{name}").install(shell)
        except Exception:
            shell.log.exception("The start-up file for %s failed; its outputs are shown as in stock ipykernel", name)
