"""Packages that a sandbox installs, with walls: there at once, for all that runs in it, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running_service import RunningService, running_service
from tests.walled.sandbox import Walled, walled
from tests.wheels import build_wheel

OFFLINE = "--quiet --no-index --find-links /workspace"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One whose sandboxes have walls and no network."""
    with running_service(tmp_path_factory.mktemp("packages"), isolation="bwrap") as running:
        yield running


@pytest.fixture
def sandbox(service: RunningService, tmp_path: Path) -> Iterator[Walled]:
    """One with wheels in its workspace."""
    with walled(service, memory_mb=2048) as made:
        for name, version, scripts in (
            ("teapot", "1.0", "teapot = teapot:main"),
            ("kettle", "1.0", ""),
            ("spoon", "1.0", ""),
            ("idna", "99.0", ""),
        ):
            code = f"version = '{version}'\ndef main(): print('short and stout')\n"
            wheel = build_wheel(tmp_path, name, version, {f"{name}.py": code}, scripts)
            assert made.write(f"/workspace/{wheel.name}", wheel.read_bytes()).status_code == 200
        yield made


def imports(name: str) -> str:
    return f"import {name}; print({name}.version)"


def test_what_a_kernel_installs_is_there_at_once_for_all(sandbox: Walled, service: RunningService) -> None:
    other = sandbox.context()
    assert "No module named" in sandbox.python(imports("teapot"))
    assert "No module named" in sandbox.python(imports("teapot"), other)
    told = sandbox.python(f"%pip install {OFFLINE} teapot\n{imports('teapot')}")
    assert told.splitlines()[-1] == "1.0", told
    assert sandbox.python(imports("teapot"), other) == "1.0\n"
    assert sandbox.sh(f'python -c "{imports("teapot")}"').out == "1.0\n"
    assert sandbox.python(imports("teapot"), sandbox.context()) == "1.0\n"
    assert sandbox.sh("teapot").out == "short and stout\n"
    assert "short and stout" in sandbox.python("!teapot")
    with walled(service) as stranger:
        assert "No module named" in stranger.python(imports("teapot"))
        assert stranger.sh(f'python -c "{imports("teapot")}"').code == 1


def test_every_way_to_install_is_one(sandbox: Walled) -> None:
    told = sandbox.python(f"!pip install {OFFLINE} teapot\n{imports('teapot')}")
    assert told.splitlines()[-1] == "1.0", told
    installed = sandbox.sh(f"pip install {OFFLINE} kettle")
    assert (installed.code, installed.err) == (0, "")
    assert sandbox.python(imports("kettle")) == "1.0\n"
    session = sandbox.execd.post("/session", json={}).raise_for_status().json()["session_id"]
    line = {"command": f"python -m pip install {OFFLINE} spoon && python -c '{imports('spoon')}'"}
    with sandbox.execd.stream("POST", f"/session/{session}/run", json=line) as answer:
        assert '"1.0' in answer.read().decode()
    assert sandbox.python(imports("spoon")) == "1.0\n"
    assert sandbox.sh("pip uninstall --quiet --yes teapot").code == 0
    assert "No module named" in sandbox.python("import importlib, sys; sys.modules.pop('teapot')\nimport teapot")


def test_a_package_of_the_shared_environment_can_be_had_newer(sandbox: Walled, service: RunningService) -> None:
    place = "import idna; print(idna.__file__)"
    shared = sandbox.sh(f'python -c "{place}"').out
    assert shared.strip()
    assert "/home/user/" not in shared
    upgraded = sandbox.sh(f"pip install {OFFLINE} --upgrade idna")
    assert upgraded.code == 0, upgraded
    assert sandbox.sh(f'python -c "{imports("idna")}"').out == "99.0\n"
    assert sandbox.python(imports("idna")) == "99.0\n"
    with walled(service) as stranger:
        assert stranger.sh(f'python -c "{place}"').out == shared


def test_the_shared_environment_cannot_be_written(sandbox: Walled) -> None:
    place = sandbox.sh('python -c "import idna, os; print(os.path.dirname(idna.__file__))"').out.strip()
    assert "Read-only file system" in sandbox.sh(f"touch {place}/new").err
    assert sandbox.sh(f"rm -rf {place}").code != 0
    assert sandbox.sh('python -c "import idna"').code == 0
    assert sandbox.sh("pip uninstall --yes idna").out == "" or sandbox.sh('python -c "import idna"').code == 0


def test_it_goes_with_the_sandbox(service: RunningService, tmp_path: Path) -> None:
    with walled(service) as sandbox:
        wheel = build_wheel(tmp_path, "teapot", "1.0", {"teapot.py": "version = '1.0'"})
        sandbox.write(f"/workspace/{wheel.name}", wheel.read_bytes())
        assert sandbox.sh(f"pip install {OFFLINE} teapot").code == 0
        assert list((service.data_dir / "sandboxes").rglob("teapot.py"))
    assert not list((service.data_dir / "sandboxes").rglob("teapot*"))
