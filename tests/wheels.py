"""Wheels that tests build, and the virtual environment of a sandbox to install them in."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from execd.service.packages import FOLDER, KernelPython, lay_out, virtual_environment


def build_wheel(folder: Path, name: str, version: str, files: Mapping[str, str], scripts: str = "") -> Path:
    """A pure Python wheel with these files, and console scripts as lines of `name = module:function`."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    held = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if scripts:
        held[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}\n"
    held[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in (*held, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in held.items():
            wheel.writestr(file, text)
    return path


def sandbox_packages(home: Path, python: KernelPython) -> Path:
    """The environment of a sandbox with that home, as new."""
    folder = home / FOLDER
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        lay_out(virtual_environment(str(folder), python), descriptor)
    finally:
        os.close(descriptor)
    return folder
