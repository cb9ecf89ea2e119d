"""The traps of output, each tried on the lean kernel and on the stock one. Where the stock kernel falls into one, the
test says what it does there."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernels.python.test_output import wait_until_done_or_stuck

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Cell, Kernel, StartEither

PIECE = 1024 * 1024


def pieces(cell: "Cell", name: str = "stdout") -> list[str]:
    """The messages of a stream."""
    return [content["text"] for kind, content in cell.messages if kind == "stream" and content["name"] == name]


def steps(path: Path, body: str) -> str:
    """Code that runs `body` for i = 0, 1, … and leaves a byte in the file after each."""
    return f"with open({str(path)!r}, 'wb', 0) as progress:\n    i = 0\n    while {body}: progress.write(b'.'); i += 1"


def test_a_late_reader_misses_nothing(start_either: "StartEither", kind: str, tmp_path: Path) -> None:
    kernel = start_either()
    message_id = kernel.send(steps(tmp_path / "p", "i < 20_000 and not print(i, flush=True)"))
    reply = wait_until_done_or_stuck(kernel, tmp_path / "p")
    if kind == "stock":
        # It has run on without its reader, and its socket has dropped what was too much: perhaps the idle status too.
        assert reply is not None
        read = 0
        while kernel.client.iopub_channel.msg_ready():
            read += kernel.client.get_iopub_msg(timeout=1)["msg_type"] == "stream"
        assert read < 20_000
    else:
        cell = kernel.finish(message_id, reply=reply)
        assert cell.text("stdout").split() == [str(i) for i in range(20_000)]


def test_an_interrupt_frees_a_cell_whose_reader_does_not_read_and_costs_no_text(
    start_either: "StartEither", kind: str, tmp_path: Path
) -> None:
    if kind == "stock":
        pytest.skip("its cells never wait for a reader: the test above tells what that costs")
    kernel = start_either()
    message_id = kernel.send(steps(tmp_path / "p", "not print(i, flush=True)"))
    assert wait_until_done_or_stuck(kernel, tmp_path / "p") is None
    kernel.manager.interrupt_kernel()
    cell = kernel.finish(message_id, check=False)
    assert cell.reply["ename"] == "KeyboardInterrupt"
    seen = cell.text("stdout").split()
    assert len(seen) >= (tmp_path / "p").stat().st_size
    assert seen == [str(i) for i in range(len(seen))]
    assert kernel.run("print('after')").text("stdout") == "after\n"


def test_the_control_channel_answers_while_a_cell_waits_for_the_reader(
    start_either: "StartEither", tmp_path: Path
) -> None:
    kernel = start_either()
    message_id = kernel.send(steps(tmp_path / "p", "i < 5_000 and not print(i, flush=True)"))
    reply = wait_until_done_or_stuck(kernel, tmp_path / "p")
    client = kernel.client
    question = client.session.msg("execd_outcome_request", {"msg_id": message_id})
    client.control_channel.send(question)
    answer = client.control_channel.get_msg(timeout=60)["content"]
    assert answer["state"] == ("running" if reply is None else "ended")


def test_much_text_leaves_in_pieces(either: "Kernel", kind: str) -> None:
    cell = either.run("print('x' * 3_000_000)")
    assert cell.text("stdout") == "x" * 3_000_000 + "\n"
    assert max(map(len, pieces(cell))) == (3_000_001 if kind == "stock" else PIECE)


def test_text_that_is_written_quickly_leaves_in_pieces_too(either: "Kernel", kind: str) -> None:
    cell = either.run("print('a')\nfor _ in range(3): print('x' * 1_500_000)")
    assert cell.text("stdout").count("x") == 4_500_000
    assert kind == "stock" or max(map(len, pieces(cell))) == PIECE


def test_a_lone_surrogate_is_replaced(either: "Kernel", kind: str) -> None:
    cell = either.run(r"print('\ud800')" + "\nprint('after')")
    # Stock's message cannot be sent, and is dropped with all that is in it.
    assert cell.text("stdout") == ("" if kind == "stock" else "\ufffd\nafter\n")


def test_what_stands_for_a_byte_that_is_no_text_is_replaced(start_either: "StartEither", kind: str) -> None:
    kernel = start_either()
    code = "import os; print(os.fsdecode(b'\\xff'))"
    if kind == "stock":
        with pytest.raises(UnicodeDecodeError):  # what it sends is no UTF-8
            kernel.run(code)
    else:
        assert kernel.run(code).text("stdout") == "\ufffd\n"


@pytest.mark.parametrize("meanwhile", ["time.sleep(0.01)", "pass"], ids=["runs", "computes"])
def test_printed_text_comes_while_the_cell(either: "Kernel", tmp_path: Path, meanwhile: str) -> None:
    gate = tmp_path / "gate"
    message_id = either.send(f"import os, time\nprint('on')\nwhile not os.path.exists({str(gate)!r}): {meanwhile}")
    either.read_text(message_id, "stdout", until="on\n")
    gate.touch()
    either.finish(message_id)


def test_a_cell_writes_at_c_speed(either: "Kernel", kind: str) -> None:
    code = "import sys\nfor i in range(2): print(i); found = type(sys.stdout.write).__name__\nprint(found)"
    found = either.run(code).text("stdout").split()[-1]
    assert found == ("function" if kind == "stock" else "builtin_function_or_method")


def test_a_write_tells_how_much_it_has_written(either: "Kernel") -> None:
    cell = either.run("import sys\nprint([sys.stdout.write(text) for text in ('a', 'bc\\n', '', 'x' * 9)])")
    assert cell.text("stdout") == "abc\n" + "x" * 9 + "[1, 3, 0, 9]\n"


def test_what_is_no_text_cannot_be_written(either: "Kernel") -> None:
    code = (
        "import sys\nfor i in range(2):\n    print(i)\n    try: sys.stdout.write(7)\n    except TypeError: print('no')"
    )
    assert either.run(code).text("stdout").split() == ["0", "no", "1", "no"]


def test_a_write_that_was_kept_writes_for_the_cell_that_calls_it(either: "Kernel") -> None:
    either.run("import sys\nprint(1)\nkept = sys.stdout.write")
    assert either.run("_ = kept('two')").text("stdout") == "two"
    assert either.run("print(3)").text("stdout") == "3\n"


def test_a_write_that_was_kept_is_heard_while_the_cell_runs(either: "Kernel", tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = (
        f"import os, sys, time\nprint('a')\nkept = sys.stdout.write\ntime.sleep(0.5)\nkept('late\\n')\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    )
    message_id = either.send(code)
    either.read_text(message_id, "stdout", until="late\n")
    gate.touch()
    either.finish(message_id)


def test_a_write_of_the_users_own_stays(start_either: "StartEither", kind: str) -> None:
    kernel = start_either()
    kernel.run("import sys\nprint(1)\ninner = sys.stdout.write\nsys.stdout.write = lambda text: inner(text.upper())")
    # IPython, in stock, puts its own back after each cell.
    assert kernel.run("print('loud')").text("stdout") == ("loud\n" if kind == "stock" else "LOUD\n")
    kernel.run("sys.stdout.__dict__.pop('write', None)")
    assert kernel.run("print('quiet')").text("stdout") == "quiet\n"


def test_no_handler_of_a_signal_costs_or_doubles_text(either: "Kernel", kind: str) -> None:
    if kind == "stock":
        pytest.skip("stock's streams break, and the kernel falls silent: it sends messages that are not whole")
    code = """
    import json, signal, sys

    class Alarm(Exception):
        pass

    def ring(*_):
        # Where it is caught, and nowhere else.
        if saying:
            saying.clear()
            raise Alarm

    def say(i):
        try:
            saying.append(i)
            sys.stdout.write(f"{i}\\n")
            if i % 3 == 0:
                sys.stdout.flush()
            written.append(i)
        except Alarm:
            pass
        saying.clear()

    written, saying, ringing, numbers = [], [], [True], iter(range(20_000))
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0007)
    while ringing:
        try:
            for i in numbers:
                say(i)
            ringing.clear()
        except Alarm:
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # the last one may still come
    print("written", json.dumps(written))
    """
    seen, _, written = either.run(code).text("stdout").partition("written ")
    numbers = [int(line) for line in seen.split()]
    assert numbers == sorted(set(numbers))
    assert set(json.loads(written)) <= set(numbers)
    assert len(numbers) > 1000


def test_a_handler_that_prints_disturbs_nothing(either: "Kernel", kind: str) -> None:
    if kind == "stock":
        pytest.skip("stock's streams break, and it sends messages that are not whole")
    code = """
    import signal
    signal.signal(signal.SIGALRM, lambda *_: print("-", flush=True) or display("!"))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    for i in range(5_000): print(i, flush=True)
    signal.setitimer(signal.ITIMER_REAL, 0)
    _ = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    """
    text = either.run(code).text("stdout")
    assert [int(part) for part in text.replace("-", " ").split()] == list(range(5_000))


def test_what_is_printed_when_a_process_forks_is_printed_once(either: "Kernel", kind: str) -> None:
    code = "import os\nprint('before')\nif not os.fork():\n    print('child')\n    os._exit(0)\n"
    code += "_ = os.wait()\nprint('after')"
    message_id = either.send(code)
    cell = either.finish(message_id)
    text = cell.text("stdout")
    if "child" not in text:
        text += either.read_text(message_id, "stdout", until="child\n")
    # In stock the child has a copy of what waits for the timer, and says that too.
    assert text.count("before") == 1 or (kind == "stock" and text.count("before") == 2)
    assert text.count("child") == text.count("after") == 1


@pytest.mark.parametrize("size", [10, 100_000])
def test_what_a_forked_process_displays_is_shown(either: "Kernel", size: int) -> None:
    code = f"""
    import os
    if not os.fork():
        print("child")
        display({{"text/plain": "x" * {size}}}, raw=True)
        os._exit(0)
    _ = os.wait()
    """
    message_id = either.send(code)
    shown = either.finish(message_id).values("text/plain")
    while not shown:
        message = either.client.get_iopub_msg(timeout=60)
        shown = [message["content"]["data"]["text/plain"]] if message["msg_type"] == "display_data" else []
    assert shown == ["x" * size]


def test_many_processes_may_print_at_once(either: "Kernel") -> None:
    code = """
    import multiprocessing as m
    def work(n):
        for i in range(100): print(n * 1000 + i, flush=True)
    with m.get_context("fork").Pool(4) as pool: pool.map(work, range(8))
    """
    message_id = either.send(code)
    text = either.finish(message_id).text("stdout")
    wanted = {n * 1000 + i for n in range(8) for i in range(100)}
    # Processes of one pool share a line: what each says at once is nobody's promise.
    size = sum(len(str(number)) for number in wanted)
    while len("".join(text.split())) < size:
        text += either.read_text(message_id, "stdout", until="")
    assert Counter("".join(text.split())) == Counter("".join(map(str, wanted)))


def test_characters_of_a_process_are_not_torn(either: "Kernel", kind: str) -> None:
    message_id = either.send("import subprocess\n_ = subprocess.run(['printf', 'x' + 'é' * 5000 + '.\\n'])")
    text = either.read_text(message_id, "stdout", until=".\n")
    # Stock reads 1000 bytes at a time, and takes each for whole characters.
    assert ("\ufffd" in text) == (kind == "stock")
    assert kind == "stock" or text == "x" + "é" * 5000 + ".\n"


def test_bytes_that_are_no_text_are_replaced(either: "Kernel") -> None:
    message_id = either.send(r"import os; _ = os.write(1, b'a\xffb\n')")
    assert either.read_text(message_id, "stdout", until="\n") == "a\ufffdb\n"


def test_what_a_process_has_written_comes_in_its_cell_and_after_what_was_flushed_before(
    either: "Kernel", kind: str
) -> None:
    if kind == "stock":
        pytest.skip("stock reads it in a thread of its own: it comes when it comes")
    code = "import subprocess\nprint('a', flush=True)\n_ = subprocess.run(['echo', 'b'])\nprint('c', flush=True)\n"
    code += "_ = subprocess.run(['echo', 'd'])"
    for _ in range(20):
        assert either.run(code).text("stdout") == "a\nb\nc\nd\n"


def test_the_streams_descriptor_is_that_of_the_stream(either: "Kernel", kind: str) -> None:
    code = "import subprocess, sys\n_ = subprocess.run(['echo', 'given'], stdout=sys.stdout)"
    # Stock gives the kernel's original stdout, which nobody sees.
    assert either.run(code).text("stdout") == ("" if kind == "stock" else "given\n")


def test_more_than_a_pipe_holds_may_be_written_below_python(either: "Kernel") -> None:
    message_id = either.send("import subprocess\n_ = subprocess.run(['seq', '1', '100000'], check=True)\nprint('.')")
    text = either.read_text(message_id, "stdout", until="100000\n")
    assert "".join(line for line in text.split(".\n")).split() == [str(i) for i in range(1, 100_001)]


def test_output_of_a_thread_belongs_to_its_cell(either: "Kernel", tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first = either.send(
        f"import os, threading, time\ndef wait():\n    while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        "    print('from the first')\nthread = threading.Thread(target=wait); thread.start()"
    )
    either.finish(first)
    second = either.send(f"print('second')\nopen({str(gate)!r}, 'w').close()\nthread.join()\nprint('end')")
    told = both(either, first, second, "from the first\n")
    assert told == {first: "from the first\n", second: "second\nend\n"}


def test_output_of_a_task_belongs_to_its_cell(either: "Kernel") -> None:
    first = either.send(
        "import asyncio\ngo = asyncio.Event()\nasync def wait():\n    await go.wait()\n    print('from the first')\n"
        "task = asyncio.create_task(wait())"
    )
    either.finish(first)
    second = either.send("print('second')\ngo.set()\nawait task\nprint('end')")
    told = both(either, first, second, "from the first\n")
    assert told == {first: "from the first\n", second: "second\nend\n"}


def both(kernel: "Kernel", first: str, second: str, until: str) -> dict[str, str]:
    """What two cells have printed, by their ids; the second ends, and the first says `until`."""
    told, idle = {first: "", second: ""}, False
    while not idle or until not in told[first]:
        message: dict[str, Any] = kernel.client.get_iopub_msg(timeout=60)
        parent = message["parent_header"].get("msg_id")
        if message["msg_type"] == "stream" and parent in told:
            told[parent] += message["content"]["text"]
        idle = idle or (parent == second and message["content"].get("execution_state") == "idle")
    kernel.client.get_shell_msg(timeout=60)
    return told


def test_what_is_printed_after_a_cell_belongs_to_it(either: "Kernel") -> None:
    message_id = either.send("import threading\nthreading.Timer(0.3, print, ['late']).start()")
    either.finish(message_id)
    assert either.read_text(message_id, "stdout", until="late\n") == "late\n"


def test_output_comes_before_the_reply(either: "Kernel") -> None:
    for _ in range(50):
        cell = either.run("print(1); display(2); print(3); 4")
        assert cell.kinds == ["stream", "display_data", "stream", "execute_result"]
        assert cell.text("stdout") == "1\n3\n"


def test_what_is_captured_is_told_once(start_either: "StartEither", kind: str, tmp_path: Path) -> None:
    kernel = start_either(stderr=tmp_path / "stderr")
    message_id = kernel.send("import os; _ = os.write(2, b'low\\n')")
    assert kernel.read_text(message_id, "stderr", until="\n") == "low\n"
    kernel.run("_ = os.write(2, b'lower\\n')")
    assert ("low\n" in (tmp_path / "stderr").read_text()) == (kind == "stock")
