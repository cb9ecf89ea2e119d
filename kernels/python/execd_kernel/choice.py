"""Which kernel it is: the lean one, or ipykernel's own."""

import os
import sys

from ipykernel._version import __version__
from ipykernel.kernelapp import IPKernelApp

VARIABLE = "EXECD_PYTHON_KERNEL"
LEAN, STOCK = "lean", "stock"

MADE_FOR = "7.4."
"""What the version of ipykernel begins with whose inner workings the lean kernel knows."""


def chosen() -> str:
    """The one that is asked for. Where there is another ipykernel than the lean one is made for, the stock one, and
    that is told on the kernel's original stderr. Ends the process where something else is asked for."""
    wanted = os.environ.get(VARIABLE) or LEAN
    if wanted not in (LEAN, STOCK):
        raise SystemExit(f"{VARIABLE}: expected {LEAN} or {STOCK}, got {wanted!r}")
    if wanted == LEAN and not is_made_for(__version__):
        print(
            f"ipykernel is {__version__}, and the lean kernel is made for {MADE_FOR}*: this is the stock one",
            file=sys.stderr,
        )
        return STOCK
    return wanted


def is_made_for(version: str) -> bool:
    """Whether the lean kernel works with this version of ipykernel."""
    return version.startswith(MADE_FOR)


def application() -> type[IPKernelApp]:
    """The application to launch. A process in which a lean kernel has been prepared, and another is asked for, starts
    anew."""
    kind = chosen()
    if kind == STOCK and IPKernelApp.initialized():
        os.execv(sys.executable, [sys.executable, *sys.argv])
    os.environ.pop(VARIABLE, None)
    if kind == STOCK:
        from execd_kernel.stock import StockApp

        return StockApp
    from execd_kernel.app import KernelApp

    return KernelApp
