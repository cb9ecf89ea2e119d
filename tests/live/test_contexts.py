"""Contexts: made, found, used, deleted."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import psutil
import pytest

from tests.live.conftest import NewContext
from tests.live.reading import CANCELLED, SUCCEEDED, body_of, end_of, of_type, run, running, says, text_of
from tests.live.waiting import eventually, is_gone
from tests.running_service import RunningService

UNKNOWN = "ctx_000000000000"


def listed(client: httpx.Client, **query: str) -> list[str]:
    return [context["id"] for context in client.get("/code/contexts", params=query).raise_for_status().json()]


def pid_of(client: httpx.Client, context_id: str) -> int:
    return int(text_of(run(client, "import os\nprint(os.getpid())", id=context_id)))


def test_the_default_context_keeps_its_variables(client: httpx.Client) -> None:
    first = run(client, "kept = 41", language="python")
    second = run(client, "print(kept + 1)", language="python")
    assert first[0]["text"] == second[0]["text"]
    assert text_of(second) == "42\n"


def test_the_default_context_is_listed(client: httpx.Client) -> None:
    default = run(client, "pass", language="python")[0]["text"]
    assert default in listed(client, language="python")


def test_a_context_starts_in_its_cwd_which_is_made(client: httpx.Client, tmp_path: Path) -> None:
    wanted = tmp_path / "a folder" / "below"
    made = client.post("/code/context", json={"language": "python", "cwd": str(wanted)}).raise_for_status().json()
    assert (made["language"], made["cwd"]) == ("python", str(wanted))
    assert text_of(run(client, "import os\nprint(os.getcwd())", id=made["id"])) == f"{wanted}\n"
    client.delete(f"/code/contexts/{made['id']}").raise_for_status()


def test_a_context_without_a_cwd_starts_in_the_workspace(
    service: RunningService, client: httpx.Client, context_id: str
) -> None:
    folder = text_of(run(client, "import os\nprint(os.getcwd())", id=context_id))
    assert folder == f"{service.data_dir / 'workspace'}\n"


def test_contexts_can_be_found_and_deleted(client: httpx.Client, new_context: NewContext) -> None:
    first, second = new_context(), new_context()
    assert {first, second} <= set(listed(client))
    assert {first, second} <= set(listed(client, language="python"))
    assert listed(client, language="cobol") == []
    found = client.get(f"/code/contexts/{first}").raise_for_status().json()
    assert (found["id"], found["language"], found["state"], found["generation"]) == (first, "python", "idle", 1)
    deleted = client.delete(f"/code/contexts/{first}")
    assert (deleted.status_code, deleted.content) == (200, b"")
    assert first not in listed(client)
    assert second in listed(client)


def test_a_deleted_context_leaves_no_process(client: httpx.Client, context_id: str) -> None:
    pid = pid_of(client, context_id)
    client.delete(f"/code/contexts/{context_id}").raise_for_status()
    assert is_gone(pid)


def test_deleting_a_language_takes_the_default_context_too(tight: httpx.Client) -> None:
    default = run(tight, "kept = 1", language="python")[0]["text"]
    other = tight.post("/code/context", json={"language": "python"}).json()["id"]
    tight.delete("/code/contexts", params={"language": "python"}).raise_for_status()
    assert listed(tight) == []
    events = run(tight, "kept", language="python")
    assert of_type(events, "error")[0]["error"]["ename"] == "NameError"
    assert events[0]["text"] not in (default, other)


def test_deleting_without_a_language_is_refused(client: httpx.Client) -> None:
    answer = client.delete("/code/contexts")
    assert (answer.status_code, answer.json()["code"]) == (400, "MISSING_QUERY")


def test_deleting_a_context_ends_what_runs_and_what_waits(client: httpx.Client, context_id: str) -> None:
    with (
        running(client, "print('on', flush=True)\nwhile True: pass", id=context_id) as first,
        running(client, "print('never')", id=context_id) as second,
    ):
        first.until(says("on\n"))
        client.delete(f"/code/contexts/{context_id}").raise_for_status()
        ends = [end_of(first.rest()), end_of(second.rest())]
    assert ends == [CANCELLED, CANCELLED]
    assert text_of(second.seen) == ""
    assert [of_type(stream.seen, "error")[0]["error"]["ename"] for stream in (first, second)] == ["ContextDeleted"] * 2


def test_executions_of_a_deleted_context_can_still_be_read(client: httpx.Client, context_id: str) -> None:
    run_id = run(client, "print('kept')", id=context_id)[0]["execution_id"]
    client.delete(f"/code/contexts/{context_id}").raise_for_status()
    record = client.get(f"/code/executions/{run_id}").raise_for_status().json()
    assert (record["status"], record["context_id"]) == ("succeeded", context_id)
    assert client.delete("/code", params={"id": run_id}).status_code == 200


def test_running_in_an_unknown_context_is_a_runtime_error(client: httpx.Client) -> None:
    answer = client.post("/code", json=body_of("1", id=UNKNOWN))
    assert (answer.status_code, answer.json()["code"]) == (500, "RUNTIME_ERROR")
    assert "context not found" in answer.json()["message"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_context_is_not_found(client: httpx.Client, method: str) -> None:
    answer = client.request(method, f"/code/contexts/{UNKNOWN}")
    assert (answer.status_code, answer.json()["code"]) == (404, "CONTEXT_NOT_FOUND")


def test_interrupting_an_unknown_context_is_a_runtime_error(client: httpx.Client) -> None:
    answer = client.delete("/code", params={"id": UNKNOWN})
    assert (answer.status_code, answer.json()["code"]) == (500, "RUNTIME_ERROR")


@pytest.mark.parametrize("path", ["/code", "/code/context"])
def test_an_unknown_language_is_refused_with_those_that_exist(client: httpx.Client, path: str) -> None:
    body = {"language": "cobol"} if path == "/code/context" else body_of("1", language="cobol")
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (500, "RUNTIME_ERROR")
    assert "'cobol'" in answer.json()["message"]
    assert "python" in answer.json()["message"]


def test_contexts_are_bounded(tight: httpx.Client) -> None:
    ids = [tight.post("/code/context", json={"language": "python"}).raise_for_status().json()["id"] for _ in range(3)]
    refused = [
        tight.post("/code/context", json={"language": "python"}),
        tight.post("/code", json=body_of("1", language="python")),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(429, "LIMIT_REACHED")] * 2
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    tight.delete(f"/code/contexts/{ids[0]}").raise_for_status()
    assert tight.post("/code/context", json={"language": "python"}).status_code == 200


def test_contexts_share_no_variables(client: httpx.Client, new_context: NewContext) -> None:
    first, second = new_context(), new_context()
    run(client, "mine = 1", id=first)
    assert end_of(run(client, "mine", id=second)) == ("failed", "error")
    assert end_of(run(client, "mine", id=first)) == SUCCEEDED
    assert pid_of(client, first) != pid_of(client, second)


def test_the_language_is_not_looked_at_when_an_id_is_given(client: httpx.Client, context_id: str) -> None:
    assert end_of(run(client, "1", id=context_id, language="cobol")) == SUCCEEDED


def test_a_context_that_is_deleted_while_it_comes_up_leaves_no_kernel(tight_service: RunningService) -> None:
    answers: list[httpx.Response] = []
    with tight_service.client() as client:
        make = threading.Thread(target=lambda: answers.append(_make(tight_service)))
        make.start()
        eventually(lambda: bool(listed(client)))
        (context_id,) = listed(client)
        client.delete(f"/code/contexts/{context_id}").raise_for_status()
        make.join()
        assert listed(client) == []
        assert answers[0].status_code >= 400 or answers[0].json()["id"] == context_id
        assert client.get(f"/code/contexts/{context_id}").status_code == 404
    assert psutil.Process(tight_service.process.pid).children() == []


def _make(service: RunningService) -> httpx.Response:
    with service.client() as client:
        return client.post("/code/context", json={"language": "python"})
