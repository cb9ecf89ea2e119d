"""The environment that a sandbox installs packages in, with real pips and wheels made here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from execd.errors import CannotServe
from execd.service.packages import (
    KernelPython,
    Layout,
    describe_python,
    lay_out,
    packages_environment,
    virtual_environment,
)
from tests.wheels import build_wheel, sandbox_packages

Run = Callable[..., str]
SITES = Path(describe_python(Path(sys.executable)).sites[0])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a shell command as a sandbox with an environment of its own would, and give all that it prints."""
    folder = sandbox_packages(tmp_path / "home", describe_python(Path(sys.executable)))
    wheels = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    env = {"HOME": str(tmp_path / "home"), **wheels, **packages_environment(str(folder), os.environ["PATH"])}

    def run(command: str, *, fails: bool = False) -> str:
        done = subprocess.run(command, shell=True, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_the_variables() -> None:
    env = packages_environment("/home/user/.venv", "/usr/bin:/bin")
    assert (env["VIRTUAL_ENV"], env["PATH"]) == ("/home/user/.venv", "/home/user/.venv/bin:/usr/bin:/bin")


def test_the_layout_names_what_it_needs() -> None:
    python = KernelPython("/usr/bin/python3.12", "3.12.4", ("/shared/site-packages",), {"pip": "import pip\n"})
    layout = virtual_environment("/home/user/.venv", python)
    assert layout.folders() == ["bin", "lib", "lib/python3.12", "lib/python3.12/site-packages"]
    assert "home = /usr/bin\n" in layout.files["pyvenv.cfg"]
    assert layout.files["bin/pip"] == "#!/home/user/.venv/bin/python\nimport pip\n"
    assert layout.links["bin/python"] == "/usr/bin/python3.12"


def test_it_is_made_where_nothing_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "bin").symlink_to("/")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(FileExistsError):
        lay_out(Layout({"bin/pip": ""}, {}), descriptor)
    os.close(descriptor)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_it_belongs_to_its_owner(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    lay_out(Layout({"bin/pip": ""}, {"bin/python": "/usr/bin/python3"}), descriptor, (4321, 4321))
    os.close(descriptor)
    assert {path.lstat().st_uid for path in tmp_path.rglob("*")} == {4321}


def test_there_is_a_pip_also_where_the_python_has_no_script_of_its_own(tmp_path: Path) -> None:
    base = describe_python(Path(describe_python(Path(sys.executable)).base))
    if not any(Path(folder, "pip").is_dir() for folder in base.sites):
        pytest.skip("the Python behind this one has no pip")
    folder = sandbox_packages(tmp_path, base)
    done = subprocess.run([folder / "bin" / "pip", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pip ")


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false"])
def test_a_python_that_does_not_run_is_named(program: str) -> None:
    with pytest.raises(CannotServe, match=f"EXECD_KERNEL_PYTHON: {program}"):
        describe_python(Path(program))


def test_installing_listing_and_removing(run: Run, tmp_path: Path) -> None:
    build_wheel(tmp_path, "teapot", "1.0", {"teapot.py": "def brew(): print('hot')\n"}, "teapot = teapot:brew")
    before = sorted(SITES.iterdir())
    run("pip install teapot")
    assert run("teapot") == run("python3 -c 'import teapot; teapot.brew()'") == "hot\n"
    listed, own = run("pip list").split(), run("pip freeze --local")
    assert {"teapot", "ipykernel"} <= set(listed)
    assert own.startswith("teapot")
    assert "ipykernel" not in own
    run("pip uninstall -y teapot")
    assert "No module named 'teapot'" in run("python -c 'import teapot'", fails=True)
    assert sorted(SITES.iterdir()) == before


def test_a_shared_package_is_enough_for_those_that_want_it(run: Run) -> None:
    assert "already satisfied: ipykernel" in run("pip install ipykernel")


def test_a_newer_version_of_a_shared_package_comes_first_and_the_shared_one_back(run: Run, tmp_path: Path) -> None:
    build_wheel(tmp_path, "six", "99.0", {"six.py": "__version__ = '99.0'\n"})
    old = run("python -c 'import six; print(six.__version__)'")
    run("pip install --upgrade six")
    assert run("python -c 'import six; print(six.__version__)'") == "99.0\n"
    run("pip uninstall -y six")
    assert run("python -c 'import six; print(six.__version__)'") == old
    assert "outside environment" in run("pip uninstall -y six")


def test_path_files_come_before_the_shared_packages(run: Run, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "six.py").write_text("__version__ = 'mine'\n")
    build_wheel(tmp_path, "pointer", "1.0", {"pointer.pth": f"{extra}\n"})
    run("pip install pointer")
    assert run("python -c 'import six; print(six.__version__)'") == "mine\n"


def test_scripts_of_shared_packages_find_what_is_installed(run: Run, tmp_path: Path) -> None:
    build_wheel(tmp_path, "teapot", "1.0", {"teapot.py": ""})
    (tmp_path / "test_tea.py").write_text("def test_tea():\n    import teapot\n")
    run("pip install teapot")
    assert "1 passed" in run("pytest -p no:cacheprovider -q test_tea.py")


def test_the_standard_library_is_hidden_by_no_package(run: Run, tmp_path: Path) -> None:
    build_wheel(tmp_path, "dataclasses", "1.0", {"dataclasses.py": "raise SystemExit('hidden')\n"})
    run("pip install dataclasses")
    run("python -c 'import dataclasses'")
