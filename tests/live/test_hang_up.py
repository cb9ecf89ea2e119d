"""Clients that go away, and come back: nothing is missed and nothing comes twice."""

from __future__ import annotations

import httpx
import pytest

from tests.live.reading import (
    SUCCEEDED,
    end_of,
    fetch,
    following,
    is_a,
    of_type,
    run,
    running,
    says,
    text_of,
    without_pings,
)

COUNT = "import time\nfor number in range(40):\n    print(number, flush=True)\n    time.sleep(0.01)"
COUNTED = "".join(f"{number}\n" for number in range(40))


def hung_up(client: httpx.Client, code: str, at: str) -> tuple[str, int]:
    """The id of a run whose client left as soon as `at` was printed, and the seq of the last event that it saw."""
    with running(client, code) as stream:
        seen = stream.until(says(at))
    return stream.execution_id, seen["seq"]


def test_a_run_goes_on_when_its_client_hangs_up(client: httpx.Client) -> None:
    run_id, _ = hung_up(client, COUNT, "3")
    events = fetch(client, run_id)
    assert text_of(events) == COUNTED
    assert end_of(events) == SUCCEEDED
    record = client.get(f"/code/executions/{run_id}").json()
    assert (record["status"], record["last_seq"]) == ("succeeded", events[-1]["seq"])


@pytest.mark.parametrize("how", ["after_seq", "Last-Event-ID"])
def test_a_client_that_comes_back_gets_exactly_the_rest(client: httpx.Client, how: str) -> None:
    run_id, seen = hung_up(client, COUNT, "3")
    rest = fetch(client, run_id, seen, how)
    everything = fetch(client, run_id)
    assert [event["seq"] for event in rest] == list(range(seen + 1, everything[-1]["seq"] + 1))
    assert everything[seen:] == rest
    assert [event["seq"] for event in everything] == list(range(1, everything[-1]["seq"] + 1))


def test_after_seq_counts_more_than_a_browsers_header(client: httpx.Client) -> None:
    run_id = run(client, "1")[0]["execution_id"]
    path = f"/code/executions/{run_id}/events"
    with client.stream("GET", path, params={"after_seq": 2}, headers={"Last-Event-ID": "1"}) as answer:
        assert answer.read().startswith(b"id: 3\n")


def test_a_run_under_way_can_be_followed_live(client: httpx.Client, context_id: str) -> None:
    code = "print('on', flush=True)\nprint('answer:', input(), flush=True)"
    with running(client, code, allow_stdin=True, id=context_id) as first:
        first.until(is_a("input_request"))
    with following(client, first.execution_id, 1) as second:
        second.until(is_a("input_request"))
        client.post(f"/code/executions/{first.execution_id}/input", json={"value": "live"}).raise_for_status()
        events = second.rest()
    assert text_of(events) == "on\nanswer: live\n"
    assert end_of(events) == SUCCEEDED
    assert [event["seq"] for event in without_pings(events)] == list(range(2, events[-1]["seq"] + 1))


@pytest.mark.parametrize("cursor", ["999999", "-1", "one", "1.0", "٣", "9" * 30])
def test_a_cursor_that_is_no_event_is_refused(client: httpx.Client, cursor: str) -> None:
    run_id = run(client, "1")[0]["execution_id"]
    answer = client.get(f"/code/executions/{run_id}/events", params={"after_seq": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")
    assert "after_seq" in answer.json()["message"]


def test_after_the_end_there_is_nothing_but_what_came_late(client: httpx.Client) -> None:
    events = run(client, "print('in time')")
    assert fetch(client, events[0]["execution_id"], events[-1]["seq"]) == []


def test_the_same_events_come_every_time(client: httpx.Client) -> None:
    events = run(client, "print('a')\n1 / 0")
    assert fetch(client, events[0]["execution_id"]) == events


def test_an_unknown_execution_has_no_events(client: httpx.Client) -> None:
    answer = client.get("/code/executions/run_000000000000/events")
    assert (answer.status_code, answer.json()["code"]) == (404, "EXECUTION_NOT_FOUND")


def test_executions_are_listed_newest_first(client: httpx.Client, context_id: str) -> None:
    ids = [run(client, code, id=context_id)[0]["execution_id"] for code in ("1", "1 / 0", "3")]
    listed = client.get("/code/executions", params={"context_id": context_id}).json()
    assert [record["id"] for record in listed] == ids[::-1]
    failed = client.get("/code/executions", params={"context_id": context_id, "status": "failed"}).json()
    assert [(record["id"], record["error"]["ename"]) for record in failed] == [(ids[1], "ZeroDivisionError")]
    newest = client.get("/code/executions", params={"context_id": context_id, "limit": "1"}).json()
    assert [record["id"] for record in newest] == ids[-1:]


def test_many_clients_that_vanish_leave_the_service_as_it_was(client: httpx.Client) -> None:
    for _ in range(20):
        hung_up(client, "print('on', flush=True)\nimport time\ntime.sleep(0.01)", "on\n")
    events = run(client, "print('fine')")
    assert text_of(events) == "fine\n"
    assert of_type(events, "context_restarted") == []
