"""The list of a tenant's executions in all its sandboxes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.live.reading import body_of, run
from tests.running_service import RunningService, running_service


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service of its own, whose executions are all of this module."""
    with running_service(tmp_path_factory.mktemp("listed")) as service:
        yield service


@pytest.fixture(scope="module")
def story(listed: RunningService) -> tuple[str, list[str]]:
    """A sandbox that is no more, and executions from the oldest on: three at the root, the last of them failed, and
    two in that sandbox."""
    with listed.client() as client:
        ids = [run(client, code)[0]["execution_id"] for code in ("1", "2", "1/0")]
        sandbox = client.post("/v1/sandboxes", json={}).json()["id"]
        for code in ("3", "4"):
            answer = client.post(f"/v1/sandboxes/{sandbox}/proxy/44772/code", json=body_of(code))
            ids.append(answer.headers["EXECD-EXECUTION-ID"])
        client.delete(f"/v1/sandboxes/{sandbox}")
    return sandbox, ids


@pytest.fixture
def client(listed: RunningService) -> Iterator[httpx.Client]:
    """A client for it."""
    with listed.client() as connected:
        yield connected


def page(client: httpx.Client, **query: object) -> dict[str, Any]:
    """A page of the list."""
    answer = client.get("/v1/executions", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_pages_are_stable_while_others_begin(client: httpx.Client, story: tuple[str, list[str]]) -> None:
    first = page(client, limit=2)
    new = run(client, "5")[0]["execution_id"]
    second = page(client, limit=2, cursor=first["next_cursor"])
    third = page(client, limit=2, cursor=second["next_cursor"])
    assert third["next_cursor"] is None
    items = [item["id"] for found in (first, second, third) for item in found["items"]]
    assert items == story[1][::-1]
    assert page(client, limit=1)["items"][0]["id"] == new


def test_by_sandbox_even_if_it_is_no_more(client: httpx.Client, story: tuple[str, list[str]]) -> None:
    sandbox, ids = story
    found = page(client, sandbox=sandbox)
    assert [item["id"] for item in found["items"]] == ids[:2:-1]
    assert {item["sandbox_id"] for item in found["items"]} == {sandbox}
    assert {item["sandbox_id"] for item in page(client, sandbox="default")["items"]} == {"default"}
    assert page(client, sandbox="sb_none")["items"] == []


def test_by_status_and_time(client: httpx.Client, story: tuple[str, list[str]]) -> None:
    ids = story[1]
    [failed] = page(client, status="failed")["items"]
    assert (failed["id"], failed["reason"]) == (ids[2], "error")
    since = page(client, since=failed["created_at"])["items"]
    assert {ids[2], ids[3], ids[4]} <= {item["id"] for item in since}
    assert all(item["created_at"] >= failed["created_at"] for item in since)


@pytest.mark.parametrize(
    "query", [{"cursor": "garbage"}, {"cursor": "☃"}, {"status": "done"}, {"since": "now"}, {"limit": "-1"}]
)
def test_what_means_nothing_is_refused(client: httpx.Client, query: dict[str, str]) -> None:
    answer = client.get("/v1/executions", params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")
    assert next(iter(query)) in answer.json()["message"]
