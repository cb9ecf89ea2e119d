"""MCP as plain JSON-RPC over HTTP: no session, no initialize, a message a request."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from execd.wire.mcp.catalog import TOOLS
from tests.live.mcp_messages import Mcp, texts_of
from tests.running_service import RunningService, running_service

MIB = 1024 * 1024


@pytest.fixture
def mcp(client: httpx.Client) -> Mcp:
    """The shared service's."""
    return Mcp(client)


@pytest.fixture(scope="module")
def small_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that shows little, and waits not at all."""
    folder = tmp_path_factory.mktemp("small")
    with running_service(folder, mcp_output_size=2048, mcp_image_size=0, mcp_wait=0, mcp_sessions=2) as service:
        yield service


@pytest.fixture
def small(small_service: RunningService) -> Iterator[Mcp]:
    """That service's."""
    with small_service.client() as client:
        yield Mcp(client)


def test_tools_are_listed_without_initialize(mcp: Mcp) -> None:
    tools = mcp.request("tools/list")["tools"]
    assert [tool["name"] for tool in tools] == [tool.name for tool in TOOLS]
    for tool in tools:
        assert tool["description"]
        assert tool["title"]
        assert tool["inputSchema"]["type"] == tool["outputSchema"]["type"] == "object"
        assert not (tool["annotations"]["readOnlyHint"] and tool["annotations"]["destructiveHint"])
    assert len(json.dumps([tool["inputSchema"] for tool in tools])) < 12_000


def test_initialize_is_answered_with_capabilities(mcp: Mcp) -> None:
    answer = mcp.send("initialize", mcp.client_info())
    told = mcp.result(answer)
    assert told["protocolVersion"] == "2025-11-25"
    assert set(told["capabilities"]) >= {"tools", "resources"}
    assert told["serverInfo"]["name"] == "execd"
    assert "What persists" in told["instructions"]


@pytest.mark.parametrize("accept", ["", "application/json", "*/*", "application/json, text/event-stream"])
def test_whatever_a_client_takes(mcp: Mcp, accept: str) -> None:
    answer = mcp.send("tools/call", {"name": "run_command", "arguments": {"command": "echo hi"}}, accept=accept)
    streams = "text/event-stream" in accept
    assert answer.headers["content-type"].startswith("text/event-stream" if streams else "application/json")
    assert "mcp-session-id" not in answer.headers
    assert texts_of(mcp.result(answer)) == ["hi"]


def test_state_stays_without_a_session(mcp: Mcp) -> None:
    assert "made the context 'stays'" in mcp.text("run_code", code="kept = 41", context="stays")
    told = mcp.call("run_code", code="kept + 1", context="stays")
    assert told["structuredContent"]["context_created"] is False
    assert told["structuredContent"]["context_name"] == "stays"
    assert told["content"][0]["text"] == "42"
    assert told["isError"] is False


def test_without_a_context_all_calls_share_one(mcp: Mcp) -> None:
    first = mcp.call("run_code", code="shared = 1")["structuredContent"]
    assert mcp.call("run_code", code="shared")["structuredContent"]["context"] == first["context"]
    assert mcp.text("run_code", code="echo $((6 * 7))", language="bash").startswith("42")


def test_a_context_that_is_no_more_is_made_again_under_its_name(mcp: Mcp) -> None:
    made = mcp.call("create_context", name="passing")["structuredContent"]["contexts"][0]
    mcp.call("run_code", code="gone = 1", context=made["id"])
    mcp.call("delete_context", context="passing")
    told = mcp.call("run_code", code="'gone' in globals()", context=made["id"])
    assert told["content"][0]["text"].startswith("False\n[execd] made the context")
    assert told["structuredContent"]["context_created"] is True
    again = mcp.call("run_code", code="1", context=made["id"])["structuredContent"]
    assert (again["context_created"], again["context"]) == (False, told["structuredContent"]["context"])


def test_a_context_speaks_one_language(mcp: Mcp) -> None:
    mcp.call("create_context", name="shell", language="bash")
    told = mcp.call("run_code", code="1", context="shell", language="python")
    assert told["isError"] is True
    assert "speaks bash, not 'python'" in told["content"][0]["text"]
    assert mcp.text("run_code", code="echo hi", context="shell") == "hi"
    told = mcp.call("create_context", name="shell")
    assert "there is a context 'shell' already" in told["content"][0]["text"]


def test_a_restarted_context_says_that_its_state_is_lost(mcp: Mcp) -> None:
    mcp.call("run_code", code="lost = 1", context="restarted")
    assert "its variables are lost" in mcp.text("restart_context", context="restarted")
    told = mcp.call("run_code", code="'lost' in globals()", context="restarted")
    assert "its earlier variables are lost: it was restarted" in told["structuredContent"]["state_lost"]
    assert told["content"][0]["text"].startswith("False\n[execd] this context runs in a new kernel")


def test_a_kernel_that_dies_takes_its_variables_along_and_says_so(mcp: Mcp) -> None:
    died = mcp.call("run_code", code="import os, signal; os.kill(os.getpid(), signal.SIGKILL)", context="dying")
    assert died["isError"] is True
    assert died["structuredContent"]["reason"] == "kernel_died"
    assert "the variables of its context are lost" in died["content"][0]["text"]
    assert "earlier variables are lost: its kernel ended" in mcp.text("run_code", code="1", context="dying")


def test_errors_of_code_are_for_the_model(mcp: Mcp) -> None:
    told = mcp.call("run_code", code="print('so far')\nmissing_name", context="failing")
    assert told["isError"] is True
    assert told["structuredContent"]["status"] == "failed"
    assert told["structuredContent"]["error"] == {
        "name": "NameError",
        "value": "name 'missing_name' is not defined",
    }
    text = told["content"][0]["text"]
    assert text.startswith("so far\n[error]\nNameError")
    assert "\x1b" not in text


def test_images_come_as_images_and_as_artifacts(mcp: Mcp) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nopen('drawn.txt', 'w').write('by me')"
    told = mcp.call("run_code", code=code, context="drawing")
    text, image, *links = told["content"]
    assert base64.b64decode(image["data"]).startswith(b"\x89PNG")
    assert image["mimeType"] == "image/png"
    shown = told["structuredContent"]["images"][0]
    assert f"[image/png {shown['width']}×{shown['height']}, artifact {shown['artifact_id']}]" in text["text"]
    uris = {link["name"]: link["uri"] for link in links}
    assert uris["output-1.png"] == f"execd://artifacts/{shown['artifact_id']}"
    assert mcp.read(uris["output-1.png"])["blob"] == base64.b64encode(base64.b64decode(image["data"])).decode()
    assert mcp.read(uris["drawn.txt"])["text"] == "by me"
    artifact = next(each for each in told["structuredContent"]["artifacts"] if each["name"] == "drawn.txt")
    assert httpx.get(artifact["download_url"]).text == "by me"


def test_tables_come_as_text_and_as_rows(mcp: Mcp) -> None:
    told = mcp.call("run_code", code="import pandas as pd\npd.DataFrame({'n': range(3)})", context="tabular")
    assert told["content"][0]["text"].startswith("   n\n0  0\n1  1\n2  2")
    assert told["structuredContent"]["tables"] == [
        {"columns": ["index", "n"], "rows": [{"index": row, "n": row} for row in range(3)], "rows_left_out": 0}
    ]


def test_what_is_long_is_shortened_and_can_be_read_on(small: Mcp) -> None:
    told = small.call("run_code", code="for n in range(1000): print('line', n)", wait=60)
    text, shown = told["content"][0]["text"], told["structuredContent"]
    assert len(text.encode()) < 2048 + 512
    assert text.startswith("line 0\n")
    assert "line 999\n" in text
    assert f"{shown['left_out_bytes']} bytes, " in text
    page = small.call("get_execution", execution_id=shown["execution_id"], from_line=500)
    assert page["content"][0]["text"].startswith("line 499\nline 500\n")
    following = page["structuredContent"]["next_line"]
    assert f"from_line={following})" in page["content"][0]["text"]
    rest = small.text("get_execution", execution_id=shown["execution_id"], from_line=following)
    assert rest.startswith(f"line {following - 1}\n")
    whole = small.read(shown["output_uri"])["text"]
    assert whole == "".join(f"line {n}\n" for n in range(1000))


def test_images_that_are_too_large_are_links(small: Mcp) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()"
    told = small.call("run_code", code=code, context="large", wait=60)
    assert [block["type"] for block in told["content"]] == ["text", "resource_link"]
    assert "too large to be shown here" in told["content"][0]["text"]


def test_a_call_does_not_wait_for_ever(small: Mcp) -> None:
    told = small.call(
        "run_code", code="import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.1)", context="on"
    )
    run_id = told["structuredContent"]["execution_id"]
    assert told["structuredContent"]["finished"] is False
    assert f"get_execution(execution_id='{run_id}', wait=30)" in told["content"][0]["text"]
    small.until_printed(run_id, "begun")
    stopped = small.call("interrupt", target=run_id)["structuredContent"]
    assert stopped["execution_id"] == run_id
    assert stopped["state_kept"] is True
    ended = small.call("get_execution", execution_id=run_id, wait=60)
    assert ended["structuredContent"]["status"] == "cancelled"
    assert "the variables of its context are kept" in ended["content"][0]["text"]
    # A client that has lost the answer, and with it the id, finds it as the newest.
    assert small.call("get_execution")["structuredContent"]["execution_id"] == run_id


def test_interrupt_by_the_name_of_a_context(mcp: Mcp) -> None:
    mcp.call("run_code", code="import time\nwhile True: time.sleep(0.1)", context="stuck", wait=0)
    run = mcp.call("get_execution")["structuredContent"]
    assert mcp.call("interrupt", target="stuck")["structuredContent"]["execution_id"] == run["execution_id"]
    assert mcp.text("interrupt", target="stuck") == "nothing was running there"
    assert "context not found: 'nobody'; list_contexts" in mcp.text("interrupt", target="nobody")


def test_commands(mcp: Mcp) -> None:
    told = mcp.call("run_command", command="echo out; echo $GIVEN >&2; exit 3", env={"GIVEN": "err"})
    assert told["isError"] is True
    assert told["content"][0]["text"] == "out\n[stderr]\nerr\n[execd] exit code 3"
    assert told["structuredContent"]["exit_code"] == 3
    timed = mcp.call("run_command", command="sleep 60", timeout=0.2)
    assert timed["structuredContent"]["reason"] == "timeout"
    assert "it ended failed (timeout)" in timed["content"][0]["text"]


def test_files(mcp: Mcp) -> None:
    assert mcp.text("write_file", path="sub/notes.txt", content="one\ntwo\nthree\n").startswith("wrote 14 bytes")
    assert mcp.text("read_file", path="sub/notes.txt", from_line=2, lines=1).startswith("two\n\n[execd] there is more")
    raw = base64.b64encode(bytes(range(256))).decode()
    mcp.call("write_file", path="sub/raw.bin", content=raw, encoding="base64")
    assert "256 bytes; download_file gives a link" in mcp.text("read_file", path="sub/raw.bin")
    listed = mcp.call("list_files", path="sub")["structuredContent"]["files"]
    assert [Path(each["path"]).name for each in listed] == ["notes.txt", "raw.bin"]
    found = mcp.call("search_files", pattern="*.bin", limit=1)
    assert [Path(each["path"]).name for each in found["structuredContent"]["files"]] == ["raw.bin"]
    link = mcp.call("download_file", path="sub/raw.bin")
    assert httpx.get(link["structuredContent"]["download_url"]).content == bytes(range(256))
    assert mcp.read(link["content"][1]["uri"])["blob"] == raw
    assert "expected base64" in mcp.text("write_file", path="x", content="?", encoding="base64")
    assert "there is no file or folder" in mcp.text("read_file", path="sub/none")


def test_an_image_in_a_file_is_shown(mcp: Mcp) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1])\nplt.savefig('figure.png')\nplt.close()"
    mcp.call("run_code", code=code, context="saving")
    told = mcp.call("read_file", path="figure.png")
    assert [block["type"] for block in told["content"]] == ["text", "image"]


def test_artifacts_are_listed(mcp: Mcp) -> None:
    run = mcp.call("run_code", code="open('listed.csv', 'w').write('a,b')", context="listing")["structuredContent"]
    told = mcp.call("list_artifacts", execution_id=run["execution_id"])
    assert [each["name"] for each in told["structuredContent"]["artifacts"]] == ["listed.csv"]
    uri = told["structuredContent"]["artifacts"][0]["uri"]
    assert uri in [each["uri"] for each in mcp.request("resources/list")["resources"]]
    assert mcp.call("list_artifacts", kind="html", context=run["context"])["structuredContent"]["artifacts"] == []


def test_resources_that_there_are_not(mcp: Mcp) -> None:
    templates = mcp.request("resources/templates/list")["resourceTemplates"]
    assert [each["name"] for each in templates] == ["artifact", "output", "file"]
    for uri in ("execd://artifacts/art_none", "execd://executions/run_none/output", "https://a.example"):
        error = mcp.send("resources/read", {"uri": uri}).json()["error"]
        assert error["code"] == -32002


def test_baponi_s_tools(mcp: Mcp) -> None:
    told = mcp.call("sandbox_execute", code="import sys; print('out'); print('err', file=sys.stderr); sys.exit(2)")
    assert told["content"][0]["text"] == "out\n[stderr]\nerr\n[exit code: 2]"
    assert told["isError"] is True
    assert mcp.text("sandbox_execute", code="pass") == "(no output)"
    code = "open(__import__('os').path.expanduser('~/kept.txt'), 'w').write('kept')"
    assert mcp.call("sandbox_execute", code=code, thread_id="mcp-thread")["structuredContent"]["success"] is True
    signed = mcp.call("files_download", id="mcp-thread", path="kept.txt")["structuredContent"]
    assert httpx.get(signed["url"]).text == "kept"
    assert "thread not found" in mcp.text("files_download", id="none", path="kept.txt")
    assert "expected names of 1 to 128 capital" in mcp.text("sandbox_execute", code="1", env_vars={"a": "b"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "code: this field is missing"),
        ({"code": 1}, "code: expected a valid string, got the number 1"),
        ({"code": "1", "time": 3}, "time: expected extra inputs are not permitted"),
        ({"code": "1", "language": "cobol"}, "unknown language 'cobol'; this service has: bash, python"),
        ({"code": "1", "context": "-x"}, "context: expected string should match pattern"),
        ({"code": "1", "sandbox": "sb_none"}, "sandbox not found: 'sb_none'"),
        ({"code": "1", "wait": 1e9}, "wait: expected less than or equal to 3600"),
    ],
)
def test_mistakes_are_said_to_the_model(mcp: Mcp, arguments: dict[str, Any], said: str) -> None:
    told = mcp.call("run_code", **arguments)
    assert told["isError"] is True
    assert said in told["content"][0]["text"]


def test_what_is_no_message_or_no_tool(mcp: Mcp) -> None:
    assert mcp.client.post("/mcp", content=b"{").status_code == 400
    answer = mcp.client.post("/mcp", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32700)
    answer = mcp.client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "none/such"})
    assert answer.json()["error"]["code"] == -32601
    error = mcp.send("tools/call", {"name": "none", "arguments": {}}).json()["error"]
    assert (error["code"], "run_code" in error["message"]) == (-32602, True)
    answer = mcp.client.put("/mcp", json={})
    assert (answer.status_code, answer.json()["error"]["data"]) == (405, {"code": "method_not_allowed"})


def test_structured_content_can_be_left_out(mcp: Mcp) -> None:
    plain = Mcp(mcp.client, "/mcp?structured=false")
    assert all("outputSchema" not in tool for tool in plain.request("tools/list")["tools"])
    assert "structuredContent" not in plain.call("list_contexts")


def test_pages_of_other_origins_are_not_let_in(mcp: Mcp) -> None:
    answer = mcp.send("tools/list", headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["error"]["data"]["code"]) == (403, "forbidden")
    answer = mcp.send("tools/list", headers={"Host": "evil.example"})
    assert answer.status_code == 403


def test_without_the_package_it_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['mcp'] = sys.modules['mcp_types'] = None; from execd.cli import main; main()"
    with running_service(tmp_path, program=("-c", program)) as service, service.client() as client:
        assert client.get("/ping").status_code == 200
        answer = Mcp(client).send("tools/list")
        assert answer.status_code == 501
        assert "pip install 'execd[mcp]'" in answer.json()["error"]["message"]
