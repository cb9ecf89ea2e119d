"""Nullspace's SDKs of both generations: sandboxes and machines, their commands, processes and files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clients.nullspace_sdk import GENERATIONS, PREFIXES, Sdk, encoded, opened
from tests.live.waiting import eventually
from tests.running_service import RunningService


@pytest.fixture(scope="module", params=GENERATIONS)
def sdk(
    request: pytest.FixtureRequest, service: RunningService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sdk]:
    """A sandbox of each SDK in turn."""
    with opened(tmp_path_factory.mktemp(request.param), request.param, service.url) as found:
        yield found


def test_what_a_sandbox_is_shown_as(sdk: Sdk) -> None:
    info = sdk.call("get_info")
    assert sdk.id.startswith(PREFIXES[sdk.generation])
    assert (info["id"], info["status"], info["metadata"]) == (sdk.id, "running", {"team": "tea"})
    assert info["config"] == {"vcpus": 2, "memory_mb": 512}
    assert (info["template"], info["timeout_action"]) == ("base", "destroy")
    assert set(sdk.call("get_info", fields=["id", "status"])) == {"id", "status"}
    assert sdk.call(".get_info_by_id", sdk.id)["id"] == sdk.id


def test_lists(sdk: Sdk) -> None:
    assert sdk.id in [found["id"] for found in sdk.call(".list")["items"]]
    listed = sdk.call(".list", limit=1, state="running")["items"]
    assert len(listed) == 1


def test_time(sdk: Sdk) -> None:
    sdk.call("set_timeout", 600)
    assert sdk.call("get_info")["timeout_ms"] == 600_000


def test_metrics_and_hosts(sdk: Sdk) -> None:
    [sample] = sdk.call("get_metrics")
    assert sample["cpu_count"] >= 1
    assert sample["mem_total_bytes"] > sample["mem_used_bytes"] > 0
    assert sdk.call("get_host", 8000).endswith(f"/{sdk.id}/proxy/8000")


def test_hibernating(sdk: Sdk) -> None:
    pid = sdk.run("while :; do echo >>ticks; sleep 0.01; done", background=True)["pid"]
    assert sdk.call("hibernate")["id"] == sdk.id
    assert sdk.call(".get_info_by_id", sdk.id)["status"] == "paused"
    assert sdk.run("true")["error"] == "ConflictError"
    assert sdk.call(".connect", sdk.id)["id"] == sdk.id
    assert sdk.run("n=$(wc -l <ticks); until [ $(wc -l <ticks) -gt $n ]; do sleep 0.01; done")["exit_code"] == 0
    sdk.call("commands.kill", pid)


def test_what_cannot_be_had(sdk: Sdk) -> None:
    noun = {"sandboxes": "sandbox", "machines": "machine"}[sdk.generation]
    unknown = sdk.call(".connect", f"{PREFIXES[sdk.generation]}nobody")
    assert (unknown["error"], unknown["code"]) == ("NotFoundError", f"{noun}_not_found")


def test_a_fork(sdk: Sdk) -> None:
    sdk.run("echo mine >forked")
    fork = sdk.call("fork")
    assert fork["id"] not in ("", sdk.id)
    assert sdk.call(".get_info_by_id", fork["id"])["metadata"] == {"team": "tea"}


def test_commands(sdk: Sdk) -> None:
    done = sdk.call("commands.run", "echo", ["$GREETING", "a  b"])
    assert (done["exit_code"], done["stdout"], done["stderr"]) == (0, "$GREETING a  b\n", "")
    done = sdk.run('echo "$GREETING $MORE"; echo err >&2; exit 3', envs={"MORE": "you"})
    assert (done["exit_code"], done["stdout"], done["stderr"]) == (3, "hello you\n", "err\n")
    assert sdk.run("kill -9 $$")["exit_code"] == 137
    assert sdk.run("pwd", cwd="/")["stdout"] == "/\n"
    assert sdk.call("process.code_run", "print(6 * 7)")["stdout"] == "42\n"


def test_commands_that_fail(sdk: Sdk) -> None:
    assert sdk.run("sleep 600", timeout=1)["code"] == "exec_timeout"
    assert sdk.call("commands.run", "no-such-program")["code"] == "exec_failed"


def test_processes(sdk: Sdk) -> None:
    pid = sdk.run("read line; echo got $line; echo err >&2; sleep 600", background=True)["pid"]
    sdk.call("commands.send_stdin", pid, "tea\n")
    eventually(lambda: sdk.call("commands.get_logs", pid)["stderr"] == "err\n")
    logs = sdk.call("commands.get_logs", pid)
    assert (logs["stdout"], logs["exit_code"]) == ("got tea\n", None)
    assert running(sdk, pid) is True
    sdk.call("commands.kill", pid)
    assert running(sdk, pid) is False
    assert sdk.call("commands.get_logs", pid)["exit_code"] == 143
    assert sdk.call("commands.get_logs", 1)["code"] == "not_found"


def running(sdk: Sdk, pid: int) -> bool:
    """What the list says of a process."""
    [found] = [process for process in sdk.call("commands.list") if process["pid"] == pid]
    return bool(found["running"])


def test_live_commands(sdk: Sdk) -> None:
    done = sdk.run("echo one; echo two; exit 3", live=True)
    assert (done["exit_code"], done["stdout"]) == (3, "one\ntwo\n")
    pid = sdk.call("commands.run", "cat", background=True, live=True)["pid"]
    sdk.call("commands.send_stdin", pid, "three\n")
    eventually(lambda: "".join(sdk.call("heard")).endswith("three\n"))
    sdk.call("commands.kill", pid)


def test_files(sdk: Sdk) -> None:
    written = sdk.call("files.write", "notes/a.txt", "héllo\nworld\n")
    assert (written["name"], written["size"], written["is_dir"], written["mode"]) == ("a.txt", 13, False, "0644")
    assert sdk.call("files.read", "notes/a.txt") == "héllo\nworld\n"
    sdk.call("files.write", "notes/b.bin", encoded(b"\x00\xff"))
    assert sdk.call("files.read", "notes/b.bin", format="bytes") == encoded(b"\x00\xff")
    assert sdk.call("files.read", "notes/b.bin")["code"] == "file_error"
    assert [found["name"] for found in sdk.call("files.list", "notes")] == ["a.txt", "b.bin"]
    assert sdk.call("files.info", "notes")["type"] == "dir"
    assert [sdk.call("files.exists", name) for name in ("notes/a.txt", "none")] == [True, False]
    assert sdk.call("files.rename", "notes/a.txt", "notes/c.txt")["name"] == "c.txt"
    sdk.call("files.set_permissions", "notes/c.txt", "0600")
    assert sdk.call("files.info", "notes/c.txt")["permissions"] == "0600"
    assert sdk.call("files.make_dir", "notes/deep/er") is True
    sdk.call("files.remove", "notes")
    assert sdk.call("files.info", "notes")["error"] == "NotFoundError"


def test_searching_and_replacing(sdk: Sdk) -> None:
    sdk.call("files.write", "search/one.txt", "a line\nwith tea\n")
    sdk.call("files.write", "search/two.md", "tea")
    sdk.call("files.write", "search/three.bin", encoded(b"tea\0"))
    found = sdk.call("files.find_files", "search", "tea")
    assert [(Path(match["file"]).name, match["line"], match["content"]) for match in found] == [
        ("one.txt", 2, "with tea"),
        ("two.md", 1, "tea"),
    ]
    assert [Path(path).name for path in sdk.call("files.search_files", "search", "*.txt")] == ["one.txt"]
    files = ["search/one.txt", "search/three.bin"]
    assert sdk.call("files.replace_in_files", files, "tea", "coffee") == 1
    assert sdk.call("files.read", "search/one.txt") == "a line\nwith coffee\n"


def test_many_files(sdk: Sdk) -> None:
    written = sdk.call("files.write_files", [["many/1", "one"], ["many/2", encoded(b"\xff")]])
    assert [found["size"] for found in written] == [3, 1]
    refused = sdk.call("files.write_files", [["many/3", "three"], ["many", "a folder"]])
    assert refused["error"] == "BatchWriteError"
    assert sdk.call("files.read", "many/3") == "three"


def test_uploads(sdk: Sdk, tmp_path: Path) -> None:
    source = tmp_path / "big"
    content = os.urandom(8 * 1024 * 1024 + 5)
    source.write_bytes(content)
    result = sdk.call("files.upload", str(source), "up/big")
    assert (result["transport"], result["bytes_uploaded"]) == ("resumable", len(content))
    assert sdk.call("files.read", "up/big", format="bytes") == encoded(content)
    source.write_bytes(b"small")
    assert sdk.call("files.upload", str(source), "up/small")["transport"] == "direct"
    assert sdk.call("files.read", "up/small") == "small"


def test_links(sdk: Sdk) -> None:
    url = sdk.call("files.upload_url", "linked")["url"]
    assert httpx.put(url, content=b"by link").status_code == 204
    assert httpx.get(sdk.call("files.download_url", "linked")).content == b"by link"
    assert httpx.get(url).status_code == 404


def made(service: RunningService, sdk: Sdk, code: str) -> None:
    """Run code in the sandbox's default context."""
    url = f"{service.url}/v1/{sdk.generation}/{sdk.id}/proxy/44772/code"
    answer = httpx.post(url, json={"code": code, "context": {"language": "python"}}, timeout=60)
    assert '"status":"succeeded"' in answer.text


def test_artifacts(sdk: Sdk, service: RunningService) -> None:
    made(service, sdk, "open('/workspace/out.txt', 'w').write('hello')")
    made(service, sdk, "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))")
    page, text = sdk.call("code_interpreter.list_artifacts")["items"]
    assert (page["kind"], text["kind"], text["metadata"]["path"]) == ("html", "file", "/workspace/out.txt")
    found = sdk.call("code_interpreter.get_artifact", text["id"])
    assert (found["name"], found["size_bytes"], found["mime_type"]) == ("out.txt", 5, "text/plain")
    assert found["context_id"].startswith("ctx_")
    assert httpx.get(found["download_url"]).content == b"hello"
    assert sdk.call("code_interpreter.download_artifact", text["id"]) == encoded(b"hello")
    assert sdk.call("code_interpreter.preview_artifact", page["id"]) == encoded(b"<b>x</b>")
    [only] = sdk.call("code_interpreter.list_artifacts", kind="html")["items"]
    assert only["id"] == page["id"]
    asked = {"context_id": text["context_id"], "execution_count": text["execution_count"], "limit": 1}
    assert [item["id"] for item in sdk.call("code_interpreter.list_artifacts", **asked)["items"]] == [text["id"]]
    first = sdk.call("code_interpreter.list_artifacts", limit=1)
    [second] = sdk.call("code_interpreter.list_artifacts", limit=1, cursor=first["next_cursor"])["items"]
    assert second["id"] == text["id"]
    assert sdk.call("code_interpreter.delete_artifact", text["id"]) is None
    for call in ("get_artifact", "download_artifact", "preview_artifact", "delete_artifact"):
        gone = sdk.call(f"code_interpreter.{call}", text["id"])
        assert (gone["error"], gone["code"]) == ("NotFoundError", "not_found")
