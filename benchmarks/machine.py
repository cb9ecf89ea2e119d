"""The machine that a run was made on, in so far as it bears on the numbers."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

_PACKAGES = ("ipykernel", "ipython", "jupyter_client", "pyzmq", "starlette", "sse-starlette", "uvicorn", "httptools")


def describe() -> dict[str, str]:
    """Names and values, to be printed and kept with the numbers."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} logical",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
