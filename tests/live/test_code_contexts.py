"""Contexts over Nullspace's API."""

from __future__ import annotations

import pytest

from tests.live.coding import Coding
from tests.live.generations import Generation


@pytest.fixture
def coding(generation: Generation) -> Coding:
    return Coding(generation)


def test_their_life(coding: Coding) -> None:
    made = coding.post("/contexts")
    shown = made.json()
    assert (made.status_code, set(shown), shown["language"]) == (201, {"id", "language", "cwd"}, "python")
    bash = coding.post("/contexts", {"language": "bash"}).json()
    assert coding.get("/contexts").json() == [shown, bash]
    deleted = coding.client.delete(coding.url(f"/contexts/{bash['id']}"))
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert coding.get("/contexts").json() == [shown]


def test_a_default_context_is_listed(coding: Coding) -> None:
    coding.execute("1")
    [default] = coding.get("/contexts").json()
    assert coding.ended(coding.get("/runs").json()["items"][0]["id"])["context_id"] == default["id"]


def test_where_they_are(coding: Coding) -> None:
    workspace = coding.post("/contexts").json()["cwd"]
    assert coding.generation.post(coding.id, "/files/mkdir", path="a b").status_code == 204
    made = coding.post("/contexts", {"cwd": f"{workspace}/x/..//a b/"}).json()
    assert made["cwd"] == f"{workspace}/a b"
    code = "import os\nprint(os.getcwd())"
    assert coding.run(made["id"], code)["execution"]["logs"]["stdout"] == [f"{workspace}/a b\n"]


def test_where_they_cannot_be(coding: Coding) -> None:
    workspace = coding.post("/contexts").json()["cwd"]
    coding.generation.post(coding.id, "/files/write", path="file", content="")
    reserved = ("/workspace/.nullspace", f"{workspace}/.nullspace/x")
    for cwd in ("a", "", f"{workspace}/none", f"{workspace}/file", *reserved):
        answer = coding.post("/contexts", {"cwd": cwd})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), cwd
        assert answer.json()["error"].startswith("cwd: "), answer.text
    assert len(coding.get("/contexts").json()) == 1


def test_what_is_refused(coding: Coding) -> None:
    for body in ({"language": "cobol"}, {"language": 1}, {"cwd": 1}):
        answer = coding.post("/contexts", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    for answer in (
        coding.client.delete(coding.url("/contexts/ctx_none")),
        coding.post("/contexts/ctx_none/restart"),
        coding.post("/contexts/ctx_none/interrupt"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    unknown = coding.generation.url(f"{coding.generation.prefix}none", "/code/contexts")
    answer = coding.client.get(unknown)
    assert (answer.status_code, answer.json()["code"]) == (404, f"{coding.generation.noun}_not_found")


def test_a_restart(coding: Coding) -> None:
    context = coding.context()
    held = coding.held(context)
    waiting = coding.start(context, "kept")
    answer = coding.post(f"/contexts/{context}/restart")
    assert (answer.status_code, answer.json()) == (200, {"status": "restarted"})
    assert coding.ended(held["id"])["status"] == "cancelled"
    found = coding.ended(waiting["id"])
    assert (found["status"], found["execution"]["error"]["name"]) == ("failed", "NameError")
    assert [shown["id"] for shown in coding.get("/contexts").json()] == [context]
    base = f"{coding.generation.url(coding.id)}/proxy/44772/code"
    assert coding.client.get(f"{base}/contexts/{context}").json()["generation"] == 2
    events = coding.client.get(f"{base}/executions/{waiting['id']}/events").text
    assert '"type":"context_restarted"' in events


def test_a_restart_of_a_shell(coding: Coding) -> None:
    context = coding.context(language="bash")
    assert coding.run(context, "kept=5")["status"] == "succeeded"
    assert coding.post(f"/contexts/{context}/restart").status_code == 200
    assert coding.run(context, 'echo "[$kept]"')["execution"]["logs"]["stdout"] == ["[]\n"]


def test_an_interrupt(coding: Coding) -> None:
    context = coding.context()
    held = coding.held(context)
    answer = coding.post(f"/contexts/{context}/interrupt")
    assert (answer.status_code, answer.json()) == (200, {"status": "interrupted"})
    ended = coding.ended(held["id"])
    assert (ended["status"], ended["execution"]["error"]["name"]) == ("cancelled", "KeyboardInterrupt")
    assert coding.run(context, "kept")["execution"]["results"][0]["text"] == "5"
    assert coding.post(f"/contexts/{context}/interrupt").json() == {"status": "interrupted"}


def test_deleting_one_ends_its_runs(coding: Coding) -> None:
    context = coding.context()
    held = coding.held(context)
    waiting = coding.start(context, "1")
    assert coding.client.delete(coding.url(f"/contexts/{context}")).status_code == 204
    assert {coding.ended(run["id"])["status"] for run in (held, waiting)} == {"cancelled"}
    assert coding.post("/runs", {"code": "1", "context_id": context}).status_code == 404
