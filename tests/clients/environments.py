"""Clients that do not fit into the development environment: each gets one of its own below .venvs, made once.

What an environment holds is told by a digest over its pins and its interpreter: changed pins make a new one. Test
processes that want the same environment at the same time wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NPM_PROJECT = Path(__file__).parent / "npm" / "package.json"

_FOLDER = ROOT / ".venvs"
# undici, which the SDK sends its requests with, needs it.
_OLDEST_NODE = (20, 18, 1)


def python_environment(name: str) -> Path:
    """The folder of the programs that requirements/`name`.txt installs."""
    pins = ROOT / "requirements" / f"{name}.txt"

    def make(folder: Path) -> None:
        _run(sys.executable, "-m", "venv", str(folder))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
        _run(*pip, "install", "--no-deps", "--prefer-binary", "-r", str(pins))

    return _made(name, pins.read_bytes() + sys.version.encode(), make) / "bin"


def node_environment() -> Path:
    """The folder with the node_modules that npm/package.json names. Skips or fails the test where there is no Node."""
    version = _node_version()

    def make(folder: Path) -> None:
        folder.mkdir()
        shutil.copy(NPM_PROJECT, folder)
        _run(
            "npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", cwd=folder
        )

    return _made("npm", NPM_PROJECT.read_bytes() + version.encode(), make)


def _node_version() -> str:
    if shutil.which("node") is None or shutil.which("npm") is None:
        _unavailable("node and npm are not installed")
    version = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    if tuple(map(int, version.lstrip("v").split("."))) < _OLDEST_NODE:
        _unavailable(f"node is {version}, and the SDK needs {'.'.join(map(str, _OLDEST_NODE))}")
    return version


def _unavailable(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{why}; in CI the JavaScript SDK must be tested (.ci/run installs Debian's packages)")
    pytest.skip(why)


def _made(name: str, content: bytes, make: Callable[[Path], None]) -> Path:
    folder, stamp = _FOLDER / name, _FOLDER / f"{name}.made"
    wanted = hashlib.sha256(content + str(folder).encode()).hexdigest()
    with _exclusive(name):
        if not (stamp.is_file() and stamp.read_text() == wanted):
            stamp.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            stamp.write_text(wanted)
    return folder


@contextmanager
def _exclusive(name: str) -> Iterator[None]:
    _FOLDER.mkdir(exist_ok=True)
    with (_FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*argv: str, cwd: Path | None = None) -> None:
    done = subprocess.run(argv, cwd=cwd, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(argv)} exited with {done.returncode}: {done.stdout}{done.stderr}"
