"""Kernelspecs: the languages that exist."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from execd.errors import CannotServe, UnknownLanguage
from execd.kernel.kernelspec import Kernelspecs, bundled_kernels

PYTHON = Path("/opt/python")


def install(folder: Path, name: str, **spec: Any) -> Path:
    path = folder / name / "kernel.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"language": name, "display_name": name.title(), "argv": [name], **spec}))
    return path


def test_a_folder_a_language(tmp_path: Path) -> None:
    install(tmp_path, "r")
    install(tmp_path, "julia")
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("kernels")
    assert Kernelspecs.read(tmp_path, PYTHON).languages == ["julia", "r"]


def test_a_spec_holds_what_its_file_says(tmp_path: Path) -> None:
    install(tmp_path, "r", display_name="R 4", env={"LANG": "C"}, interrupt_mode="message")
    spec = Kernelspecs.read(tmp_path, PYTHON).get("r")
    assert (spec.language, spec.display_name, spec.env, spec.interrupt_mode, spec.folder) == (
        "r",
        "R 4",
        (("LANG", "C"),),
        "message",
        tmp_path / "r",
    )


def test_a_spec_is_interrupted_by_signal_unless_it_says_otherwise(tmp_path: Path) -> None:
    install(tmp_path, "r")
    assert Kernelspecs.read(tmp_path, PYTHON).get("r").interrupt_mode == "signal"


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["python", "-m", "k", "-f", "{connection_file}"], ["/opt/python", "-m", "k", "-f", "/c.json"]),
        (["/usr/bin/r", "--f={connection_file}"], ["/usr/bin/r", "--f=/c.json"]),
        (["run", "python", "{resource_dir}/start"], ["run", "python", "{folder}/start"]),
        (["python3", "x"], ["python3", "x"]),
    ],
)
def test_the_command_of_a_kernel(tmp_path: Path, argv: list[str], command: list[str]) -> None:
    install(tmp_path, "x", argv=argv)
    filled = Kernelspecs.read(tmp_path, PYTHON).get("x").command(Path("/c.json"))
    assert filled == [part.replace("{folder}", str(tmp_path / "x")) for part in command]


def test_an_unknown_language_names_those_that_exist(tmp_path: Path) -> None:
    install(tmp_path, "r")
    install(tmp_path, "julia")
    with pytest.raises(UnknownLanguage, match="unknown language 'cobol'; this service has: julia, r"):
        Kernelspecs.read(tmp_path, PYTHON).get("cobol")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"language": "x"}', '{"language": 1, "display_name": 2, "argv": 3}']
)
def test_a_file_that_is_no_kernelspec_is_named(tmp_path: Path, text: str) -> None:
    path = install(tmp_path, "x")
    path.write_text(text)
    with pytest.raises(CannotServe, match=str(path)):
        Kernelspecs.read(tmp_path, PYTHON)


def test_the_kernels_that_come_with_execd_speak_python() -> None:
    specs = Kernelspecs.read(bundled_kernels(), Path(sys.executable))
    assert "python" in specs.languages
    assert specs.get("python").command(Path("/c.json"))[0] == sys.executable


def test_the_stock_kernel_is_never_forked() -> None:
    lean, stock = (
        Kernelspecs.read(bundled_kernels(), PYTHON, python_kernel).get("python") for python_kernel in ("lean", "stock")
    )
    assert (lean.forks, stock.forks) == (True, False)
    assert set(stock.env) - set(lean.env) == {("EXECD_PYTHON_KERNEL", "stock")}
    assert stock.takes_envs


def test_other_kernels_are_what_they_are() -> None:
    assert Kernelspecs.read(bundled_kernels(), PYTHON, "stock").get("bash") == Kernelspecs.read(
        bundled_kernels(), PYTHON
    ).get("bash")
