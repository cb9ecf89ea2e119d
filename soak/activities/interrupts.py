"""Interrupts that keep the variables: of a loop, of a pure await, of a time limit."""

from __future__ import annotations

from soak.answers import same
from soak.caller import Caller
from tests.live.reading import CANCELLED, end_of, of_type, running, says

_ON = "print('on', flush=True)\n"


def loop(caller: Caller) -> None:
    """A loop that never ends by itself."""
    _interrupt(caller, "while True: pass")


def waiting(caller: Caller) -> None:
    """Code that only waits."""
    _interrupt(caller, "import asyncio\nawait asyncio.sleep(600)")


def asleep(caller: Caller) -> None:
    """Code that sleeps in a call of the system."""
    _interrupt(caller, "import time\ntime.sleep(600)")


def timed(caller: Caller) -> None:
    """A time limit, which is an interrupt that nobody asks for."""
    events = caller.run(f"{_ON}while True: pass", timeout=700)
    same(end_of(events), ("failed", "timeout"), "how a run ended")
    [error] = of_type(events, "error")
    same(error["error"]["ename"], "TimeoutError", "the error of a time limit")
    same(caller.printed("print(kept)"), "still here\n", "a variable after a time limit")


def _interrupt(caller: Caller, code: str) -> None:
    with running(caller.http, _ON + code, id=caller.context) as stream:
        stream.until(says("on\n"))
        answer = caller.http.delete("/code", params={"id": stream.execution_id})
        same((answer.status_code, answer.headers.get("execd-context-state")), (200, "kept"), "an interrupt")
        same(end_of(stream.rest()), CANCELLED, "how a run ended")
    same(caller.printed("print(kept)"), "still here\n", "a variable after an interrupt")
