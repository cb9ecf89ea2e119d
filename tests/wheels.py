"""Wheels that tests build, an index that has one, and the virtual environment of a sandbox to install them in."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
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


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def package_index(place: Path, host: str) -> Iterator[int]:
    """An index of packages at this address of ours, with one package, teapot; gives its port."""
    folder = place / "simple" / "teapot"
    folder.mkdir(parents=True)
    name = build_wheel(folder, "teapot", "1.0", {"teapot.py": "heat = 'hot'\n"}).name
    (folder / "index.html").write_text(f'<!DOCTYPE html><html><body><a href="{name}">{name}</a></body></html>')
    with ThreadingHTTPServer((host, 0), partial(_Quiet, directory=str(place))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


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
