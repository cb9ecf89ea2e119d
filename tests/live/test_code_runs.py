"""Runs over Nullspace's API: recorded, waited for, listed, cancelled, and there when all else has gone."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.live.coding import Coding
from tests.live.generations import BASES, Generation
from tests.running_service import running_service

REQUIRED = {"id", "sandbox_id", "machine_id", "context_id", "status", "timeout_secs", "created_at", "expires_at"}


@pytest.fixture
def coding(generation: Generation) -> Coding:
    return Coding(generation)


def test_a_run(coding: Coding) -> None:
    context = coding.context()
    answer = coding.post("/runs", {"code": "print('a')\n6 * 7", "context_id": context})
    run = answer.json()
    assert (answer.status_code, answer.headers["EXECD-EXECUTION-ID"]) == (202, run["id"])
    assert run.keys() >= REQUIRED
    suffix = coding.id.partition("_")[2]
    assert (run["sandbox_id"], run["machine_id"], run["context_id"]) == (f"sb_{suffix}", f"mch_{suffix}", context)
    assert run["timeout_secs"] == 86400
    ended = coding.ended(run["id"])
    assert (ended["status"], set(ended) - REQUIRED) == ("succeeded", {"started_at", "completed_at", "execution"})
    assert ended["execution"] == {
        "results": [{"text": "42", "data": {"text/plain": "42"}, "is_main_result": True}],
        "artifacts": [],
        "logs": {"stdout": ["a\n"], "stderr": []},
        "execution_count": 1,
    }
    moments = [ended[name] for name in ("created_at", "started_at", "completed_at", "expires_at")]
    assert moments == sorted(moments)


def test_runs_take_their_turns(coding: Coding) -> None:
    context = coding.context()
    held = coding.held(context)
    waiting = coding.start(context, "kept")
    assert (waiting["status"], "started_at" in waiting) == ("queued", False)
    assert coding.get(f"/runs/{held['id']}").json()["status"] == "running"
    coding.post(f"/runs/{held['id']}/cancel")
    assert coding.ended(waiting["id"])["execution"]["results"][0]["text"] == "5"


def test_variables_are_of_one_run(coding: Coding) -> None:
    context = coding.context()
    secret = 'it\'s\n"quoted"'
    code = "%%time\nimport os\nos.environ['TEA']"
    assert coding.run(context, code, envs={"TEA": secret})["execution"]["results"][0]["text"] == repr(secret)
    assert coding.run(context, "os.environ['TEA']")["execution"]["error"]["name"] == "KeyError"
    raised = coding.run(context, "raise ValueError", envs={"TEA": "s3cret"})
    assert "s3cret" not in coding.get(f"/runs/{raised['id']}").text
    [*_, result] = coding.execute("os.environ['TEA']", context_id=context, envs={"TEA": "green"})
    assert result["text"] == "'green'"
    answer = coding.post("/runs", {"code": "1", "context_id": context, "envs": {"": "x"}})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["error"].startswith("envs.")


def test_failures_have_reasons(coding: Coding) -> None:
    context = coding.context()
    raised = coding.run(context, "raise KeyError('x')")
    assert (raised["status"], raised["failure_reason"]) == ("failed", "error: KeyError: 'x'")
    assert raised["execution"]["error"]["name"] == "KeyError"
    late = coding.run(context, "print('so far', flush=True)\nwhile True: pass", timeout=1)
    assert late["failure_reason"].startswith("timeout: the run exceeded its time limit of 1 s")
    assert (late["timeout_secs"], late["execution"]["logs"]["stdout"]) == (1, ["so far\n"])
    died = coding.run(context, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert (died["status"], died["failure_reason"].partition(":")[0]) == ("failed", "kernel_died")


def test_waiting(coding: Coding) -> None:
    context = coding.context()
    body = {"code": "1", "context_id": context}
    assert coding.post("/runs", body, params={"wait": 60}).json()["status"] == "succeeded"
    held = coding.held(context)
    assert coding.get(f"/runs/{held['id']}", wait=0.05).json()["status"] == "running"
    assert coding.post("/runs", body, params={"wait": "0.05"}).json()["status"] == "queued"
    for wait in ("x", "-1"):
        for answer in (coding.get(f"/runs/{held['id']}", wait=wait), coding.post("/runs", body, params={"wait": wait})):
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
            assert answer.json()["error"].startswith("wait: ")
    coding.post(f"/runs/{held['id']}/cancel")
    assert len(coding.get("/runs").json()["items"]) == 3


def test_the_same_key_makes_no_second_run(coding: Coding) -> None:
    context = coding.context()
    body, key = {"code": "n = globals().get('n', 0) + 1\nn", "context_id": context}, {"Idempotency-Key": "k1"}
    first = coding.post("/runs", body, headers=key).json()
    again = coding.post("/runs", body, headers=key, params={"wait": 60})
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (202, first["id"], "succeeded")
    other = coding.post("/runs", body, headers={"Idempotency-Key": "k2"}, params={"wait": 60}).json()
    assert other["execution"]["results"][0]["text"] == "2"
    coding.client.delete(coding.url(f"/contexts/{context}"))
    assert coding.post("/runs", body, headers=key).json()["id"] == first["id"]


def test_cancelling(coding: Coding) -> None:
    context = coding.context()
    held = coding.held(context)
    waiting = coding.start(context, "print('never')")
    answer = coding.post(f"/runs/{waiting['id']}/cancel")
    run = answer.json()
    assert (answer.status_code, run["status"]) == (200, "cancelled")
    assert ("started_at" in run, "execution" in run) == (False, False)
    assert run["created_at"] <= run["cancel_requested_at"] <= run["completed_at"]
    # An answer that waited for the end would not be 202.
    answer = coding.client.post(coding.url(f"/runs/{held['id']}/cancel"))
    assert (answer.status_code, "cancel_requested_at" in answer.json()) == (202, True)
    ended = coding.ended(held["id"])
    assert (ended["status"], ended["cancel_requested_at"]) == ("cancelled", answer.json()["cancel_requested_at"])
    again = coding.post(f"/runs/{held['id']}/cancel")
    assert (again.status_code, again.json()) == (200, ended)


def test_cancelling_what_is_over_changes_nothing(coding: Coding) -> None:
    run = coding.run(coding.context(), "1")
    answer = coding.post(f"/runs/{run['id']}/cancel")
    assert (answer.status_code, answer.json()) == (200, run)


def test_code_that_does_not_give_in_is_stopped(coding: Coding) -> None:
    context = coding.context()
    code = "import time\nprint('on', flush=True)\nwhile True:\n try: time.sleep(9)\n except BaseException: pass"
    run = coding.start(context, code)
    with coding.events(run["id"]) as events:
        next(events)
        assert coding.post(f"/runs/{run['id']}/cancel").status_code == 202
        list(events)
    assert coding.ended(run["id"])["status"] == "cancelled"


def test_lists(coding: Coding) -> None:
    one, other = coding.context(), coding.context()
    made = [coding.run(one, "1")["id"] for _ in range(3)]
    failed = coding.run(other, "1 / 0")["id"]

    def listed(**query: Any) -> tuple[list[str], Any]:
        found = coding.get("/runs", **query).json()
        assert set(found) == {"items", "next_cursor"}
        assert all("execution" not in run and run.keys() >= REQUIRED for run in found["items"])
        return [run["id"] for run in found["items"]], found["next_cursor"]

    assert listed() == ([failed, *reversed(made)], None)
    assert listed(status="failed") == ([failed], None)
    assert listed(context_id=one, status="succeeded", limit=3) == ([*reversed(made)], None)
    assert listed(context_id="ctx_none") == ([], None)
    page, cursor = listed(limit=2)
    assert page == [failed, made[2]]
    coding.run(one, "more")
    assert listed(limit=2, cursor=cursor) == ([made[1], made[0]], None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "rejected"), ("limit", "0"), ("limit", "1001"), ("limit", "x"), ("cursor", "x"), ("cursor", "MDE")],
)
def test_lists_that_cannot_be_meant(coding: Coding, name: str, value: str) -> None:
    answer = coding.get("/runs", **{name: value})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["error"].startswith(f"{name}: ")


def test_what_is_no_run(coding: Coding) -> None:
    run = coding.run(coding.context(), "1")["id"]
    assert coding.generation.post(coding.id, "/exec", command="true").status_code == 200
    base = f"{coding.generation.url(coding.id)}/proxy/44772"
    session = coding.client.post(f"{base}/session", json={}).json()["session_id"]
    assert coding.client.post(f"{base}/session/{session}/run", json={"command": "true"}).status_code == 200
    others = [found["id"] for found in coding.client.get(f"{base}/code/executions").json() if found["id"] != run]
    assert len(others) == 2
    assert [found["id"] for found in coding.get("/runs").json()["items"]] == [run]
    for other in (*others, "run_none"):
        for answer in (coding.get(f"/runs/{other}"), coding.post(f"/runs/{other}/cancel")):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_those_of_another_sandbox_are_none(coding: Coding) -> None:
    run = coding.run(coding.context(), "1")["id"]
    other = Coding(coding.generation)
    assert other.get("/runs").json()["items"] == []
    for answer in (other.get(f"/runs/{run}"), other.post(f"/runs/{run}/cancel")):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_what_is_refused(coding: Coding) -> None:
    context = coding.context()
    for body in ({"code": "1"}, {"context_id": context}, {"code": "1", "context_id": context, "timeout": 0}):
        answer = coding.post("/runs", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    answer = coding.post("/runs", {"code": "1", "context_id": "ctx_none"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    unknown = f"{coding.generation.prefix}none"
    for answer in (
        coding.generation.post(unknown, "/code/runs", code="1", context_id=context),
        coding.client.get(coding.generation.url(unknown, "/code/runs")),
        coding.client.get(coding.generation.url(unknown, "/code/runs/run_none")),
        coding.client.post(coding.generation.url(unknown, "/code/runs/run_none/cancel")),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, f"{coding.generation.noun}_not_found")


def test_they_outlive_their_sandbox(coding: Coding) -> None:
    context = coding.context()
    run = coding.run(context, "print('a')")
    held = coding.held(context)
    assert coding.client.delete(coding.generation.url(coding.generation.made.pop())).status_code == 200
    assert coding.ended(run["id"]) == run
    ended = coding.ended(held["id"])
    assert ended["status"] == "cancelled"
    assert coding.post(f"/runs/{held['id']}/cancel").json() == ended
    assert [found["id"] for found in coding.get("/runs").json()["items"]] == [held["id"], run["id"]]
    with coding.events(run["id"]) as events:
        assert next(events)["text"] == "a\n"


@pytest.mark.parametrize("name", BASES)
def test_they_outlive_the_service(tmp_path: Path, name: str) -> None:
    with running_service(tmp_path) as service, service.client() as client:
        coding = Coding(Generation(client, name))
        run = coding.run(coding.context(), "print('a')\n1", timeout=7)
    with running_service(tmp_path, run_timeout_max=5) as service, service.client() as client:
        assert client.get(coding.url(f"/runs/{run['id']}")).json() == run


def test_time_limits_and_ages_are_the_settings(tmp_path: Path) -> None:
    limits = {"run_timeout": 60, "run_timeout_max": 100, "keep_executions_age": 90}
    with running_service(tmp_path, **limits) as service, service.client() as client:  # type: ignore[arg-type]
        coding = Coding(Generation(client, "sandboxes"))
        context = coding.context()
        assert coding.start(context, "1")["timeout_secs"] == 60
        assert coding.start(context, "1", timeout=1000)["timeout_secs"] == 100
        run = coding.run(context, "1")
        age = datetime.fromisoformat(run["expires_at"]) - datetime.fromisoformat(run["completed_at"])
        assert age == timedelta(seconds=90)
