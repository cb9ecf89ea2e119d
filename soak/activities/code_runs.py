"""Runs of Nullspace's API: queued, cancelled in the line and under way, waited for."""

from __future__ import annotations

from typing import Any

from soak.answers import same
from soak.caller import Caller, Sandbox

_HELD = "print('on', flush=True)\nwhile True: pass"


def queued(caller: Caller) -> None:
    """A line of runs of one context, which run in their order."""
    with caller.sandbox() as sandbox:
        context = _context(caller, sandbox)
        runs = [_start(caller, sandbox, context, f"done = [*globals().get('done', []), {n}]") for n in range(5)]
        runs.append(_start(caller, sandbox, context, "print(done)"))
        ended = [_ended(caller, sandbox, run) for run in runs]
        same([run["status"] for run in ended], ["succeeded"] * 6, "how runs in a line ended")
        same(ended[-1]["execution"]["logs"]["stdout"], ["[0, 1, 2, 3, 4]\n"], "the order of runs in a line")


def cancelled(caller: Caller) -> None:
    """One that waits and one that runs are cancelled; the third runs with what was kept."""
    with caller.sandbox() as sandbox:
        context = _context(caller, sandbox)
        same(_ended(caller, sandbox, _start(caller, sandbox, context, "kept = 5"))["status"], "succeeded", "a run")
        held, waits, last = (_start(caller, sandbox, context, code) for code in (_HELD, _HELD, "print(kept)"))
        for run in (waits, held):
            answer = caller.http.post(f"{_code(sandbox)}/runs/{run}/cancel")
            same(answer.status_code in (200, 202), True, f"a cancellation ({answer.text})")
        ended = [_ended(caller, sandbox, run) for run in (held, waits, last)]
        same([run["status"] for run in ended], ["cancelled", "cancelled", "succeeded"], "how runs ended")
        same(ended[-1]["execution"]["logs"]["stdout"], ["5\n"], "a variable after a cancellation")


def _code(sandbox: Sandbox) -> str:
    return f"/v1/sandboxes/{sandbox.id}/code"


def _context(caller: Caller, sandbox: Sandbox) -> str:
    answer = caller.http.post(f"{_code(sandbox)}/contexts", json={})
    same(answer.status_code, 201, f"a context ({answer.text})")
    return str(answer.json()["id"])


def _start(caller: Caller, sandbox: Sandbox, context: str, code: str) -> str:
    answer = caller.http.post(f"{_code(sandbox)}/runs", json={"code": code, "context_id": context})
    same(answer.status_code, 202, f"a run ({answer.text})")
    return str(answer.json()["id"])


def _ended(caller: Caller, sandbox: Sandbox, run: str) -> dict[str, Any]:
    found: dict[str, Any] = caller.http.get(f"{_code(sandbox)}/runs/{run}", params={"wait": 50}).json()
    return found
