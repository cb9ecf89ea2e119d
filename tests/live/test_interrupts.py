"""Interrupts: whatever the code does, it stops; what survives is told; and no other run is hit."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.live.reading import CANCELLED, SUCCEEDED, Stream, end_of, is_a, kinds, of_type, run, running, says, text_of

ON = "print('on', flush=True)\n"
STUBBORN = """
import time
told = False
while True:
    try:
        if not told:
            told = True
            print('on', flush=True)
        time.sleep(600)
    except KeyboardInterrupt: pass
"""
SOFT = ("interrupt", "nudge")  # the second follows the first by itself, on a slow machine before the code has ended

STOPPABLE = {
    "loop": ON + "while True: pass",
    "sleep": ON + "import time\ntime.sleep(600)",
    "await": ON + "import asyncio\nawait asyncio.sleep(600)",
    "loop after an await": "import asyncio\nawait asyncio.sleep(0)\n" + ON + "while True: pass",
    "subprocess": ON + "import subprocess\nsubprocess.run(['sleep', '600'])",
    "shell": ON + "!sleep 600",
    "lock": ON + "import threading\nthreading.Event().wait()",
}


def plain(traceback: list[str]) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(traceback))


def interrupt(client: httpx.Client, wanted: str) -> httpx.Response:
    answer = client.delete("/code", params={"id": wanted}).raise_for_status()
    assert answer.content == b""
    return answer


def stopped(client: httpx.Client, stream: Stream, wanted: str) -> tuple[str, str]:
    """Interrupt a run that has said that it is on; the rung and the state that the answer tells."""
    stream.until(says("on\n"))
    answer = interrupt(client, wanted)
    assert answer.headers["execd-execution-id"] == stream.execution_id
    assert end_of(stream.rest()) == CANCELLED
    rung, state = answer.headers["execd-interrupt-rung"], answer.headers["execd-context-state"]
    assert stream.seen[-1]["interruption"] == {"rung": rung, "state": state}
    return rung, state


@pytest.mark.parametrize("what", STOPPABLE)
@pytest.mark.parametrize("by", ["context", "execution"])
def test_code_is_stopped_and_variables_survive(client: httpx.Client, context_id: str, what: str, by: str) -> None:
    run(client, "kept = 1", id=context_id)
    with running(client, STOPPABLE[what], id=context_id) as stream:
        rung, state = stopped(client, stream, context_id if by == "context" else stream.execution_id)
    # IPython's `!` takes an interrupt for itself when it comes while the shell is being started.
    # One in some thousands is heeded only the second time, and by IPython's `!` while it starts its shell.
    assert rung in (*SOFT, "interrupt_again")
    assert state == "kept"
    events = run(client, "print(kept)", id=context_id)
    assert kinds(events) == ["init", "stdout", "execution_complete"]
    assert text_of(events) == "1\n"


def test_the_interrupted_code_shows_where_it_was(client: httpx.Client, context_id: str) -> None:
    with running(client, STOPPABLE["loop"], id=context_id) as stream:
        stopped(client, stream, context_id)
    assert kinds(stream.seen) == ["init", "stdout", "status", "error", "execution_complete"]
    error = of_type(stream.seen, "error")[0]["error"]
    assert error["ename"] == "KeyboardInterrupt"
    assert "while True: pass" in plain(error["traceback"])
    assert "interrupts.py" not in plain(error["traceback"])


def test_code_that_swallows_one_interrupt_gets_a_second(client: httpx.Client, context_id: str) -> None:
    sleep = "import time\ntry:\n    print('on', flush=True)\n    time.sleep(600)\nexcept KeyboardInterrupt: pass\n"
    code = sleep + "while True: pass"
    run(client, "kept = 1", id=context_id)
    with running(client, code, id=context_id) as stream:
        assert stopped(client, stream, stream.execution_id) == ("interrupt_again", "kept")
    assert text_of(run(client, "print(kept)", id=context_id)) == "1\n"


def test_code_that_swallows_every_interrupt_loses_its_kernel(tight: httpx.Client) -> None:
    run(tight, "kept = 1")
    with running(tight, STUBBORN) as stream:
        assert stopped(tight, stream, stream.execution_id) == ("kill", "lost")
    assert "lost" in of_type(stream.seen, "error")[0]["error"]["evalue"]
    events = run(tight, "print('kept' in globals())")
    assert kinds(events) == ["init", "context_restarted", "stdout", "execution_complete"]
    assert text_of(events) == "False\n"


def test_code_that_waits_for_input_is_stopped(client: httpx.Client, context_id: str) -> None:
    with running(client, ON + "kept = 1\ninput('? ')", allow_stdin=True, id=context_id) as stream:
        stream.until(is_a("input_request"))
        answer = interrupt(client, context_id)
        assert end_of(stream.rest()) == CANCELLED
    assert answer.headers["execd-context-state"] == "kept"
    assert text_of(run(client, "print(kept)", id=context_id)) == "1\n"


def test_interrupting_an_idle_context_harms_nothing(client: httpx.Client, context_id: str) -> None:
    for _ in range(5):
        answer = interrupt(client, context_id)
        assert (answer.headers["execd-interrupt-rung"], answer.headers["execd-context-state"]) == ("none", "kept")
    assert end_of(run(client, "sum(range(1_000_000))", id=context_id)) == SUCCEEDED


def test_interrupting_a_run_that_has_ended_harms_nothing(client: httpx.Client, context_id: str) -> None:
    run_id = run(client, "1", id=context_id)[0]["execution_id"]
    with running(client, STOPPABLE["loop"], id=context_id) as stream:
        stream.until(says("on\n"))
        assert interrupt(client, run_id).headers["execd-interrupt-rung"] == "none"
        assert client.get(f"/code/executions/{stream.execution_id}").json()["status"] == "running"
        interrupt(client, context_id)
    assert client.get(f"/code/executions/{run_id}").json()["status"] == "succeeded"


def test_an_interrupt_before_the_kernel_has_begun_stops_the_run(client: httpx.Client, context_id: str) -> None:
    with running(client, "while True: pass", id=context_id) as stream:
        answer = interrupt(client, stream.execution_id)
        assert end_of(stream.rest()) == CANCELLED
    assert answer.headers["execd-interrupt-rung"] in (*SOFT, "none")
    assert answer.headers["execd-context-state"] == "kept"


def test_two_interrupts_at_once_are_one(client: httpx.Client, context_id: str) -> None:
    with (
        running(client, STOPPABLE["loop"], id=context_id) as stream,
        running(client, "print(1)", id=context_id) as last,
    ):
        rung, _ = stopped(client, stream, stream.execution_id)
        assert interrupt(client, stream.execution_id).headers["execd-interrupt-rung"] == rung
        assert end_of(last.rest()) == SUCCEEDED


def test_an_interrupt_never_hits_the_next_run(client: httpx.Client, context_id: str) -> None:
    after = "total = 0\nfor number in range(20_000): total += number\nprint(total)"
    for number in range(100):
        with running(client, f"for _ in range({number * 2_000}): pass", id=context_id) as first:
            if number % 2:
                interrupt(client, first.execution_id)
                second = run(client, after, id=context_id)
            else:
                with running(client, after, id=context_id) as queued:
                    interrupt(client, first.execution_id)
                    second = queued.rest()
            assert end_of(first.rest()) in (SUCCEEDED, CANCELLED)
        assert (number, end_of(second), text_of(second)) == (number, SUCCEEDED, "199990000\n")
        assert of_type(second, "context_restarted") == []
