"""What becomes of runs whose service ends: they go on, or end as they do, once; and clients resume them."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

import httpx
import pytest

from tests.isolation.eventually import eventually
from tests.live.reading import end_of, is_a, of_type, running, says, text_of
from tests.security.houses import BWRAP_ROOT
from tests.survival.lives import Lives, Place, lives_of
from tests.walled.sandbox import walls_possible

GATED = {
    "python": "import os, time\nprint('begun', flush=True)\nwhile not os.path.exists('gate'): time.sleep(0.01)\n",
    "bash": "echo begun; until [ -e gate ]; do sleep 0.01; done\n",
}
ENDINGS = {
    "python": ("print('done')", ("succeeded", None)),
    "bash": ("echo done; (exit 3)", ("failed", "error")),
}


def open_gate(place: Place) -> None:
    """Let what waits go on, by a command."""
    place.client.post("/command", json={"command": ": > gate"}).raise_for_status()


def begun(place: Place, code: str, **context: Any) -> tuple[str, int, list[dict[str, object]]]:
    """A run that has said that it has begun: its id, and the last event that a client has of it."""
    with running(place.client, code, **context) as stream:
        stream.until(says("begun"))
        return stream.execution_id, int(stream.seen[-1]["id"]), stream.seen


@pytest.mark.parametrize("language", GATED)
def test_a_run_goes_on_with_the_next_service(lives: Lives, signum: Signals, language: str) -> None:
    own = lives.sandbox()
    code, ending = ENDINGS[language]
    run_id, last, seen = begun(own, GATED[language] + code, language=language)
    lives.again(signum)
    assert own.execution(run_id)["status"] == "running"
    open_gate(own)
    events = own.followed(run_id, last)
    assert end_of(events) == ending
    assert text_of([*seen, *events]) == "begun\ndone\n"
    assert of_type(events, "service_restarted")
    seqs = [int(event["id"]) for event in events]
    assert seqs == sorted(set(seqs))
    assert seqs[0] > last


@pytest.mark.parametrize("language", GATED)
def test_a_run_that_ended_meanwhile_ends_as_it_did(lives: Lives, signum: Signals, language: str) -> None:
    own = lives.sandbox()
    code, ending = ENDINGS[language]
    finish = "\nopen('end', 'w').close()" if language == "python" else "; status=$?; : > end; (exit $status)"
    run_id, _, _ = begun(own, GATED[language] + code + finish, language=language)
    workspace = lives.folder / "data" / "sandboxes" / own.id / "workspace"
    assert lives.service.stop(signum) in (0, -signum)
    (workspace / "gate").touch()
    eventually((workspace / "end").exists)
    lives.begin()
    events = own.followed(run_id)
    assert end_of(events) == ending
    # What the client was told in the last 50 ms before a sudden end may be missing.
    assert text_of(events) in (("begun\ndone\n",) if signum is SIGTERM else ("begun\ndone\n", "done\n"))
    assert own.printed("print(1)" if language == "python" else "echo 1", language=language) == "1\n"


def test_input_is_asked_for_by_one_service_and_given_to_the_next(lives: Lives) -> None:
    own = lives.sandbox()
    with running(own.client, "print('hello', input('name? '))", allow_stdin=True) as stream:
        stream.until(is_a("input_request"))
        run_id = stream.execution_id
    lives.again(SIGTERM)
    assert own.execution(run_id)["awaiting_input"] is True
    own.client.post(f"/code/executions/{run_id}/input", json={"value": "you"}).raise_for_status()
    events = own.followed(run_id)
    assert (text_of(events), end_of(events)) == ("hello you\n", ("succeeded", None))


def test_what_waits_is_carried_out_once_and_in_turn(lives: Lives, signum: Signals) -> None:
    own = lives.sandbox()
    context = own.context()
    first, _, _ = begun(own, GATED["python"] + "order = [1]", id=context)
    waiting = []
    for number in (2, 3):
        with running(own.client, f"order.append({number}); open('count', 'a').write('x')", id=context) as stream:
            stream.until(is_a("status"))
            waiting.append(stream.execution_id)
    lives.again(signum)
    assert [own.execution(each)["status"] for each in (first, *waiting)] == ["running", "queued", "queued"]
    open_gate(own)
    for each in (first, *waiting):
        assert end_of(own.followed(each)) == ("succeeded", None)
    assert own.printed("print(order, open('count').read())", id=context) == "[1, 2, 3] xx\n"


def test_a_run_is_interrupted_by_the_next_service(lives: Lives, signum: Signals) -> None:
    own = lives.sandbox()
    context = own.context()
    own.printed("kept = 1", id=context)
    run_id, _, _ = begun(own, "print('begun', flush=True)\nwhile True: pass", id=context)
    lives.again(signum)
    own.client.delete("/code", params={"id": context}).raise_for_status()
    assert end_of(own.followed(run_id)) == ("cancelled", None)
    assert own.printed("print(kept)", id=context) == "1\n"


def test_time_limits_count_from_the_beginning(lives: Lives, signum: Signals) -> None:
    own = lives.sandbox()
    with running(own.client, "print('begun', flush=True)\nimport time; time.sleep(1000)", timeout=1500) as stream:
        stream.until(says("begun"))
        run_id = stream.execution_id
    lives.again(signum)
    assert end_of(own.followed(run_id)) == ("failed", "timeout")


def test_a_kernel_that_died_meanwhile(lives: Lives, signum: Signals) -> None:
    own = lives.sandbox()
    context = own.context()
    pid = int(own.printed("import os; print(os.getpid())", id=context))
    run_id, _, _ = begun(own, "print('begun', flush=True)\nimport time; time.sleep(1000)", id=context)
    assert lives.service.stop(signum) in (0, -signum)
    os.kill(pid, SIGKILL)
    lives.begin()
    assert end_of(own.followed(run_id)) == ("failed", "service_restarted")
    with running(own.client, "print('new')", id=context) as stream:
        events = stream.rest()
    assert of_type(events, "context_restarted")
    assert end_of(events) == ("succeeded", None)


def test_a_stream_says_that_it_is_to_be_resumed_and_nothing_new_begins(lives: Lives) -> None:
    own = lives.sandbox()
    with running(own.client, GATED["python"] + "print('done')") as stream:
        stream.until(says("begun"))
        lives.service.process.send_signal(SIGTERM)
        events = stream.rest()
    last = [event for event in events if event["type"] != "ping"][-1]
    assert (last["type"], last["text"]) == ("status", "resume")
    assert "id" not in last
    assert lives.service.process.wait(30) == 0
    lives.begin()
    open_gate(own)
    after = max(int(event["id"]) for event in events if "id" in event)
    assert text_of(own.followed(stream.execution_id, after)) == "done\n"


def test_what_is_paused_stays_so(signum: Signals) -> None:
    if not walls_possible():
        pytest.skip("this machine lets us make no walls")
    with lives_of(BWRAP_ROOT) as lives:
        own = lives.sandbox(timeout_ms=600_000)
        context = own.context()
        run_id, _, _ = begun(own, GATED["python"] + "kept = 'paused'; print('done')", id=context)
        lives.client.post(f"/opensandbox/v1/sandboxes/{own.id}/pause").raise_for_status()
        before = own.shown()
        lives.again(signum)
        assert (own.shown()["status"], own.shown()["expires_at"]) == ("paused", before["expires_at"])
        lives.client.post(f"/opensandbox/v1/sandboxes/{own.id}/resume").raise_for_status()
        open_gate(own)
        assert end_of(own.followed(run_id)) == ("succeeded", None)
        assert own.printed("print(kept)", id=context) == "paused\n"


def test_time_goes_on_while_there_is_no_service(lives: Lives, signum: Signals) -> None:
    own = lives.sandbox(timeout_ms=1500)
    expires = time.time() + 1.5
    assert lives.service.stop(signum) in (0, -signum)
    eventually(lambda: time.time() > expires)
    lives.begin()

    def gone() -> bool:
        return lives.client.get(f"/v1/sandboxes/{own.id}").status_code == 410

    eventually(gone)


def test_an_idempotency_key_still_makes_one(lives: Lives, signum: Signals) -> None:
    made = [lives.client.post("/v1/sandboxes", json={}, headers={"Idempotency-Key": "k"}).json()["id"]]
    lives.again(signum)
    made.append(lives.client.post("/v1/sandboxes", json={}, headers={"Idempotency-Key": "k"}).json()["id"])
    assert made[0] == made[1]
    with suppress(httpx.HTTPError):
        lives.client.delete(f"/v1/sandboxes/{made[0]}")
