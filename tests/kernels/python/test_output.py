"""Streams: nothing is dropped, nothing that Python can print gets stuck, and what children write is seen."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Kernel, StartKernel

COUNT = 20_000


def test_every_flushed_print_reaches_a_reader_that_comes_late(start_kernel: "StartKernel", tmp_path: Path) -> None:
    kernel = start_kernel()
    progress = tmp_path / "progress"
    message_id = kernel.send(
        f"with open({str(progress)!r}, 'wb', 0) as progress:\n"
        f"    for i in range({COUNT}):\n"
        f"        print(i, flush=True)\n"
        f"        progress.write(b'.')"
    )
    reply = wait_until_done_or_stuck(kernel, progress)
    cell = kernel.finish(message_id, reply=reply)
    assert cell.text("stdout").split() == [str(i) for i in range(COUNT)]
    assert cell.text("stderr") == ""


@pytest.mark.parametrize("code", ["print('x' * 2_000_000)", "for _ in range(2_000): print('x' * 999)"])
def test_much_text_leaves_in_pieces(kernel: "Kernel", code: str) -> None:
    cell = kernel.run(code)
    pieces = [content["text"] for kind, content in cell.messages if kind == "stream"]
    assert "".join(pieces).count("x") >= 1_998_000
    assert max(map(len, pieces)) <= 1024 * 1024


def test_what_is_no_text_cannot_be_written(kernel: "Kernel") -> None:
    cell = kernel.run("import sys\nsys.stdout.write(7)", check=False)
    assert (cell.reply["ename"], cell.reply["evalue"]) == (
        "TypeError",
        "write() argument must be str, not <class 'int'>",
    )


def wait_until_done_or_stuck(kernel: "Kernel", progress: Path) -> dict[str, Any] | None:
    """The reply, or None once the cell prints but gets no further, which only the reader can change."""
    before, now = -1, 0
    while not now or now != before:
        reply = kernel.reply_within(0.3)
        if reply is not None:
            return reply
        before, now = now, progress.stat().st_size if progress.exists() else 0
    return None


def test_the_iopub_socket_queues_little(kernel: "Kernel") -> None:
    code = """
    from concurrent.futures import Future
    from ipykernel.kernelapp import IPKernelApp
    thread, found = IPKernelApp.instance().iopub_thread, Future()
    thread.schedule(lambda: found.set_result((thread.socket.sndhwm, thread.socket.context.sockopts)))
    print(*found.result(timeout=30))
    """
    assert kernel.run(code).text("stdout") == "32 {}\n"


@pytest.mark.parametrize("code", [r"print('\ud800')", "import os; print(os.fsdecode(b'\\xff'))"])
def test_a_lone_surrogate_is_replaced(kernel: "Kernel", code: str) -> None:
    cell = kernel.run(code + "; print('after')")
    assert cell.text("stdout") == "\ufffd\nafter\n"
    assert cell.text("stderr") == ""


def test_a_lone_surrogate_in_an_error_is_replaced(kernel: "Kernel") -> None:
    cell = kernel.run(r"raise ValueError('\udfff!')", check=False)
    assert (cell.reply["ename"], cell.reply["evalue"]) == ("ValueError", "\ufffd!")
    assert cell.kinds == ["error"]


def test_a_lone_surrogate_in_a_display_is_replaced(kernel: "Kernel") -> None:
    cell = kernel.run(r"display({'text/plain': 'a\ud800b'}, raw=True)")
    assert cell.values("text/plain") == ["a\ufffdb"]


def test_non_finite_numbers_in_a_display_are_still_json(kernel: "Kernel") -> None:
    cell = kernel.run("display({'application/json': {'x': float('nan')}}, raw=True)")
    assert cell.values("application/json") == [{"x": "nan"}]


@pytest.mark.parametrize("code", ["!echo hello", "%%bash\necho hello"])
def test_shell_commands_print_in_their_cell(kernel: "Kernel", code: str) -> None:
    assert kernel.run(code).text("stdout").splitlines() == ["hello"]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import subprocess; subprocess.run(['echo', 'hello'], check=True)", "stdout"),
        ("import os; os.write(1, b'hello\\n')", "stdout"),
        ("import os; os.write(2, b'hello\\n')", "stderr"),
    ],
)
def test_what_is_written_below_python_is_captured(kernel: "Kernel", code: str, name: str) -> None:
    message_id = kernel.send(code)
    assert "hello\n" in kernel.read_text(message_id, name, until="\n")


def test_displays_and_prints_keep_their_order(kernel: "Kernel") -> None:
    cell = kernel.run("print(1); display(2); print(3); 4")
    assert cell.kinds == ["stream", "display_data", "stream", "execute_result"]
