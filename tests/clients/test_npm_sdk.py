"""OpenSandbox's JavaScript SDK under Node, with the service as its sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.dialogue import Dialogue, dialogue
from tests.clients.environments import NPM_PROJECT, node_environment
from tests.live.waiting import eventually

CALLS = NPM_PROJECT.parent / "calls.mjs"


@pytest.fixture(scope="session")
def sandbox(domain: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dialogue]:
    """A sandbox of the SDK, ready to be called."""
    package = node_environment() / "node_modules" / "@alibaba-group" / "opensandbox"
    with dialogue(tmp_path_factory.mktemp("npm"), "node", str(CALLS), str(package), domain) as talk:
        yield talk


def run(sandbox: Dialogue, command: str, **options: Any) -> Any:
    """What commands.run returns."""
    return sandbox.ask("commands", "run", command, options)


def texts(messages: list[dict[str, Any]]) -> list[str]:
    """What was printed, line by line."""
    return [message["text"] for message in messages]


def test_a_command_that_succeeds(sandbox: Dialogue) -> None:
    found = run(sandbox, "echo out; echo; echo err >&2; printf 'ü\\u2028'")
    assert texts(found["logs"]["stdout"]) == ["out", "\n", "ü\u2028"]
    assert texts(found["logs"]["stderr"]) == ["err"]
    assert found["exitCode"] == 0
    assert "error" not in found


def test_a_command_that_fails(sandbox: Dialogue) -> None:
    found = run(sandbox, "echo before; exit 3")
    assert texts(found["logs"]["stdout"]) == ["before"]
    assert (found["exitCode"], found["error"]["name"], found["error"]["value"]) == (3, "CommandExecError", "3")


def test_folder_and_variables(sandbox: Dialogue, tmp_path: Path) -> None:
    found = run(sandbox, "pwd; echo $A", workingDirectory=str(tmp_path), envs={"A": "x y"})
    assert texts(found["logs"]["stdout"]) == [str(tmp_path), "x y"]
    assert "there is none" in run(sandbox, "pwd", workingDirectory="/no/such/folder")["error"]


def test_a_time_limit(sandbox: Dialogue) -> None:
    found = run(sandbox, "echo before; sleep 600", timeoutSeconds=1)
    assert (texts(found["logs"]["stdout"]), found["exitCode"]) == (["before"], -1)


def test_ten_thousand_lines(sandbox: Dialogue) -> None:
    found = run(sandbox, "seq 1 10000")
    assert texts(found["logs"]["stdout"]) == [str(number) for number in range(1, 10001)]


def test_one_in_the_background(sandbox: Dialogue) -> None:
    command_id = run(sandbox, "echo begun; sleep 600", background=True)["id"]
    assert sandbox.ask("commands", "getCommandStatus", command_id)["running"] is True
    eventually(lambda: sandbox.ask("commands", "getBackgroundCommandLogs", command_id, 0)["content"] == "begun\n")
    assert sandbox.ask("commands", "getBackgroundCommandLogs", command_id, 2) == {"content": "gun\n", "cursor": 6}
    assert sandbox.ask("commands", "interrupt", command_id) is None
    status = sandbox.ask("commands", "getCommandStatus", command_id)
    assert (status["running"], status["exitCode"]) == (False, -1)
    assert "ended already" in sandbox.ask("commands", "interrupt", command_id)["error"]


def test_a_command_that_is_not_there(sandbox: Dialogue) -> None:
    assert "not found" in sandbox.ask("commands", "getCommandStatus", "nobody")["error"]


def test_a_bash_session(sandbox: Dialogue) -> None:
    session_id = sandbox.ask("commands", "createSession")
    sandbox.ask("commands", "runInSession", session_id, "cd /; A=kept")
    found = sandbox.ask("commands", "runInSession", session_id, "pwd; echo $A; (exit 4)")
    assert (texts(found["logs"]["stdout"]), found["exitCode"]) == (["/", "kept"], 4)
    assert sandbox.ask("commands", "deleteSession", session_id) is None


def test_a_file_s_life(sandbox: Dialogue, tmp_path: Path) -> None:
    def ask(method: str, *given: Any) -> Any:
        return sandbox.ask("files", method, *given)

    old, new = str(tmp_path / "below" / "one ü.txt"), str(tmp_path / "moved" / "two.txt")
    ask("createDirectories", [{"path": str(tmp_path / "below"), "mode": 700}])
    assert (tmp_path / "below").stat().st_mode & 0o777 == 0o700
    ask("writeFiles", [{"path": old, "data": "one\nü\n", "mode": 640}, {"path": f"{old}.2", "data": ""}])
    assert Path(old).read_text() == "one\nü\n"
    assert Path(f"{old}.2").read_bytes() == b""
    info = ask("getFileInfo", [old])[old]
    assert (info["path"], info["size"], info["mode"]) == (old, 7, 640)
    replaced = ask("replaceContentsDetailed", [{"path": old, "oldContent": "one", "newContent": "two"}])
    assert replaced == [{"path": old, "replacedCount": 1}]
    ask("moveFiles", [{"src": old, "dest": new}])
    assert (ask("readFile", new), ask("readBytes", new)) == ("two\nü\n", "two\nü\n")
    assert ask("readBytes", new, {"range": "bytes=0-1"}) == "tw"
    assert [entry["path"] for entry in ask("search", {"path": str(tmp_path), "pattern": "*.txt"})] == [new]
    ask("setPermissions", [{"path": new, "mode": 600}])
    assert Path(new).stat().st_mode & 0o777 == 0o600
    listed = ask("listDirectory", {"path": str(tmp_path), "depth": 2})
    assert [entry["path"].removeprefix(f"{tmp_path}/") for entry in listed] == [
        "below",
        "below/one ü.txt.2",
        "moved",
        "moved/two.txt",
    ]
    ask("deleteFiles", [new])
    ask("deleteDirectories", [str(tmp_path / "moved")])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["below"]
    assert "error" in ask("readFile", new)


def test_megabytes_there_and_back(sandbox: Dialogue, tmp_path: Path) -> None:
    path = str(tmp_path / "large")
    data = "0123456789abcdef" * 200_000
    sandbox.ask("files", "writeFiles", [{"path": path, "data": data}])
    assert Path(path).read_text() == data
    assert sandbox.ask("files", "readFile", path) == data


def test_metrics(sandbox: Dialogue) -> None:
    found = sandbox.ask("metrics", "getMetrics")
    assert found["memoryTotalMiB"] > 0
