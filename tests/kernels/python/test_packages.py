"""What is installed while a kernel runs: `%pip`, `!pip` and pip in a command, with wheels made here, and with the
kernel's own Python read-only where bubblewrap can make it so."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from execd.service.packages import describe_python, packages_environment
from tests.wheels import build_wheel, sandbox_packages

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Kernel, StartKernel

# Those whose Python is read-only: these tests start kernels in their own way.
pytestmark = pytest.mark.parametrize("warden", ["new"], indirect=True)

PYTHON = describe_python(Path(sys.executable))
READ_ONLY = ["bwrap", "--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", "--bind", "/tmp", "/tmp"]
VERSIONS = ("1.0", "2.0")

# As a fork of a process that has imported itsdangerous before the sandbox was there.
FORKED = "import os, runpy, sys, itsdangerous; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.fixture(scope="session")
def origin() -> str:
    """Commands of these tests' own, which no zygote knows. (What it does to a real fork: test_forked.py.)"""
    return "cold"


def walls() -> list[str]:
    """What to put in front of a command so that it can write in /tmp alone; nothing where that cannot be had."""
    try:
        subprocess.run([*READ_ONLY, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return READ_ONLY


@pytest.fixture
def env(kernel_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a sandbox whose pip finds the wheels in tmp_path."""
    folder = sandbox_packages(tmp_path / "home", PYTHON)
    wheels = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "HOME": str(tmp_path / "home")}
    return {**kernel_env, **wheels, **packages_environment(str(folder), os.environ["PATH"])}


def start(start_kernel: "StartKernel", folder: Path, env: dict[str, str], *, forked: bool = False) -> "Kernel":
    """A kernel of the configured Python, which cannot write there, as new or as if forked."""
    spec = json.loads((folder / "kernel.json").read_text())
    program = [sys.executable, *(["-c", FORKED] if forked else [])]
    spec["argv"] = [*walls(), *program, *spec["argv"][-3:]]
    (folder / "kernel.json").write_text(json.dumps(spec))
    return start_kernel(folder=folder, env=env)


INSTALL = {
    "%pip": "%pip install {}",
    "!pip": "!pip install {}",
    "pip in a subprocess": "import subprocess; subprocess.run(['pip', 'install', {!r}], check=True)",
    "pip of sys.executable": "import subprocess, sys; subprocess.run([sys.executable, '-m', 'pip', 'install', {!r}])",
}


@pytest.mark.parametrize("how", INSTALL)
def test_what_was_installed_is_imported_at_once(
    start_kernel: "StartKernel", folder_copy: Path, env: dict[str, str], tmp_path: Path, how: str
) -> None:
    build_wheel(tmp_path, "teapot", "1.0", {"teapot.py": "def brew(): print('hot')\n"}, "teapot = teapot:brew")
    kernel = start(start_kernel, folder_copy, env)
    assert kernel.run("import teapot", check=False).reply["ename"] == "ModuleNotFoundError"
    cell = kernel.run(INSTALL[how].format("teapot") + "\nimport teapot; teapot.brew()")
    assert cell.text("stdout").endswith("hot\n")
    assert kernel.run("!teapot; python -c 'import teapot; teapot.brew()'").text("stdout").split() == ["hot", "hot"]
    assert kernel.run("print(teapot.__file__)").text("stdout").startswith(env["VIRTUAL_ENV"])


def test_another_kernel_and_a_command_of_the_sandbox_have_it_too(
    start_kernel: "StartKernel", folder_copy: Path, env: dict[str, str], tmp_path: Path
) -> None:
    build_wheel(tmp_path, "teapot", "1.0", {"teapot.py": "print('hot')\n"})
    one, other = (start(start_kernel, folder_copy, env) for _ in range(2))
    assert other.run("import teapot", check=False).reply["ename"] == "ModuleNotFoundError"
    one.run("%pip install teapot")
    assert other.run("import teapot").text("stdout") == "hot\n"
    done = subprocess.run(["python", "-c", "import teapot"], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "hot\n"


def test_path_files_are_read_without_a_restart(
    start_kernel: "StartKernel", folder_copy: Path, env: dict[str, str], tmp_path: Path
) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "saucer.py").write_text("print('round')\n")
    build_wheel(tmp_path, "pointer", "1.0", {"pointer.pth": f"{extra}\n"})
    kernel = start(start_kernel, folder_copy, env)
    assert kernel.run("!pip install pointer\nimport saucer").text("stdout").endswith("round\n")


def test_installing_replacing_and_removing(
    start_kernel: "StartKernel", folder_copy: Path, env: dict[str, str], tmp_path: Path
) -> None:
    for version in VERSIONS:
        build_wheel(tmp_path, "teapot", version, {"teapot.py": f"print({version!r})\n"})
    kernel = start(start_kernel, folder_copy, env)
    for version in VERSIONS:
        cell = kernel.run(f"%pip install teapot=={version}\nimport sys; sys.modules.pop('teapot', 0); import teapot")
        assert cell.text("stdout").endswith(f"{version}\n")
    kernel.run("!pip uninstall -y teapot")
    cell = kernel.run("del sys.modules['teapot']; import teapot", check=False)
    assert cell.reply["ename"] == "ModuleNotFoundError"


@pytest.mark.parametrize("forked", [False, True])
def test_a_newer_version_of_a_shared_package_is_what_the_next_kernel_has(
    start_kernel: "StartKernel", folder_copy: Path, env: dict[str, str], tmp_path: Path, forked: bool
) -> None:
    build_wheel(tmp_path, "itsdangerous", "99.0", {"itsdangerous/__init__.py": "__version__ = '99.0'\n"})
    kernel = start(start_kernel, folder_copy, env, forked=forked)
    kernel.run("%pip install --upgrade itsdangerous")
    after = start(start_kernel, folder_copy, env, forked=forked)
    assert after.run("import itsdangerous; print(itsdangerous.__version__)").text("stdout") == "99.0\n"
    assert kernel.run("print('still here')").text("stdout") == "still here\n"


LOOK = "import json, sys; print(json.dumps([sys.prefix, sys.executable, sys.path]))"


@pytest.mark.parametrize("forked", [False, True])
def test_the_kernel_and_its_commands_are_in_the_same_environment(
    start_kernel: "StartKernel", folder_copy: Path, env: dict[str, str], forked: bool
) -> None:
    kernel = start(start_kernel, folder_copy, env, forked=forked)
    here, there = (
        json.loads(kernel.run(LOOK).text("stdout")),
        json.loads(kernel.run(f"!python -c {LOOK!r}").text("stdout")),
    )
    assert here[:2] == there[:2]
    assert [path for path in here[2] if path] == [path for path in there[2] if path]
    assert not kernel.run("import site; print(site.__file__)").text("stderr")


def test_a_folder_that_is_no_environment_changes_nothing(
    start_kernel: "StartKernel", kernel_env: dict[str, str]
) -> None:
    kernel = start_kernel(env={**kernel_env, "VIRTUAL_ENV": "/nowhere"})
    assert kernel.run("import sys; print(sys.prefix)").text("stdout").strip() == sys.prefix


def test_child_processes_that_are_spawned_import_it(
    start_kernel: "StartKernel", folder_copy: Path, env: dict[str, str], tmp_path: Path
) -> None:
    build_wheel(tmp_path, "teapot", "1.0", {"teapot.py": "def brew(_): return 'hot'\n"})
    kernel = start(start_kernel, folder_copy, env)
    kernel.run("%pip install teapot")
    code = (
        "import teapot, multiprocessing as m\nwith m.get_context('spawn').Pool(1) as p: print(p.map(teapot.brew, [1]))"
    )
    assert kernel.run(code).text("stdout") == "['hot']\n"


def test_it_goes_with_its_folder(
    start_kernel: "StartKernel", folder_copy: Path, env: dict[str, str], tmp_path: Path
) -> None:
    build_wheel(tmp_path, "teapot", "1.0", {"teapot.py": ""})
    kernel = start(start_kernel, folder_copy, env)
    kernel.run("%pip install teapot\nimport teapot")
    shutil.rmtree(env["VIRTUAL_ENV"])
    assert kernel.run("sys = __import__('sys'); del sys.modules['teapot']; import teapot", check=False).reply["ename"]
