"""Kernels that die: by their own hand, by a signal, for want of memory."""

from __future__ import annotations

from typing import Any

import httpx

from soak.answers import same
from soak.caller import Caller, answer_input, printed
from tests.live.reading import Event, end_of, is_a, of_type, run, running, text_of

# What is flushed in the very moment of a sudden death may be lost on its way: it dies when what it said has been heard.
_ON = "print('on', flush=True)\ninput()\n"


def ended(caller: Caller) -> None:
    """Code that ends its process."""
    _die(caller, "import os\nos._exit(3)")


def signalled(caller: Caller) -> None:
    """Code that kills its process."""
    _die(caller, "import os\nos.kill(os.getpid(), 9)")


def starved(caller: Caller) -> None:
    """Code that wants more memory than its sandbox may have."""
    with caller.sandbox(memory_mb=256) as sandbox:
        events = _dying(sandbox.http, "hog = bytearray(2**30)")
        wanted = ("failed", "oom") if caller.bounds_memory else ("failed", "error")
        same((text_of(events), end_of(events)), ("on\n", wanted), "a run without memory")
        same(printed(run(sandbox.http, "print(1)")), "1\n", "the next run")


def _die(caller: Caller, code: str) -> None:
    with caller.another_context() as context:
        same(printed(run(caller.http, "kept = 1; print(kept)", id=context)), "1\n", "a run")
        events = _dying(caller.http, code, id=context)
        same((text_of(events), end_of(events)), ("on\n", ("failed", "kernel_died")), "a run whose kernel died")
        events = run(caller.http, "print('kept' in globals())", id=context)
        same((len(of_type(events, "context_restarted")), printed(events)), (1, "False\n"), "the next run")


def _dying(http: httpx.Client, code: str, **context: Any) -> list[Event]:
    with running(http, _ON + code, allow_stdin=True, **context) as stream:
        stream.until(is_a("input_request"))
        answer_input(http, stream, "")
        return [event for event in stream.rest() if event["type"] != "ping"]
