"""Sandboxes over HTTP, in both generations of Nullspace's API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.generations import Generation
from tests.live.waiting import eventually
from tests.running_service import RunningService


def test_the_life_of_a_sandbox(generation: Generation) -> None:
    made = generation.create(envs={"A": "1"}, metadata={"m": {"deep": 1}}, timeout_ms=60000, vcpus=2)
    assert made["id"].startswith(generation.prefix)
    assert (made["status"], made["config"]["vcpus"], made["metadata"]) == ("running", 2, {"m": {"deep": 1}})
    assert made["timeout_at"] == made["expires_at"]
    found = generation.client.get(generation.url(made["id"])).json()
    assert (found["id"], found["timeout_ms"]) == (made["id"], 60000)
    assert 0 < found["remaining_ms"] <= 60000
    gone = generation.client.delete(generation.url(made["id"]))
    assert (gone.status_code, gone.json()) == (200, {"id": made["id"], "status": "destroyed"})
    answer = generation.client.get(generation.url(made["id"]), headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (404, "mine")
    assert answer.json()["code"] == f"{generation.noun}_not_found"
    assert answer.json()["request_id"] == "mine"


def test_both_generations_show_the_same_sandboxes(client: httpx.Client) -> None:
    sandbox = Generation(client, "sandboxes").create()["id"]
    machine = sandbox.replace("sb_", "mch_")
    assert client.get(f"/v1/machines/{machine}").json()["id"] == machine
    assert client.delete(f"/v1/machines/{sandbox}").json()["id"] == machine
    assert client.get(f"/v1/sandboxes/{sandbox}").status_code == 404


def test_one_that_has_expired_is_gone(generation: Generation) -> None:
    made = generation.create(timeout_ms=1)["id"]
    eventually(lambda: generation.client.get(generation.url(made)).status_code != 200)
    answer = generation.client.get(generation.url(made))
    assert (answer.status_code, answer.json()["code"]) == (410, f"{generation.noun}_not_found")
    assert "its time was over" in answer.json()["error"]


def test_the_same_key_makes_one(generation: Generation) -> None:
    answers = [generation.client.post(generation.base, json={}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    generation.made.append(answers[0].json()["id"])
    assert answers[0].json()["id"] == answers[1].json()["id"]


def test_lists_and_their_pages(generation: Generation) -> None:
    mark = {"mark": generation.noun}
    made = [generation.create(metadata={**mark, "number": number})["id"] for number in range(3)]
    query = {"metadata": json.dumps(mark), "limit": "2", "fields": "id"}
    first = generation.client.get(generation.base, params=query).json()
    assert first["items"] == [{"id": made[2]}, {"id": made[1]}]
    assert first["has_next"] is True
    second = generation.client.get(generation.base, params={**query, "next_token": first["next_token"]}).json()
    assert (second["items"], second["next_token"], second["has_next"]) == ([{"id": made[0]}], None, False)
    everything = generation.client.get(generation.base).json()
    assert set(made) <= {found["id"] for found in everything}
    assert "default" not in {found["id"] for found in everything}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"fields": "id,colour"}, "invalid_fields"),
        ({"state": "tired"}, "invalid_request"),
        ({"limit": "101"}, "invalid_request"),
        ({"limit": "x"}, "invalid_request"),
        ({"metadata": "[]"}, "invalid_request"),
        ({"next_token": "é"}, "invalid_request"),
    ],
)
def test_lists_that_cannot_be_had(generation: Generation, query: dict[str, str], code: str) -> None:
    answer = generation.client.get(generation.base, params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"vcpus": 0}, 400, "invalid_request"),
        ({"cwd": "relative"}, 400, "invalid_request"),
        ({"timeout_action": "explode"}, 400, "invalid_request"),
        ({"timeout_action": "hibernate"}, 501, "not_implemented"),
        ({"internet_access": False}, 501, "not_implemented"),
        ({"snapshot_id": "snap_1"}, 501, "not_implemented"),
        ({"auto_resume": True}, 501, "not_implemented"),
        ({"volumes": [{"volume": "v", "mount_path": "/v"}]}, 400, "invalid_request"),
    ],
)
def test_what_cannot_be_made(generation: Generation, asked: dict[str, Any], status: int, code: str) -> None:
    answer = generation.client.post(generation.base, json=asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_explicit_nulls_are_as_good_as_nothing(generation: Generation) -> None:
    made = generation.create(network=None, cwd=None, desktop=None, volumes=None, envs={}, metadata={})
    assert "cwd" not in made


def test_time_and_pausing(generation: Generation) -> None:
    made = generation.create()["id"]
    told = generation.post(made, "/timeout", timeout_ms=5000).json()
    assert (told["timeout_ms"], told["timeout_action"]) == (5000, "destroy")
    refused = generation.post(made, "/hibernate")
    assert (refused.status_code, refused.json()["code"]) == (501, "not_implemented")
    assert "cannot be paused" in refused.json()["error"]


def test_a_fork_copies_the_workspace(generation: Generation) -> None:
    made = generation.create(envs={"A": "1"})["id"]
    generation.post(made, "/exec", command="echo x >file; mkdir d; ln -s file d/link", shell=True)
    fork = generation.post(made, "/fork")
    assert fork.status_code == 201
    generation.made.append(fork.json()["id"])
    assert fork.json()["workspace_copied_by"] in ("reflink", "copy")
    done = generation.post(fork.json()["id"], "/exec", command="cat file; readlink d/link; echo $A", shell=True).json()
    assert done["stdout"] == "x\nfile\n1\n"


def test_nothing_of_a_sandbox_stays(client: httpx.Client, service: RunningService) -> None:
    made = client.post("/v1/sandboxes", json={}).json()["id"]
    client.post(f"/v1/sandboxes/{made}/exec", json={"command": "sleep 600", "shell": True, "background": True})
    folder = service.data_dir / "sandboxes" / made
    assert Path(folder, "workspace").is_dir()
    client.delete(f"/v1/sandboxes/{made}")
    assert not folder.exists()


def test_capabilities(client: httpx.Client) -> None:
    found = client.get("/v1/capabilities").json()
    assert (found["mode"], found["pause"], found["networks"]) == ("process", False, ["full"])
    assert found["guarantees"]
    assert found["not_covered"]
    assert set(found["limits"].values()) == {"none"}
    assert found["languages"] == ["bash", "python"]
    assert not found["own_users"]
