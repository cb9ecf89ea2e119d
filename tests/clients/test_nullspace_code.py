"""Nullspace's SDKs run code: streamed, in contexts, and as runs. Both generations, both variants."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.nullspace_sdk import GENERATIONS, Sdk, encoded, opened
from tests.live.waiting import eventually
from tests.running_service import RunningService
from tests.wheels import build_wheel

VARIANTS = [*GENERATIONS, *(f"async-{generation}" for generation in GENERATIONS)]
CALLBACKS = ["on_stdout", "on_stderr", "on_result", "on_artifact", "on_error"]
CELL = "import sys\nprint('a')\nprint('é\\u2028', file=sys.stderr)\n6 * 7"
FIGURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4])\nplt.show()"


@pytest.fixture(scope="module", params=VARIANTS)
def sdk(
    request: pytest.FixtureRequest, service: RunningService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sdk]:
    """A sandbox of each SDK in turn."""
    with opened(tmp_path_factory.mktemp(request.param), request.param, service.url) as found:
        yield found


@pytest.fixture
def context(sdk: Sdk) -> Iterator[str]:
    """A context of a test's own."""
    made = sdk.code("create_code_context")
    yield made["id"]
    sdk.code("remove_code_context", made["id"])


def test_a_cell(sdk: Sdk) -> None:
    before = len(sdk.call("heard"))
    done = sdk.call("run_code", CELL, callbacks=CALLBACKS)
    assert ("".join(done["logs"]["stdout"]), "".join(done["logs"]["stderr"])) == ("a\n", "é\u2028\n")
    [result] = done["results"]
    assert (result["text"], result["is_main_result"], result["data"]) == ("42", True, {"text/plain": "42"})
    assert done["error"] is None
    assert done["execution_count"] > 0
    heard = sdk.call("heard")[before:]
    [line] = [told for name, told in heard if name == "on_stdout"]
    assert (line["line"], line["error"]) == ("a\n", False)
    assert line["timestamp"] > 10**12
    assert [told["line"] for name, told in heard if name == "on_stderr"] == ["é\u2028\n"]
    assert [told["text"] for name, told in heard if name == "on_result"] == ["42"]


def test_state_stays(sdk: Sdk) -> None:
    sdk.call("run_code", "kept = 5")
    assert sdk.call("run_code", "kept + 1")["results"][0]["text"] == "6"
    assert sdk.call("run_code", "echo $((1 + 1))", language="bash")["logs"]["stdout"] == ["2\n"]


def test_an_error(sdk: Sdk) -> None:
    done = sdk.call("run_code", "print('so far')\n1 / 0", callbacks=["on_error"])
    assert done["logs"]["stdout"] == ["so far\n"]
    error = done["error"]
    assert (error["name"], error["value"]) == ("ZeroDivisionError", "division by zero")
    assert error["traceback"].count("\n") > 1
    assert sdk.call("heard")[-1] == ["on_error", error]


def test_a_time_limit(sdk: Sdk) -> None:
    sdk.call("run_code", "kept = 5")
    done = sdk.call("run_code", "import time\ntime.sleep(600)", timeout=1)
    assert done["error"]["name"] == "TimeoutError"
    assert sdk.call("run_code", "kept")["results"][0]["text"] == "5"


def test_rich_results(sdk: Sdk) -> None:
    code = "from IPython.display import HTML, JSON, Latex, Markdown, SVG, display\n"
    code += "display(HTML('<b>x</b>'), Markdown('*x*'), JSON({'a': [1]}), Latex('$x$'), SVG('<svg/>'))"
    found = sdk.call("run_code", code)["results"]
    assert [result["html"] for result in found if result["html"]] == ["<b>x</b>"]
    assert [result["markdown"] for result in found if result["markdown"]] == ["*x*"]
    assert [result["json"] for result in found if result["json"]] == [{"a": [1]}]
    assert [result["latex"] for result in found if result["latex"]] == ["$x$"]
    assert "<svg" in next(result["svg"] for result in found if result["svg"])


def test_a_figure(sdk: Sdk, context: str) -> None:
    [result] = sdk.call("run_code", FIGURE)["results"]
    assert base64.b64decode(result["png"]).startswith(b"\x89PNG")
    assert result["is_main_result"] is False
    assert result["chart"]["type"] == "line"
    assert [(point["x"], point["y"]) for point in result["chart"]["elements"]] == [(1, 3), (2, 4)]
    run = sdk.code("create_run", FIGURE, context=context)
    [kept] = sdk.code("wait_for_run", run["id"], poll_interval=0.05)["execution"]["results"]
    assert kept["chart"] == result["chart"]


def test_what_a_cell_makes(sdk: Sdk, context: str) -> None:
    code = f"open('/workspace/{context}.txt', 'w').write('hello')"
    before = len(sdk.call("heard"))
    [artifact] = sdk.call("run_code", code, context=context, callbacks=["on_artifact"])["artifacts"]
    assert sdk.call("heard")[before:] == [["on_artifact", artifact]]
    assert (artifact["name"], artifact["context_id"], artifact["size_bytes"]) == (f"{context}.txt", context, 5)
    assert sdk.code("download_artifact", artifact["id"]) == encoded(b"hello")
    run = sdk.code("create_run", code.replace("hello", "again"), context=context)
    [kept] = sdk.code("wait_for_run", run["id"], poll_interval=0.05)["execution"]["artifacts"]
    assert sdk.code("download_artifact", kept["id"]) == encoded(b"again")


def test_variables_of_one_run(sdk: Sdk, context: str) -> None:
    secret = 'it\'s\n"quoted"'
    code = "import os\nos.environ.get('TEA')"
    assert sdk.call("run_code", code, envs={"TEA": secret})["results"][0]["text"] == repr(secret)
    assert sdk.call("run_code", code)["results"] == []
    run = sdk.code("create_run", code, context=context, envs={"TEA": "green"})
    ended = sdk.code("wait_for_run", run["id"], poll_interval=0.05)
    assert ended["execution"]["results"][0]["text"] == "'green'"


def test_contexts(sdk: Sdk) -> None:
    sdk.run("mkdir -p project")
    made = sdk.code("create_code_context", cwd="/workspace/x/../project/", language="python")
    assert (made["language"], made["cwd"]) == ("python", "/workspace/project")
    assert made in sdk.code("list_code_contexts")
    done = sdk.call("run_code", "import os\nprint(os.getcwd())\nkept = 1", context=made["id"])
    assert done["logs"]["stdout"] == ["/workspace/project\n"]
    assert sdk.call("run_code", "kept", context=made["id"])["results"][0]["text"] == "1"
    sdk.code("remove_code_context", made["id"])
    assert made not in sdk.code("list_code_contexts")
    for refused in (sdk.call("run_code", "1", context=made["id"]), sdk.code("remove_code_context", made["id"])):
        assert (refused["error"], refused["code"]) == ("NotFoundError", "not_found")


IMPOSSIBLE = [
    {"cwd": "relative"},
    {"cwd": "/workspace/none"},
    {"cwd": "/workspace/.nullspace/x"},
    {"language": "cobol"},
]


@pytest.mark.parametrize("asked", IMPOSSIBLE)
def test_contexts_that_cannot_be(sdk: Sdk, asked: dict[str, str]) -> None:
    refused = sdk.code("create_code_context", **asked)
    assert refused["code"] == "invalid_request"
    assert next(iter(asked)) in refused["message"]


def test_a_restart(sdk: Sdk, context: str) -> None:
    sdk.call("run_code", "kept = 5", context=context)
    sdk.code("restart_code_context", context)
    assert sdk.call("run_code", "kept", context=context)["error"]["name"] == "NameError"
    assert sdk.code("restart_code_context", "ctx_none")["code"] == "not_found"


def test_an_interrupt(sdk: Sdk, context: str) -> None:
    run = started(sdk, context, "kept = 5")
    sdk.code("interrupt_code_context", context)
    ended = sdk.code("wait_for_run", run["id"], poll_interval=0.05)
    assert (ended["status"], ended["execution"]["error"]["name"]) == ("cancelled", "KeyboardInterrupt")
    assert sdk.call("run_code", "kept", context=context)["results"][0]["text"] == "5"
    sdk.code("interrupt_code_context", context)
    assert sdk.code("interrupt_code_context", "ctx_none")["code"] == "not_found"


def started(sdk: Sdk, context: str, code: str = "") -> Any:
    """A run that has run this code and does not end."""
    run = sdk.code("create_run", f"{code}\nopen('/workspace/{context}', 'w')\nwhile True: pass", context=context)
    eventually(lambda: sdk.call("files.exists", f"/workspace/{context}") is True)
    return run


def test_a_run(sdk: Sdk, context: str) -> None:
    run = sdk.code("create_run", "print('a')\nprint('b')\n6 * 7", context=context, timeout=60)
    assert run["id"].startswith("run_")
    noun = {"sandboxes": "sandbox_id", "machines": "machine_id"}[sdk.generation]
    assert (run[noun], run["context_id"], run["timeout_secs"]) == (sdk.id, context, 60)
    ended = sdk.code("wait_for_run", run["id"], poll_interval=0.05)
    assert (ended["status"], ended["failure_reason"]) == ("succeeded", None)
    execution = ended["execution"]
    assert "".join(execution["logs"]["stdout"]) == "a\nb\n"
    assert (execution["results"][0]["text"], execution["execution_count"]) == ("42", 1)
    times = [ended[name] for name in ("created_at", "started_at", "completed_at", "expires_at")]
    assert times == sorted(times)
    assert ended["cancel_requested_at"] is None
    assert sdk.code("cancel_run", run["id"]) == ended


def test_runs_that_fail(sdk: Sdk, context: str) -> None:
    run = sdk.code("create_run", "1 / 0", context=context)
    ended = sdk.code("wait_for_run", run["id"], poll_interval=0.05)
    assert (ended["status"], ended["execution"]["error"]["name"]) == ("failed", "ZeroDivisionError")
    assert ended["failure_reason"] == "error: ZeroDivisionError: division by zero"
    run = sdk.code("create_run", "while True: pass", context=context, timeout=1)
    ended = sdk.code("wait_for_run", run["id"], poll_interval=0.05)
    assert (ended["status"], ended["execution"]["error"]["name"]) == ("failed", "TimeoutError")
    assert ended["failure_reason"].startswith("timeout: the run exceeded its time limit of 1 s")


def test_cancelling(sdk: Sdk, context: str) -> None:
    first = started(sdk, context)
    second = sdk.code("create_run", "print('never')", context=context)
    cancelled = sdk.code("cancel_run", second["id"])
    assert (cancelled["status"], cancelled["started_at"], cancelled["execution"]) == ("cancelled", None, None)
    assert cancelled["cancel_requested_at"] <= cancelled["completed_at"]
    assert sdk.code("cancel_run", first["id"])["cancel_requested_at"] is not None
    assert sdk.code("wait_for_run", first["id"], poll_interval=0.05)["status"] == "cancelled"


def test_lists_of_runs(sdk: Sdk, context: str) -> None:
    made = [sdk.code("create_run", f"{number}", context=context)["id"] for number in range(3)]
    for run_id in made:
        sdk.code("wait_for_run", run_id, poll_interval=0.05)
    first = sdk.code("list_runs", context_id=context, limit=2)
    assert [run["id"] for run in first["items"]] == [made[2], made[1]]
    assert all(run["status"] == "succeeded" for run in first["items"])
    rest = sdk.code("list_runs", context_id=context, limit=2, cursor=first["next_cursor"])
    assert ([run["id"] for run in rest["items"]], rest["next_cursor"]) == ([made[0]], None)
    assert sdk.code("list_runs", context_id=context, status="queued") == {"items": [], "next_cursor": None}


def test_what_is_not_there(sdk: Sdk) -> None:
    for refused in (
        sdk.code("get_run", "run_none"),
        sdk.code("cancel_run", "run_none"),
        sdk.code("create_run", "1", context="ctx_none"),
    ):
        assert (refused["error"], refused["code"]) == ("NotFoundError", "not_found")


def test_installed_packages(sdk: Sdk, tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path, "teapot", "1.0", {"teapot.py": "heat = 'hot'\n"})
    sdk.call("files.write", f"/workspace/wheels/{wheel.name}", encoded(wheel.read_bytes()))
    done = sdk.call("install_packages", ["teapot"])
    assert "Successfully installed teapot-1.0" in "".join(done["logs"]["stdout"])
    assert sdk.call("run_code", "import teapot\nteapot.heat")["results"][0]["text"] == "'hot'"
