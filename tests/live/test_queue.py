"""Runs in one context wait for each other: in order, told where they stand, bounded, cancellable."""

from __future__ import annotations

from contextlib import ExitStack

import httpx

from tests.live.reading import CANCELLED, SUCCEEDED, body_of, end_of, fetch, is_a, of_type, run, running, says, text_of


def test_a_busy_context_takes_runs_one_after_the_other(client: httpx.Client, context_id: str) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(running(client, "order = []\norder.append(0)", id=context_id))
        others = [
            stack.enter_context(running(client, f"order.append({number})", id=context_id)) for number in range(1, 6)
        ]
        for stream in (first, *others):
            assert end_of(stream.rest()) == SUCCEEDED
    assert text_of(run(client, "print(order)", id=context_id)) == "[0, 1, 2, 3, 4, 5]\n"


def test_a_waiting_run_is_told_its_position_until_it_runs(client: httpx.Client, context_id: str) -> None:
    with (
        running(client, "print('on', flush=True)\nwhile True: pass", id=context_id) as first,
        running(client, "1", id=context_id) as second,
        running(client, "2", id=context_id) as third,
    ):
        first.until(says("on\n"))
        waiting = client.get(f"/code/contexts/{context_id}").json()
        assert (waiting["state"], waiting["waiting"]) == ("busy", 2)
        third.until(is_a("status"))
        assert client.get(f"/code/executions/{third.execution_id}").json()["position"] == 2
        client.delete("/code", params={"id": first.execution_id}).raise_for_status()
        first.rest()
        statuses = of_type(second.rest(), "status"), of_type(third.rest(), "status")
    told = [[(event["text"], event.get("position")) for event in stream] for stream in statuses]
    assert told == [
        [("queued", 1), ("running", None)],
        [("queued", 2), ("queued", 1), ("running", None)],
    ]
    assert "status" not in [event["type"] for event in first.seen[:3]]


def test_a_run_that_need_not_wait_is_told_nothing_of_queues(client: httpx.Client) -> None:
    assert of_type(run(client, "1"), "status") == []


def test_a_full_queue_refuses_before_a_stream_begins(tight: httpx.Client) -> None:
    with running(tight, "print('on', flush=True)\nwhile True: pass") as first:
        first.until(says("on\n"))
        with running(tight, "1") as second, running(tight, "2") as third:
            refused = tight.post("/code", json=body_of("3"))
            tight.delete("/code", params={"id": first.execution_id}).raise_for_status()
            assert [end_of(stream.rest()) for stream in (second, third)] == [SUCCEEDED, SUCCEEDED]
    assert (refused.status_code, refused.json()["code"]) == (429, "LIMIT_REACHED")
    assert refused.headers["content-type"] == "application/json"
    assert int(refused.headers["retry-after"]) > 0
    assert end_of(run(tight, "3")) == SUCCEEDED


def test_a_refused_run_leaves_no_record(tight: httpx.Client) -> None:
    with running(tight, "print('on', flush=True)\nwhile True: pass") as first:
        first.until(says("on\n"))
        with running(tight, "1"), running(tight, "2"):
            before = [record["id"] for record in tight.get("/code/executions").json()]
            assert tight.post("/code", json=body_of("3")).status_code == 429
            assert [record["id"] for record in tight.get("/code/executions").json()] == before
            tight.delete("/code", params={"id": first.execution_id}).raise_for_status()


def test_a_waiting_run_can_be_cancelled(client: httpx.Client, context_id: str) -> None:
    with (
        running(client, "print('on', flush=True)\nwhile True: pass", id=context_id) as first,
        running(client, "print('never')", id=context_id) as second,
        running(client, "print('third')", id=context_id) as third,
    ):
        first.until(says("on\n"))
        stopped = client.delete("/code", params={"id": second.execution_id}).raise_for_status()
        assert (stopped.headers["execd-interrupt-rung"], stopped.headers["execd-context-state"]) == ("none", "kept")
        assert end_of(second.rest()) == CANCELLED
        third.until(lambda event: event.get("position") == 1)
        assert client.get(f"/code/executions/{first.execution_id}").json()["status"] == "running"
        client.delete("/code", params={"id": first.execution_id}).raise_for_status()
        assert end_of(third.rest()) == SUCCEEDED
    assert text_of(second.seen) == ""
    assert text_of(third.seen) == "third\n"


def test_a_failing_cell_does_not_abort_those_that_wait(client: httpx.Client, context_id: str) -> None:
    with (
        running(client, "import time\ntime.sleep(0.1)\n1 / 0", id=context_id) as first,
        running(client, "print('second')", id=context_id) as second,
        running(client, "print('third')", id=context_id) as third,
    ):
        assert end_of(first.rest()) == ("failed", "error")
        assert [end_of(stream.rest()) for stream in (second, third)] == [SUCCEEDED, SUCCEEDED]
    assert text_of(second.seen) + text_of(third.seen) == "second\nthird\n"


def test_one_context_does_not_wait_for_another(client: httpx.Client, context_id: str) -> None:
    with running(client, "print('on', flush=True)\nwhile True: pass", id=context_id) as busy:
        busy.until(says("on\n"))
        assert text_of(run(client, "print('free')")) == "free\n"
        client.delete("/code", params={"id": context_id}).raise_for_status()
        assert end_of(busy.rest()) == CANCELLED


def test_a_waiting_run_whose_client_hung_up_still_runs(client: httpx.Client, context_id: str) -> None:
    with running(client, "import time\ntime.sleep(0.2)", id=context_id) as first:
        with running(client, "print('ran anyway')", id=context_id) as second:
            second.until(is_a("init"))
        assert end_of(first.rest()) == SUCCEEDED
    assert text_of(fetch(client, second.execution_id)) == "ran anyway\n"
