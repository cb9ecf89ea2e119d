"""Writes requirements/*.txt anew from pyproject.toml, with pip alone: `python3.11 scripts/pins.py`.

The oldest supported Python chooses the versions, so that one list serves every supported Python: what runs on 3.11 is
kept for 3.12 and 3.13. development.txt is resolved first and the other lists are resolved within it, so a package has
one version everywhere. The same package index gives the same files, byte for byte.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
HEADER = "# Made by `make pins` from pyproject.toml; do not edit. For: {}\n"


def canonical(name: str) -> str:
    """A package's name in the one spelling that the index compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve(python: Path, requirements: list[str], constraints: Path | None = None) -> dict[str, str]:
    """What pip would install for the requirements into an empty environment: name to version, by name."""
    within = ["--constraint", str(constraints)] if constraints else []
    report = subprocess.run(
        [
            python,
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "install",
            "--dry-run",
            "--ignore-installed",
            "--only-binary=:all:",
            "--report=-",
            *within,
            *requirements,
        ],
        check=True,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ).stdout
    found = (item["metadata"] for item in json.loads(report)["install"])
    return dict(sorted((canonical(package["name"]), package["version"]) for package in found))


def write(path: Path, purpose: str, pins: dict[str, str]) -> None:
    """One `name==version` a line, under a line that says where the list comes from."""
    path.write_text(HEADER.format(purpose) + "".join(f"{name}=={version}\n" for name, version in pins.items()))
    print(f"{path.relative_to(ROOT)}: {len(pins)} packages")


def main() -> int:
    """The exit code: 0, or 1 under a Python that is not the oldest supported one."""
    if sys.version_info[:2] != OLDEST:
        print(f"pins are made with Python {OLDEST[0]}.{OLDEST[1]}: make pins PYTHON=python3.11", file=sys.stderr)
        return 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = project["project"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    build = project["build-system"]["requires"]
    folder = ROOT / "requirements"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        venv.create(temporary, with_pip=True)
        python = Path(temporary, "bin", "python")
        wanted = [*runtime, *extras["data"], *extras["bwrap"], *extras["postgresql"], *extras["mcp"]]
        everything = resolve(python, [*wanted, *extras["dev"], *build])
        chosen = folder / "development.txt"
        write(chosen, "tests, checks and benchmarks; holds all the other lists", everything)
        write(
            folder / "serving.txt",
            "the service and its Python kernels",
            resolve(python, wanted, chosen),
        )
        write(folder / "build.txt", "building the project itself", resolve(python, build, chosen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
