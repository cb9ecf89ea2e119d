"""Time limits of runs."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.live.reading import CANCELLED, SUCCEEDED, body_of, end_of, is_a, kinds, of_type, run, running, text_of
from tests.running_service import running_service

LONG = "print('partial', flush=True)\nwhile True: pass"


def test_a_run_that_takes_too_long_is_stopped_and_keeps_its_output(client: httpx.Client, context_id: str) -> None:
    run(client, "kept = 1", id=context_id)
    events = run(client, LONG, timeout=1500, id=context_id)
    assert kinds(events) == ["init", "stdout", "status", "error", "execution_complete"]
    assert text_of(events) == "partial\n"
    assert end_of(events) == ("failed", "timeout")
    error = of_type(events, "error")[0]["error"]
    assert error["ename"] == "TimeoutError"
    assert "1.5 s" in error["evalue"]
    assert "KeyboardInterrupt" in "".join(error["traceback"])
    assert events[-1]["interruption"]["state"] == "kept"
    assert text_of(run(client, "print(kept)", id=context_id)) == "1\n"


def test_a_pending_await_has_a_time_limit_too(client: httpx.Client, context_id: str) -> None:
    events = run(client, "import asyncio\nawait asyncio.sleep(600)", timeout=300, id=context_id)
    assert end_of(events) == ("failed", "timeout")
    assert events[-1]["interruption"]["state"] == "kept"


def test_waiting_in_the_queue_is_not_running(client: httpx.Client, context_id: str) -> None:
    with (
        running(client, "import time\ntime.sleep(2.2)", id=context_id) as first,
        running(client, "1", timeout=2000, id=context_id) as second,
    ):
        assert [end_of(stream.rest()) for stream in (first, second)] == [SUCCEEDED, SUCCEEDED]


def test_a_run_that_will_not_stop_loses_its_kernel(tight: httpx.Client) -> None:
    code = "import time\nwhile True:\n    try: time.sleep(600)\n    except KeyboardInterrupt: pass"
    run(tight, "pass")
    events = run(tight, code, timeout=1000)
    assert end_of(events) == ("failed", "timeout")
    assert events[-1]["interruption"] == {"rung": "kill", "state": "lost"}
    assert "lost" in of_type(events, "error")[0]["error"]["evalue"]
    assert kinds(run(tight, "1"))[1] == "context_restarted"


def test_the_service_bounds_what_a_run_may_ask_for(tmp_path: Path) -> None:
    with running_service(tmp_path, run_timeout_max=0.5) as service, service.client() as client:
        client.post("/code/context", json={"language": "python"}).raise_for_status()
        asked = run(client, LONG, timeout=3_600_000)
        unasked = run(client, LONG)
    for events in (asked, unasked):
        assert end_of(events) == ("failed", "timeout")
        assert "0.5 s" in of_type(events, "error")[0]["error"]["evalue"]


@pytest.mark.parametrize("timeout", [10**15, 10**400], ids=["long", "longer than a float"])
def test_a_limit_longer_than_any_is_the_longest_there_is(client: httpx.Client, timeout: int) -> None:
    assert end_of(run(client, "1", timeout=timeout)) == SUCCEEDED


@pytest.mark.parametrize("timeout", [0, -1, 1.5, "1000", True])
def test_a_limit_that_is_none_is_refused(client: httpx.Client, timeout: object) -> None:
    answer = client.post("/code", json=body_of("1") | {"timeout": timeout})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")
    assert "timeout" in answer.json()["message"]


def test_a_run_can_be_cancelled_before_its_time_is_over(client: httpx.Client, context_id: str) -> None:
    with running(client, LONG, timeout=3_600_000, id=context_id) as stream:
        stream.until(is_a("stdout"))
        client.delete("/code", params={"id": context_id}).raise_for_status()
        assert end_of(stream.rest()) == CANCELLED
