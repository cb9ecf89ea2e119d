"""EXECD_PYTHON_KERNEL: which kernel it is, and what the stock one has in common with the lean one."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kernels.python.conftest import FOLDER, running

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Kernel, StartKernel

INSIDE = """
import sys
k = get_ipython().kernel
parts = (sys.stdout, k.iopub_thread, k.session, get_ipython(), get_ipython().history_manager)
print(*(type(part).__module__ for part in parts))
"""


def test_stock_is_ipykernels_own(either: "Kernel", kind: str) -> None:
    modules = either.run(INSIDE).text("stdout").split()
    own = ["ipykernel.iostream", "ipykernel.iostream", "jupyter_client.session", "ipykernel.zmqshell"]
    lean = ["execd_kernel.output", "execd_kernel.iopub", "execd_kernel.session", "execd_kernel.shell"]
    assert modules[:4] == (own if kind == "stock" else lean)


def test_user_code_does_not_see_the_variable(either: "Kernel") -> None:
    assert either.run("import os; print([n for n in os.environ if n.startswith('EXECD')])").text("stdout") == "[]\n"


def test_variables_of_one_run_are_set_and_put_back(either: "Kernel") -> None:
    code = "import os; print(os.environ.get('ONLY_HERE'))"
    assert either.run(code, envs={"ONLY_HERE": "x"}).text("stdout") == "x\n"
    assert either.run(code).text("stdout") == "None\n"


def test_rich_outputs_are_the_same(either: "Kernel") -> None:
    cell = either.run("import pandas; pandas.DataFrame({'a': [1]})")
    assert "application/vnd.dataresource+json" in cell.bundles()[0]


def test_what_became_of_a_request_is_told(either: "Kernel") -> None:
    message_id = either.send("1 / 0")
    either.finish(message_id, check=False)
    client = either.client
    client.control_channel.send(client.session.msg("execd_outcome_request", {"msg_id": message_id}))
    answer = client.control_channel.get_msg(timeout=60)["content"]
    assert (answer["state"], answer["reply"]["ename"]) == ("ended", "ZeroDivisionError")


def test_agents_code_finds_its_module(either: "Kernel") -> None:
    assert either.run("import execd_run; print(execd_run.input)").text("stdout") == "{}\n"


def test_a_fork_of_which_stock_is_asked_is_stock(kernel_env: dict[str, str], forking: Path) -> None:
    with running(FOLDER, {**kernel_env, "EXECD_PYTHON_KERNEL": "stock"}, warden=forking) as kernel:
        assert kernel.run(INSIDE).text("stdout").startswith("ipykernel.iostream ")


@pytest.mark.parametrize("warden", ["new", "forked"], indirect=True)
def test_with_another_ipykernel_it_is_stock_and_says_so(
    start_kernel: "StartKernel", folder_copy: Path, tmp_path: Path
) -> None:
    choice = folder_copy / "execd_kernel" / "choice.py"
    choice.write_text(choice.read_text().replace('MADE_FOR = "7.4."', 'MADE_FOR = "6.0."'))
    kernel = start_kernel(folder=folder_copy, stderr=tmp_path / "stderr")
    assert kernel.run(INSIDE).text("stdout").startswith("ipykernel.iostream ")
    assert "the lean kernel is made for 6.0.*: this is the stock one" in (tmp_path / "stderr").read_text()


def test_another_word_is_refused() -> None:
    ended = subprocess.run(
        [sys.executable, FOLDER / "kernel.py", "-f", "/nonexistent"],
        env={"EXECD_PYTHON_KERNEL": "fast"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr == "EXECD_PYTHON_KERNEL: expected lean or stock, got 'fast'\n"
