"""Interrupts: they stop a cell's code, and cost neither a reply nor the kernel, whenever they come."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Kernel, StartKernel

STOPPABLE = {
    "loop": "print('on', flush=True)\nwhile True: pass",
    "await": "import asyncio\nprint('on', flush=True)\nawait asyncio.sleep(600)",
    "loop after an await": "import asyncio\nawait asyncio.sleep(0)\nprint('on', flush=True)\nwhile True: pass",
    "callback": "get_ipython().events.register('post_run_cell', spin)",
}
SPIN = """
def spin(result):
    get_ipython().events.unregister('post_run_cell', spin)
    print('on', flush=True)
    while True: pass
"""


@pytest.mark.parametrize("what", STOPPABLE)
def test_one_interrupt_stops_a_cell(kernel: "Kernel", what: str) -> None:
    kernel.run(SPIN)
    message_id = kernel.send(STOPPABLE[what])
    kernel.read_text(message_id, "stdout", until="on\n")
    kernel.manager.interrupt_kernel()
    cell = kernel.finish(message_id, check=False)
    assert "KeyboardInterrupt" in str(cell.messages) or "CancelledError" in str(cell.messages)
    assert kernel.run("print('after')").text("stdout") == "after\n"


def test_interrupts_at_any_moment_cost_no_reply(kernel: "Kernel") -> None:
    kernel.run("kept = 1")
    for number in range(100):
        message_id = kernel.send(f"for _ in range({number * 500}): pass")
        kernel.manager.interrupt_kernel()
        assert kernel.finish(message_id, check=False).reply["status"] in ("ok", "error")
        assert kernel.run("print(kept)").text("stdout") == "1\n"


def test_interrupts_between_cells_do_nothing(kernel: "Kernel") -> None:
    for _ in range(10):
        kernel.manager.interrupt_kernel()
    assert kernel.run("print(sum(range(1_000_000)))").text("stdout") == "499999500000\n"


def test_a_handler_that_a_cell_installs_is_its_own(kernel: "Kernel") -> None:
    code = """
    import signal, threading
    seen = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: seen.set())
    print('on', flush=True)
    while not seen.is_set(): pass
    print('seen')
    """
    message_id = kernel.send(code)
    kernel.read_text(message_id, "stdout", until="on\n")
    kernel.manager.interrupt_kernel()
    assert kernel.finish(message_id).text("stdout").endswith("seen\n")
    message_id = kernel.send(STOPPABLE["loop"])
    kernel.read_text(message_id, "stdout", until="on\n")
    kernel.manager.interrupt_kernel()
    assert kernel.finish(message_id, check=False).reply["ename"] == "KeyboardInterrupt"


def test_the_traceback_ends_in_the_cell(kernel: "Kernel", tmp_path: Path) -> None:
    looping = tmp_path / "looping"
    message_id = kernel.send(f"import pathlib; path = pathlib.Path({str(looping)!r})\nwhile True: path.touch()")
    while not looping.exists():
        pass
    kernel.manager.interrupt_kernel()
    cell = kernel.finish(message_id, check=False)
    assert "interrupts.py" not in cell.traceback
    assert "while" in cell.traceback


INTERRUPTED_BETWEEN = """
import os, signal
spin = True
kind = type(get_ipython().compile)
compiled = kind.__call__
def interrupted(self, *args, **options):
    made = compiled(self, *args, **options)
    if 'spin' in made.co_names:
        os.kill(os.getpid(), signal.SIGINT)
    return made
kind.__call__ = interrupted
"""
# In a namespace of its own: what is called in that of the cells would be taken for their code.
INTERRUPTED_AT_THE_LAST_MOMENT = """
exec('''
import os, signal, sys
hook = kind.excepthook
def interrupted(self):
    if sys._getframe(1).f_code.co_name == "run_code" and self.user_ns.pop("ready", False):
        os.kill(os.getpid(), signal.SIGINT)
    return hook.__get__(self)
kind.excepthook = property(interrupted)
''', {"kind": type(get_ipython())})
spin = True
"""


@pytest.mark.parametrize("before", ["x = 1", "import asyncio\nawait asyncio.sleep(0)"])
def test_between_two_statements_the_next_one_is_not_begun(start_kernel: "StartKernel", before: str) -> None:
    kernel = start_kernel()
    kernel.run(INTERRUPTED_BETWEEN)
    cell = kernel.run(f"{before}\nwhile spin: pass\nprint('never')", check=False)
    assert (cell.reply["status"], cell.reply["ename"], cell.text("stdout")) == ("error", "KeyboardInterrupt", "")
    assert "interrupts.py" not in cell.traceback
    assert kernel.run("print('after')").text("stdout") == "after\n"


@pytest.mark.parametrize("statement", ["while spin: pass", "await asyncio.sleep(600)"])
def test_at_the_last_moment_a_statement_is_not_begun(start_kernel: "StartKernel", statement: str) -> None:
    kernel = start_kernel()
    kernel.run(f"import asyncio\n{INTERRUPTED_AT_THE_LAST_MOMENT}")
    cell = kernel.run(f"ready = True\n{statement}", check=False)
    assert (cell.reply["status"], cell.reply["ename"]) == ("error", "KeyboardInterrupt")


def test_code_that_goes_on_after_an_interrupt_is_interrupted_once(kernel: "Kernel") -> None:
    code = """
    import asyncio
    try:
        print('on', flush=True)
        await asyncio.sleep(600)
    except (asyncio.CancelledError, KeyboardInterrupt):
        print('caught')
    print('goes on')
    """
    message_id = kernel.send(code)
    kernel.read_text(message_id, "stdout", until="on\n")
    kernel.manager.interrupt_kernel()
    assert kernel.finish(message_id).text("stdout") == "caught\ngoes on\n"
