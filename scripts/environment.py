"""Makes or renews the project's virtual environment, .venv: `python scripts/environment.py serving|development`.

Does nothing when the environment already holds what is asked for, so every make target may call it. What it holds is
told by a digest over the pins, pyproject.toml, the Python and the folder, kept in the environment beside the packages:
changed pins are installed again; a moved checkout, another Python or an installation that was broken off makes a new
environment. Calls at the same time wait for each other.
"""

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
UNFINISHED = VENV / "execd-unfinished"
SETS = ("serving", "development")


def say(text: str) -> None:
    """One line of progress on standard error, at once."""
    print(f"execd: {text}", file=sys.stderr, flush=True)


def digest(*parts: bytes) -> str:
    """A digest that differs when any of the parts, or where one ends, differs."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def base_digest() -> str:
    """Tells one virtual environment's foundation from another's: the Python and the folder that its scripts name."""
    return digest(platform.python_version().encode(), str(ROOT).encode())


def set_digest(name: str) -> str:
    """Tells whether what is installed for a set is still what the project's files ask for."""
    files = [ROOT / "pyproject.toml", ROOT / "requirements" / "build.txt", ROOT / "requirements" / f"{name}.txt"]
    return digest(base_digest().encode(), *(file.read_bytes() for file in files))


def is_current(name: str) -> bool:
    """Whether the environment holds this set, alone or as part of a larger one."""
    return not UNFINISHED.exists() and any(
        stamp.is_file() and stamp.read_text() == set_digest(larger)
        for larger in SETS[SETS.index(name) :]
        for stamp in [VENV / f"execd-{larger}"]
    )


@contextmanager
def exclusive() -> Iterator[None]:
    """Keeps other calls of this script for this checkout waiting; the lock falls with the process."""
    with Path(__file__).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another command that is making the virtual environment…")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_base() -> None:
    """Leaves a usable .venv, made anew when there is none, a half-filled one, or one of another Python or folder."""
    stamp = VENV / "execd-base"
    if not UNFINISHED.exists() and stamp.is_file() and stamp.read_text() == base_digest():
        return
    say(f"making the virtual environment (once), with Python {platform.python_version()}…")
    if VENV.exists():
        shutil.rmtree(VENV)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True, stdin=subprocess.DEVNULL)
    stamp.write_text(base_digest())


def install(name: str) -> None:
    """Installs the pinned packages of a set and the project itself, editable."""
    pins = ROOT / "requirements" / f"{name}.txt"
    count = sum(1 for line in pins.read_text().splitlines() if line and not line.startswith("#"))
    say(f"installing {count} pinned packages for {name} (once)…")
    UNFINISHED.touch()
    requirements = ["-r", str(pins), "-r", str(ROOT / "requirements" / "build.txt")]
    pip("install", "--no-compile", "--prefer-binary", *requirements)
    pip("install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    # pip compiles on one core, and the packages' own tests too; most of that time is saved here.
    run("-m", "compileall", "-q", "-j", "0", "-x", r"[/\\]tests?[/\\]", str(VENV / "lib"))
    (VENV / f"execd-{name}").write_text(set_digest(name))
    UNFINISHED.unlink()


def run(*arguments: str) -> None:
    """Runs the environment's Python to its end."""
    subprocess.run([str(VENV / "bin" / "python"), *arguments], check=True, stdin=subprocess.DEVNULL)


def pip(*arguments: str) -> None:
    """Runs the environment's pip, which prints nothing but warnings and errors."""
    run("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", *arguments)


def main(arguments: list[str]) -> int:
    """The exit code: 0 when the environment is ready, 1 when an installation failed, 2 for a wrong call."""
    if len(arguments) != 1 or arguments[0] not in SETS:
        say(f"usage: environment.py {'|'.join(SETS)}")
        return 2
    name = arguments[0]
    started = time.monotonic()
    try:
        with exclusive():
            if is_current(name):
                return 0
            make_base()
            install(name)
    except subprocess.CalledProcessError as failed:
        say(f"could not make the virtual environment: {' '.join(failed.cmd)} exited with {failed.returncode}")
        return 1
    except KeyboardInterrupt:
        return 130
    say(f"ready after {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
