"""The module `execd_run`, in a kernel with a client that plays the service."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Cell, Kernel, StartKernel

DEADLINE = 60.0
CHECKPOINT = "\0execd_checkpoint:"


def send(kernel: "Kernel", code: str, given: dict[str, Any] | None) -> str:
    """Ask for a cell as the service does for an agent, or for anybody."""
    metadata = {} if given is None else {"execd_input": given}
    content = {"code": code, "allow_stdin": False, "store_history": True, "stop_on_error": False}
    message = kernel.client.session.msg("execute_request", content, metadata=metadata)
    kernel.client.shell_channel.send(message)
    return str(message["header"]["msg_id"])


def run(kernel: "Kernel", code: str, given: dict[str, Any] | None = None, *, check: bool = True) -> "Cell":
    return kernel.finish(send(kernel, code, given), check=check)


def reports(cell: "Cell") -> list[dict[str, Any]]:
    return [content for kind, content in cell.messages if kind == "execd_report"]


def test_the_input_is_that_of_the_run(kernel: "Kernel") -> None:
    assert run(kernel, "import execd_run; print(execd_run.input['a'])", {"a": "é"}).text("stdout") == "é\n"
    assert run(kernel, "print(execd_run.input)", {}).text("stdout") == "{}\n"
    assert run(kernel, "print(execd_run.input)").text("stdout") == "{}\n"


def test_what_is_said_comes_in_its_place_among_what_is_printed(kernel: "Kernel") -> None:
    cell = run(kernel, "import execd_run\nprint(1)\nexecd_run.output({'x': [1, 'é', None]})\nprint(2)", {})
    assert cell.kinds == ["stream", "execd_report", "stream"]
    assert reports(cell) == [{"kind": "output", "value": {"x": [1, "é", None]}}]


def test_usage(kernel: "Kernel") -> None:
    cell = run(kernel, "import execd_run\nexecd_run.usage(prompt_tokens=3, cost=1)", {})
    assert reports(cell) == [{"kind": "usage", "cost": 1.0, "tokens": {"prompt_tokens": 3}}]


def test_a_tool_begins_and_ends_whatever_becomes_of_it(kernel: "Kernel") -> None:
    code = "import execd_run\nwith execd_run.tool('look', 'found'): pass\nwith execd_run.tool('look'): 1 / 0"
    cell = run(kernel, code, {}, check=False)
    told = [(report["kind"], report["name"], report.get("summary")) for report in reports(cell)]
    assert told == [
        ("tool_start", "look", None),
        ("tool_end", "look", "found"),
        ("tool_start", "look", None),
        ("tool_end", "look", "ZeroDivisionError: division by zero"),
    ]
    ids = [report["id"] for report in reports(cell)]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert cell.reply["ename"] == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("value", "raises"),
    [("{1}", "TypeError"), ("float('nan')", "ValueError"), ("'x' * 1_048_576", "ValueError")],
)
def test_what_cannot_be_returned(kernel: "Kernel", value: str, raises: str) -> None:
    cell = run(kernel, f"import execd_run\nexecd_run.output({value})", {}, check=False)
    assert (cell.reply["ename"], reports(cell)) == (raises, [])


@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        ({"approved": True, "reason": ""}, "went on\n"),
        ({"approved": False, "reason": "no money"}, "rejected: no money\n"),
        ({"approved": False, "reason": ""}, "rejected: 'pay?' was rejected\n"),
    ],
)
def test_a_checkpoint_waits_for_its_answer(kernel: "Kernel", answer: dict[str, Any], printed: str) -> None:
    code = """
import execd_run
try:
    execd_run.checkpoint("pay?", {"sum": 3})
    print("went on")
except execd_run.Rejected as error:
    print("rejected:", error)
"""
    message_id = send(kernel, code, {})
    asked = kernel.client.get_stdin_msg(timeout=DEADLINE)["content"]["prompt"]
    assert asked.startswith(CHECKPOINT)
    assert json.loads(asked.removeprefix(CHECKPOINT)) == {"name": "pay?", "payload": {"sum": 3}}
    assert kernel.reply_within(0.2) is None
    kernel.client.input(json.dumps(answer))
    assert kernel.finish(message_id).text("stdout") == printed


def test_a_checkpoint_is_interrupted_like_any_other_code(kernel: "Kernel") -> None:
    message_id = send(kernel, "import execd_run\nexecd_run.checkpoint('go?')", {})
    kernel.client.get_stdin_msg(timeout=DEADLINE)
    kernel.manager.interrupt_kernel()
    assert kernel.finish(message_id, check=False).reply["ename"] == "KeyboardInterrupt"


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("execd_run.checkpoint('go?')", None),
        (
            "import concurrent.futures as f; f.ThreadPoolExecutor().submit(execd_run.checkpoint, 'go?').result()",
            {},
        ),
    ],
)
def test_where_nobody_would_be_asked(kernel: "Kernel", code: str, given: dict[str, Any] | None) -> None:
    assert run(kernel, f"import execd_run\n{code}", given, check=False).reply["ename"] == "RuntimeError"


def test_a_module_of_the_users_that_has_this_name_comes_first(start_kernel: "StartKernel", tmp_path: Path) -> None:
    (tmp_path / "execd_run.py").write_text("mine = 1")
    kernel = start_kernel()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport execd_run; print(execd_run.mine)"
    assert run(kernel, code, {}).text("stdout") == "1\n"
