"""Running code through the public SDKs: what an agent's author sees of it."""

from __future__ import annotations

import re

import anyio
import pytest
from opensandbox.exceptions import SandboxApiException

from tests.clients.heard import Heard
from tests.clients.interpreters import Context, Interpreter

SLEEP = "import time\nprint('asleep', flush=True)\ntime.sleep(100)"
UNKNOWN = r"unknown language 'cobol'; this service has: .*python"


def plain(lines: list[str]) -> str:
    """A traceback without the colours that a kernel may give it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


async def test_an_interpreter_passes_the_checks_of_the_sdk(interpreter: Interpreter) -> None:
    assert await interpreter.is_healthy()


class TestOutput:
    async def test_printed_lines_and_the_value_come_back(self, interpreter: Interpreter) -> None:
        execution = await interpreter.run("print('six times seven')\n6 * 7")
        assert "".join(message.text for message in execution.logs.stdout) == "six times seven\n"
        assert [result.text for result in execution.result] == ["42"]
        assert execution.text == "six times seven\n42"
        assert execution.logs.stderr == []
        assert execution.error is None
        assert execution.complete is not None

    async def test_displays_are_results_in_their_order(self, interpreter: Interpreter) -> None:
        execution = await interpreter.run("display('first')\ndisplay('second')\n'value'")
        assert [result.text for result in execution.result] == ["'first'", "'second'", "'value'"]

    async def test_a_figure_is_told_by_its_text(self, interpreter: Interpreter) -> None:
        execution = await interpreter.run("import matplotlib.pyplot as plt\nplt.plot([1, 4, 9])\nplt.show()")
        assert "<Figure size 640x480 with 1 Axes>" in execution.text
        assert execution.error is None

    async def test_no_line_separator_of_unicode_splits_an_event(self, interpreter: Interpreter) -> None:
        text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei\U0001f389"
        execution = await interpreter.run(f"text = {text!a}\nprint(text, end='')\ntext")
        assert "".join(message.text for message in execution.logs.stdout) == text
        assert [result.text for result in execution.result] == [repr(text)]

    async def test_much_output_arrives_whole(self, interpreter: Interpreter) -> None:
        execution = await interpreter.run("for n in range(20_000): print(n)")
        printed = "".join(message.text for message in execution.logs.stdout)
        assert printed == "".join(f"{n}\n" for n in range(20_000))

    async def test_handlers_are_called_for_each_event(self, interpreter: Interpreter) -> None:
        heard = Heard()
        code = "import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr, flush=True)\n'value'"
        execution = await interpreter.run(code, heard=heard)
        assert heard.kinds == ["init", "stdout", "stderr", "result", "execution_complete"]
        assert (await heard.first("init")).id == execution.id
        assert (heard.text("stdout"), heard.text("stderr")) == ("out\n", "err\n")
        assert {message.is_error for message in heard.all("stdout")} == {False}
        assert {message.is_error for message in heard.all("stderr")} == {True}
        assert [result.text for result in heard.all("result")] == ["'value'"]
        assert heard.all("execution_complete") == [execution.complete]
        times = [given.timestamp for _, given in heard.calls]
        assert times == sorted(times)


class TestErrors:
    async def test_an_error_has_its_name_value_and_traceback(self, interpreter: Interpreter) -> None:
        heard = Heard()
        execution = await interpreter.run("def half(n):\n    return n / 0\nprint('before')\nhalf(1)", heard=heard)
        assert heard.kinds == ["init", "stdout", "error", "execution_complete"]
        assert execution.error == await heard.first("error")
        assert execution.error is not None
        assert (execution.error.name, execution.error.value) == ("ZeroDivisionError", "division by zero")
        assert "return n / 0" in plain(execution.error.traceback)
        assert "half(1)" in plain(execution.error.traceback)
        assert execution.text == "before"

    async def test_code_that_is_no_python_says_so(self, interpreter: Interpreter) -> None:
        execution = await interpreter.run("1 +")
        assert execution.error is not None
        assert execution.error.name == "SyntaxError"
        assert execution.complete is not None

    async def test_a_kernel_that_dies_is_an_error_and_the_context_goes_on(
        self, interpreter: Interpreter, context: Context
    ) -> None:
        execution = await interpreter.run("import os\nos._exit(3)", context=context)
        assert execution.error is not None
        assert execution.error.name == "KernelDied"
        assert (await interpreter.run("'alive'", context=context)).text == "'alive'"

    async def test_an_unknown_language_is_named_with_the_known_ones(self, interpreter: Interpreter) -> None:
        with pytest.raises(
            SandboxApiException, match=r"unknown language 'cobol'; this service has: .*python"
        ) as caught:
            await interpreter.run("DISPLAY 'HI'.", language="cobol")
        assert caught.value.status_code == 500
        assert "RUNTIME_ERROR" in str(caught.value)


class TestInterrupt:
    async def test_a_running_execution_is_interrupted_by_the_id_that_init_gave(self, interpreter: Interpreter) -> None:
        await interpreter.run("kept = 'still here'")
        heard = Heard()
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: interpreter.run(SLEEP, heard=heard))
            await heard.says("asleep\n")
            await interpreter.interrupt((await heard.first("init")).id)
        assert heard.kinds == ["init", "stdout", "error", "execution_complete"]
        assert heard.text() == "asleep\n"
        assert (await heard.first("error")).name == "KeyboardInterrupt"
        assert (await interpreter.run("kept")).text == "'still here'"

    async def test_what_waits_for_its_turn_runs_after_what_was_interrupted(self, interpreter: Interpreter) -> None:
        running, waiting = Heard(), Heard()
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: interpreter.run("turn = 1\n" + SLEEP, heard=running))
            await running.says("asleep\n")
            group.start_soon(lambda: interpreter.run("turn + 1", heard=waiting))
            await waiting.first("init")
            assert waiting.kinds == ["init"]
            await interpreter.interrupt((await running.first("init")).id)
        assert (await running.first("error")).name == "KeyboardInterrupt"
        assert (await waiting.first("result")).text == "2"
        assert waiting.kinds == ["init", "result", "execution_complete"]

    async def test_interrupting_an_idle_context_changes_nothing(self, interpreter: Interpreter) -> None:
        execution = await interpreter.run("idle = 'as before'")
        assert execution.id is not None
        await interpreter.interrupt(execution.id)
        assert (await interpreter.run("idle")).text == "'as before'"

    async def test_interrupting_what_is_not_there_is_refused(self, interpreter: Interpreter) -> None:
        with pytest.raises(SandboxApiException, match="context not found: 'nobody'") as caught:
            await interpreter.interrupt("nobody")
        assert (caught.value.status_code, caught.value.error.code) == (500, "RUNTIME_ERROR")
