"""OpenSandbox's JavaScript SDK under Node, with the service as its sandbox."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import httpx
import pytest

from tests.clients.dialogue import Dialogue, dialogue
from tests.clients.environments import NPM_PROJECT, node_environment
from tests.inside import Inside
from tests.live.waiting import eventually

CALLS = NPM_PROJECT.parent / "calls.mjs"


@dataclass(frozen=True)
class Sdk:
    """The SDK with a sandbox, whose id it tells."""

    id: str
    talk: Dialogue

    def ask(self, *call: Any) -> Any:
        """What a call returns."""
        return self.talk.ask(*call)


@pytest.fixture
def inside(client: httpx.Client, sandbox: Sdk) -> Inside:
    """That sandbox, looked at from inside."""
    return Inside(client, sandbox.id)


@pytest.fixture(scope="session")
def sandbox(domain: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sdk]:
    """A sandbox of the SDK, ready to be called."""
    package = node_environment() / "node_modules" / "@alibaba-group" / "opensandbox"
    with dialogue(tmp_path_factory.mktemp("npm"), "node", str(CALLS), str(package), domain) as talk:
        yield Sdk(str(talk.hear()), talk)


def run(sandbox: Sdk, command: str, **options: Any) -> Any:
    """What commands.run returns."""
    return sandbox.ask("commands", "run", command, options)


def texts(messages: list[dict[str, Any]]) -> list[str]:
    """What was printed, line by line."""
    return [message["text"] for message in messages]


def test_a_command_that_succeeds(sandbox: Sdk) -> None:
    found = run(sandbox, "echo out; echo; echo err >&2; printf 'ü\\u2028'")
    assert texts(found["logs"]["stdout"]) == ["out", "\n", "ü\u2028"]
    assert texts(found["logs"]["stderr"]) == ["err"]
    assert found["exitCode"] == 0
    assert "error" not in found


def test_a_command_that_fails(sandbox: Sdk) -> None:
    found = run(sandbox, "echo before; exit 3")
    assert texts(found["logs"]["stdout"]) == ["before"]
    assert (found["exitCode"], found["error"]["name"], found["error"]["value"]) == (3, "CommandExecError", "3")


def test_folder_and_variables(sandbox: Sdk) -> None:
    found = run(sandbox, "pwd; echo $A", workingDirectory="/tmp", envs={"A": "x y"})
    assert texts(found["logs"]["stdout"]) == ["/tmp", "x y"]
    assert "there is none" in run(sandbox, "pwd", workingDirectory="/no/such/folder")["error"]


def test_a_time_limit(sandbox: Sdk) -> None:
    found = run(sandbox, "echo before; sleep 600", timeoutSeconds=1)
    assert (texts(found["logs"]["stdout"]), found["exitCode"]) == (["before"], -1)


def test_ten_thousand_lines(sandbox: Sdk) -> None:
    found = run(sandbox, "seq 1 10000")
    assert texts(found["logs"]["stdout"]) == [str(number) for number in range(1, 10001)]


def test_one_in_the_background(sandbox: Sdk) -> None:
    command_id = run(sandbox, "echo begun; sleep 600", background=True)["id"]
    assert sandbox.ask("commands", "getCommandStatus", command_id)["running"] is True
    eventually(lambda: sandbox.ask("commands", "getBackgroundCommandLogs", command_id, 0)["content"] == "begun\n")
    assert sandbox.ask("commands", "getBackgroundCommandLogs", command_id, 2) == {"content": "gun\n", "cursor": 6}
    assert sandbox.ask("commands", "interrupt", command_id) is None
    status = sandbox.ask("commands", "getCommandStatus", command_id)
    assert (status["running"], status["exitCode"]) == (False, -1)
    assert "ended already" in sandbox.ask("commands", "interrupt", command_id)["error"]


def test_a_command_that_is_not_there(sandbox: Sdk) -> None:
    assert "not found" in sandbox.ask("commands", "getCommandStatus", "nobody")["error"]


def test_a_bash_session(sandbox: Sdk) -> None:
    session_id = sandbox.ask("commands", "createSession")
    sandbox.ask("commands", "runInSession", session_id, "cd /; A=kept")
    found = sandbox.ask("commands", "runInSession", session_id, "pwd; echo $A; (exit 4)")
    assert (texts(found["logs"]["stdout"]), found["exitCode"]) == (["/", "kept"], 4)
    assert sandbox.ask("commands", "deleteSession", session_id) is None


def test_a_file_s_life(sandbox: Sdk, inside: Inside) -> None:
    folder = PurePosixPath("/workspace/life")

    def ask(method: str, *given: Any) -> Any:
        return sandbox.ask("files", method, *given)

    old, new = str(folder / "below" / "one ü.txt"), str(folder / "moved" / "two.txt")
    ask("createDirectories", [{"path": str(folder / "below"), "mode": 700}])
    assert inside.mode(f"{folder}/below") == 0o700
    ask("writeFiles", [{"path": old, "data": "one\nü\n", "mode": 640}, {"path": f"{old}.2", "data": ""}])
    assert inside.read(old) == "one\nü\n".encode()
    assert inside.read(f"{old}.2") == b""
    info = ask("getFileInfo", [old])[old]
    assert (info["path"], info["size"], info["mode"]) == (old, 7, 640)
    replaced = ask("replaceContentsDetailed", [{"path": old, "oldContent": "one", "newContent": "two"}])
    assert replaced == [{"path": old, "replacedCount": 1}]
    ask("moveFiles", [{"src": old, "dest": new}])
    assert (ask("readFile", new), ask("readBytes", new)) == ("two\nü\n", "two\nü\n")
    assert ask("readBytes", new, {"range": "bytes=0-1"}) == "tw"
    assert [entry["path"] for entry in ask("search", {"path": str(folder), "pattern": "*.txt"})] == [new]
    ask("setPermissions", [{"path": new, "mode": 600}])
    assert inside.mode(new) == 0o600
    listed = ask("listDirectory", {"path": str(folder), "depth": 2})
    assert [entry["path"].removeprefix(f"{folder}/") for entry in listed] == [
        "below",
        "below/one ü.txt.2",
        "moved",
        "moved/two.txt",
    ]
    ask("deleteFiles", [new])
    ask("deleteDirectories", [str(folder / "moved")])
    assert inside.names(str(folder)) == ["below"]
    assert "error" in ask("readFile", new)


def test_megabytes_there_and_back(sandbox: Sdk, inside: Inside) -> None:
    path = "/workspace/large"
    data = "0123456789abcdef" * 200_000
    sandbox.ask("files", "writeFiles", [{"path": path, "data": data}])
    assert inside.out("sha256sum", path).split()[0] == hashlib.sha256(data.encode()).hexdigest()
    assert sandbox.ask("files", "readFile", path) == data


def test_metrics(sandbox: Sdk) -> None:
    found = sandbox.ask("metrics", "getMetrics")
    assert found["memoryTotalMiB"] > 0
