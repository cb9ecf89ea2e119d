"""Asynchronous code in cells."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Kernel

MAIN = "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return 42\n"
HINT = "Use top-level await"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("asyncio.run(main())", "asyncio.run() cannot be called from a running event loop"),
        ("asyncio.get_event_loop().run_until_complete(main())", "This event loop is already running"),
    ],
)
def test_running_a_loop_in_the_loop_fails_with_a_hint(kernel: "Kernel", call: str, message: str) -> None:
    cell = kernel.run(MAIN + call, check=False)
    assert (cell.reply["ename"], cell.reply["evalue"]) == ("RuntimeError", message)
    assert cell.traceback.count(HINT) == 1
    assert cell.kinds[0] == "error"


def test_other_errors_have_no_hint(kernel: "Kernel") -> None:
    for code in ("raise RuntimeError('some other trouble')", "raise NotImplementedError", "1 / 0"):
        cell = kernel.run(code, check=False)
        assert HINT not in cell.traceback
        assert "Cell" in cell.traceback, "the traceback points at the cell, as in stock ipykernel"


def test_the_traceback_is_that_of_stock_but_for_the_hint(kernel: "Kernel") -> None:
    cell = kernel.run("def f():\n    raise RuntimeError('x')\nf()", check=False)
    kernel.run("get_ipython().set_custom_exc((), None)")
    stock = kernel.run("def f():\n    raise RuntimeError('x')\nf()", check=False)
    kernel.run("from execd_kernel.startup import asyncio as hints; hints.install(get_ipython()); del hints")
    here, there = (c.traceback.splitlines()[2:] for c in (cell, stock))
    assert [line.split("line")[-1] for line in here] == [line.split("line")[-1] for line in there]


def test_top_level_await_works(kernel: "Kernel") -> None:
    assert kernel.run(MAIN + "await main()").values("text/plain") == ["42"]
