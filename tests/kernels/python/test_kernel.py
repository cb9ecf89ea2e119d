"""The kernel itself: what user code finds, and what it must not find, compared with stock ipykernel."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Kernel, StartKernel

LOOK = """
import json as _json, sys as _sys
print(_json.dumps({"dir": sorted(n for n in dir() if n not in ("_json", "_sys")), "path": _sys.path}))
"""


def test_kernelspec_is_one_that_jupyter_reads(kernel: "Kernel") -> None:
    spec = kernel.manager.kernel_spec
    assert spec is not None
    assert (spec.display_name, spec.language, spec.interrupt_mode) == ("Python 3 (execd)", "python", "signal")


def test_namespace_and_path_are_those_of_a_stock_kernel(start_kernel: "StartKernel") -> None:
    ours, stock = start_kernel(), start_kernel(folder=None)
    assert ours.run("%who").text("stdout") == stock.run("%who").text("stdout")
    assert json.loads(ours.run(LOOK).text("stdout")) == json.loads(stock.run(LOOK).text("stdout"))


@pytest.mark.parametrize("warden", ["new"], indirect=True)
def test_no_heavy_library_is_imported_at_start(start_kernel: "StartKernel") -> None:
    code = "import sys; print({'numpy', 'pandas', 'matplotlib', 'plotly', 'altair', 'execd'} & set(sys.modules))"
    assert start_kernel().run(code).text("stdout") == "set()\n"


@pytest.mark.parametrize("name", ["kernel", "startup", "app", "session", "shell", "profile", "imports"])
def test_user_modules_are_not_hidden_by_the_kernels_own(kernel: "Kernel", tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("origin = 'user'\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {name}; print({name}.origin); sys.path.pop(0)"
    assert kernel.run(code).text("stdout") == "user\n"


def test_libraries_recognise_a_notebook(kernel: "Kernel") -> None:
    code = "print(type(get_ipython()).__name__, 'IPKernelApp' in get_ipython().config)"
    assert kernel.run(code).text("stdout") == "ZMQInteractiveShell True\n"


def test_banner_is_empty(kernel: "Kernel") -> None:
    info = kernel.client.kernel_info(reply=True, timeout=30)
    assert info["content"]["banner"] == ""


def test_history_of_the_session_works(start_kernel: "StartKernel") -> None:
    kernel = start_kernel()
    kernel.run("6 * 7")
    assert kernel.run("print(In[1], Out[1], _)").text("stdout") == "6 * 7 42 42\n"
    assert kernel.run("%history").text("stdout").startswith("6 * 7\nprint(In[1]")
    reply = kernel.client.history(raw=True, output=False, hist_access_type="range", session=0, reply=True, timeout=30)
    assert [line for _, _, line in reply["content"]["history"]][1] == "6 * 7"


def test_nothing_is_written_into_the_home(
    start_kernel: "StartKernel", tmp_path: Path, kernel_env: dict[str, str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    kernel = start_kernel(env=kernel_env | {"HOME": str(home)})
    kernel.run("x = 1\n%cd /\n%bookmark here\n%store x\n%history")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("home", ["/proc", "/proc/nowhere"])
def test_home_may_be_unwritable_or_missing(start_kernel: "StartKernel", kernel_env: dict[str, str], home: str) -> None:
    kernel = start_kernel(env=kernel_env | {"HOME": home})
    assert kernel.run("%cd /").text("stdout") == "/\n"
    assert kernel.run("1 + 1").values("text/plain") == ["2"]


def test_home_may_be_unset(start_kernel: "StartKernel", kernel_env: dict[str, str]) -> None:
    kernel = start_kernel(env={name: value for name, value in kernel_env.items() if name != "HOME"})
    assert kernel.run("1 + 1").values("text/plain") == ["2"]


def test_a_profile_in_the_home_is_only_read(
    start_kernel: "StartKernel", tmp_path: Path, kernel_env: dict[str, str]
) -> None:
    profile = tmp_path / ".ipython" / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "first.py").write_text("greeting = 'hello'\n")
    (profile / "ipython_config.py").write_text("c.InteractiveShell.ast_node_interactivity = 'all'\n")
    before = sorted(tmp_path.rglob("*"))
    cell = start_kernel(env=kernel_env | {"HOME": str(tmp_path)}).run("greeting\n2")
    assert cell.values("text/plain") == ["'hello'", "2"]
    assert sorted(tmp_path.rglob("*")) == before, "and nothing is written beside it"


def test_bookmarks_and_stored_variables_last_as_long_as_the_kernel(kernel: "Kernel") -> None:
    kernel.run("x = 5\n%store x\n%cd /\n%bookmark root\n%cd /usr")
    assert kernel.run("del x\n%store -r x\nprint(x)").text("stdout") == "5\n"
    assert kernel.run("%cd -b root").text("stdout").endswith("/\n")


@pytest.mark.parametrize("broken", ["raise RuntimeError('broken file')\n", "def install(shell):\n    1 / 0\n"])
def test_a_broken_startup_file_does_not_stop_the_kernel(
    start_kernel: "StartKernel", folder_copy: Path, tmp_path: Path, broken: str
) -> None:
    (folder_copy / "execd_kernel/startup/pandas.py").write_text(broken)
    kernel = start_kernel(folder=folder_copy, stderr=tmp_path / "stderr")
    cell = kernel.run("import asyncio\nasync def f():\n    pass\nasyncio.run(f())", check=False)
    assert "top-level await" in cell.traceback, "the files after the broken one are installed"
    assert cell.text("stderr") == ""
    report = (tmp_path / "stderr").read_text()
    assert "pandas" in report
    assert "broken file" in report or "ZeroDivisionError" in report


def test_exit_is_answered_with_the_payload_of_stock(start_kernel: "StartKernel") -> None:
    kernel = start_kernel()
    reply = kernel.run("exit()").reply
    assert reply["payload"] == [{"source": "ask_exit", "keepkernel": False}]


def test_input_without_stdin_raises_at_once(kernel: "Kernel") -> None:
    cell = kernel.run("input('name? ')", check=False)
    assert cell.reply["ename"] == "StdinNotImplementedError"


def test_nul_in_code_is_an_error(kernel: "Kernel") -> None:
    cell = kernel.run("a = 1\0 + 2", check=False)
    assert cell.reply["status"] == "error"
    assert "null bytes" in cell.reply["evalue"]
    assert kernel.run("1").values("text/plain") == ["1"]
