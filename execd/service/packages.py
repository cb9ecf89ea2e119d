"""What a sandbox installs, and where that goes: a virtual environment of its own, in front of the kernels' environment.

The kernels' environment is read-only and shared. The sandbox's has a Python with a prefix of its own, which finds the
shared packages behind its own ones. To pip the former are there but outside of its environment: it counts them as
installed, puts a newer one in front of them, and never tries to remove them. A kernel enters the environment that
VIRTUAL_ENV names by itself (kernels/python/execd_kernel/packages.py), because its interpreter may have started before.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from execd.errors import CannotServe

FOLDER = ".venv"
"""The environment's folder in the home of a sandbox."""

OWN_PACKAGES = (
    "what a sandbox installs with pip is its own, in ~/.venv, in front of the kernels' packages, and goes with it"
)
SHARED_PACKAGES = "what pip installs goes into the Python that the kernels of all sandboxes run in"

_PATIENCE = 60
_PIP = "import runpy\nrunpy.run_module('pip', run_name='__main__', alter_sys=True)\n"
_PROBE = """
import importlib.util, json, os, site, sys, sysconfig
sites = [folder for folder in site.getsitepackages() if folder in sys.path]
print(json.dumps({
    "base": os.path.realpath(sys._base_executable), "version": ".".join(map(str, sys.version_info[:3])),
    "sites": sites, "bin": sysconfig.get_path("scripts"), "virtual": sys.prefix != sys.base_prefix,
    "pip": importlib.util.find_spec("pip") is not None,
    "ipykernel": importlib.util.find_spec("ipykernel") is not None,
    "prefixes": [sys.prefix, sys.base_prefix],
}))
"""


@dataclass(frozen=True, slots=True)
class KernelPython:
    """The Python that kernels run in: the real program behind it, its version, the folders that it imports packages
    from, the scripts that its packages came with, without their first lines, the folders that all of it is in, and
    whether it has ipykernel."""

    base: str
    version: str
    sites: tuple[str, ...]
    scripts: Mapping[str, str] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    has_ipykernel: bool = True

    @property
    def name(self) -> str:
        """The program's name and that of its library's folder, such as python3.12."""
        return "python" + ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True)
class Layout:
    """Files and symlinks to be made in a folder, by their paths in it. A file in `bin` can be executed."""

    files: Mapping[str, str]
    links: Mapping[str, str]

    def folders(self) -> list[str]:
        """The folders that they need, parents first."""
        needed = {str(parent) for path in (*self.files, *self.links) for parent in Path(path).parents}
        return sorted(needed - {"."})


def packages_environment(folder: str, path: str) -> dict[str, str]:
    """The variables that make programs use the environment in `folder` (as the sandbox sees it), given their PATH.

    Without a cache, because it would only fill the sandbox, and without a question on the network for a newer pip.
    """
    return {
        "VIRTUAL_ENV": folder,
        "PATH": f"{folder}/bin:{path}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
    }


def virtual_environment(folder: str, python: KernelPython) -> Layout:
    """What a new sandbox's environment consists of. `folder` is its path as the sandbox sees it.

    The shared packages' scripts are there too, for the environment's Python, so that they find what it installs.
    """
    library = f"lib/{python.name}/site-packages"
    files = {f"bin/{name}": f"#!{folder}/bin/python\n{text}" for name, text in python.scripts.items()}
    files["pyvenv.cfg"] = (
        f"home = {Path(python.base).parent}\ninclude-system-site-packages = false\nversion = {python.version}\n"
    )
    # The last of the .pth files: what others add comes in front of the shared packages, as the environment itself does.
    # One expression without a name of its own in it: what a .pth file runs has no scope that nests.
    files[f"{library}/zz-shared.pth"] = (
        f"import site, sys; shared = {list(python.sites)!r}; "
        "list(map(site.addsitedir, sorted(set(shared).difference(sys.path), key=shared.index)))\n"
    )
    links = {"bin/python": python.base, "bin/python3": "python", f"bin/{python.name}": "python", "lib64": "lib"}
    return Layout(files, links)


def lay_out(layout: Layout, folder: int, owner: tuple[int, int] | None = None) -> None:
    """Make it in the folder behind a descriptor, for the owner (uid, gid). Nothing may run yet that could put symlinks
    in the way. Raises OSError, FileExistsError for what is there already."""
    for path in layout.folders():
        os.mkdir(path, 0o755, dir_fd=folder)
    for path, text in layout.files.items():
        mode = 0o755 if path.startswith("bin/") else 0o644
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=folder)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(descriptor, mode)
    for path, target in layout.links.items():
        os.symlink(target, path, dir_fd=folder)
    if owner:
        for path in (*layout.folders(), *layout.files, *layout.links):
            os.chown(path, *owner, dir_fd=folder, follow_symlinks=False)


def describe_python(executable: Path) -> KernelPython:
    """Ask a Python what it is; takes as long as it takes to start. Raises CannotServe for one that does not run."""
    facts = _ask(executable)
    python = KernelPython(
        facts["base"],
        facts["version"],
        tuple(facts["sites"]),
        prefixes=tuple(dict.fromkeys(facts["prefixes"])),
        has_ipykernel=facts["ipykernel"],
    )
    pips = [python.name.replace("python", "pip"), "pip3", "pip"] if facts["pip"] else []
    scripts = _scripts(Path(facts["bin"])) if facts["virtual"] else {}  # the machine's own are not for packages alone
    return replace(python, scripts=dict.fromkeys(pips, _PIP) | scripts)


def _ask(executable: Path) -> dict[str, Any]:
    command = [str(executable), "-I", "-c", _PROBE]
    try:
        told = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=True)
        facts: dict[str, Any] = json.loads(told.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise CannotServe(f"EXECD_KERNEL_PYTHON: {executable} does not run: {_complaint(error)}") from error
    return facts


def _complaint(error: Exception) -> str:
    """In one line: what it said last, where it said something."""
    if isinstance(error, subprocess.CalledProcessError):
        lines = error.stderr.decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"it ends with {error.returncode}")
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it has not answered in {_PATIENCE} seconds"
    return error.strerror or str(error) if isinstance(error, OSError) else "it is no Python"


def _scripts(folder: Path) -> dict[str, str]:
    """The scripts in a folder that run by a Python of the same folder."""
    found = {}
    for path in folder.iterdir():
        if path.is_file() and not path.is_symlink():
            first, _, rest = path.read_bytes().partition(b"\n")
            if first.startswith(f"#!{folder}/python".encode()) and b" " not in first:
                found[path.name] = rest.decode("utf-8", "replace")
    return found
