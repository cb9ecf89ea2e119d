"""The virtual environment that VIRTUAL_ENV names: where `%pip` installs, in front of what the kernel's Python has.

A kernel's interpreter starts without it: it may be a fork of a process that is older than the environment. So it
enters while it runs. Standard library only, and in place before anything else is imported.
"""

import os
import site
import sys
from pathlib import Path


def enter() -> None:
    """Make the environment this interpreter's, where it is one for this version of Python and not that already.

    Where a module that the environment has was imported from elsewhere before, in a process that this one is a fork
    of, there is no way back: the program starts anew, as the environment's own Python.
    """
    folder = packages_folder()
    if folder is None or is_prefix(folder.parents[2]):
        return
    python = folder.parents[2] / "bin" / "python"
    if not os.access(python, os.X_OK):
        return
    if is_shadowing(folder):
        os.execv(python, [str(python), *sys.argv])
    sys.executable = str(python)
    sys.prefix = sys.exec_prefix = str(folder.parents[2])
    spawn = sys.modules.get("multiprocessing.spawn")
    if spawn is not None:
        spawn.set_executable(sys.executable)
    add_packages(folder)


def packages_folder() -> Path | None:
    """The environment's folder of packages, if there is one for this version of Python."""
    environment = os.environ.get("VIRTUAL_ENV")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = Path(environment or "/dev/null", "lib", version, "site-packages")
    return folder if folder.is_dir() else None


def add_packages(folder: Path) -> None:
    """Put the folder, and what .pth files in it name, on sys.path in front of the folders of the kernel's own Python.
    For one that is there already, the .pth files are read again."""
    before = list(sys.path)
    site.addsitedir(str(folder))
    new = [path for path in sys.path if path not in before]
    at = before.index(str(folder)) + 1 if str(folder) in before else first_packages(before)
    sys.path[:] = before[:at] + new + before[at:]


def first_packages(paths: list[str]) -> int:
    """Where the packages of the kernel's own Python begin, behind the standard library."""
    own = set(site.getsitepackages())
    return next((index for index, path in enumerate(paths) if path in own), len(paths))


def is_prefix(environment: Path) -> bool:
    """Whether this interpreter's prefix is the environment."""
    return os.path.realpath(sys.prefix) == os.path.realpath(environment)


def is_shadowing(folder: Path) -> bool:
    """Whether a module that was imported from elsewhere is in the folder too."""
    there = {name.partition(".")[0] for name in os.listdir(folder)}  # noqa: PTH208 - at every start, and names suffice
    # Looked up one by one: to go through them all is to write to all their names, which forks share.
    imported = (sys.modules[name] for name in there if name in sys.modules)
    files = [getattr(module, "__file__", None) for module in imported]
    return any(file and not file.startswith(f"{folder}/") for file in files)
