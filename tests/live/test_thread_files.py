"""The files that threads keep, over Baponi's API: listed, handed over, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.live.agent import Agent
from tests.running_service import RunningService


@pytest.fixture
def agent(service: RunningService) -> Iterator[Agent]:
    """An agent."""
    with service.client() as client:
        yield Agent(client)


def listed(agent: Agent, thread: str, **wanted: Any) -> dict[str, tuple[int, bool]]:
    """What is in a folder of a thread: sizes, and which are folders, by path."""
    found = agent.files("list", id=thread, **wanted).raise_for_status().json()["files"]
    assert all(set(each) == {"name", "path", "size", "modified", "is_directory"} for each in found)
    assert all(each["path"].rpartition("/")[2] == each["name"] for each in found)
    return {each["path"]: (each["size"], each["is_directory"]) for each in found}


def uploaded(agent: Agent, thread: str, path: str, content: bytes) -> httpx.Response:
    """The answer to an upload."""
    answer = agent.files("upload_url", id=thread, path=path, content_length=len(content), content_type="text/x-tea")
    signed = answer.raise_for_status().json()
    assert signed["method"] == "PUT"
    assert signed["headers"] == [{"name": "Content-Type", "value": "text/x-tea"}]
    return httpx.put(
        signed["url"], content=content, headers={each["name"]: each["value"] for each in signed["headers"]}
    )


def test_files_go_in_and_out(agent: Agent) -> None:
    assert uploaded(agent, "files", "deep/er/a.bin", bytes(range(256))).status_code == 200
    assert listed(agent, "files") == {"deep": (0, True)}
    assert listed(agent, "files", path="deep/er") == {"deep/er/a.bin": (256, False)}
    assert listed(agent, "files", path="/home/baponi/deep") == {"deep/er": (0, True)}
    assert listed(agent, "files", path="nothing") == {}
    assert agent.run("cd ~/deep/er; wc -c < a.bin; echo made > b", language="bash", thread_id="files")["success"]
    signed = agent.files("download_url", id="files", path="deep/er/b").json()
    assert (signed["method"], signed["headers"]) == ("GET", [])
    assert httpx.get(signed["url"]).content == b"made\n"
    assert httpx.get(signed["url"], headers={"Range": "bytes=1-2"}).content == b"ad"
    missing = agent.files("download_url", id="files", path="deep/er/c")
    assert (missing.status_code, missing.json()["error"]) == (404, "not_found")


def delete(agent: Agent, path: str) -> httpx.Response:
    """The answer to a deletion."""
    return agent.client.request("DELETE", "/v1/files", json={"source": "thread", "id": "deleted", "path": path})


def test_files_are_deleted(agent: Agent) -> None:
    for path in ("a", "b/c"):
        uploaded(agent, "deleted", path, b"x")
    assert (delete(agent, "a").status_code, delete(agent, "a").status_code) == (200, 404)
    assert delete(agent, "b").json() == {"deleted": True, "path": "b"}
    assert listed(agent, "deleted") == {}
    for path in ("", ".", "/home/baponi", "../x", "/etc/passwd"):
        assert (delete(agent, path).status_code, delete(agent, path).json()["error"]) == (400, "validation_error")


def test_what_a_program_has_put_in_the_way(agent: Agent) -> None:
    agent.run("ln -s . ~/link; mkfifo ~/fifo; ln -s nowhere ~/loose", language="bash", thread_id="hostile")
    shown = listed(agent, "hostile")
    assert {path: folder for path, (_, folder) in shown.items()} == {"link": False, "fifo": False, "loose": False}
    # A link is shown and deleted, never followed.
    assert agent.files("list", id="hostile", path="link").status_code == 400
    signed = agent.files("download_url", id="hostile", path="fifo").json()
    assert httpx.get(signed["url"]).json()["error"] == "validation_error"
    assert uploaded(agent, "hostile", "fifo", b"x").json()["error"] == "validation_error"
