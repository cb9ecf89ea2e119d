"""The module `execd_run`, by which code that is run for an agent talks to the service: what it was given, what it
returns, what it has used, and where it waits until somebody has approved.

    import execd_run

    city = execd_run.input["city"]
    with execd_run.tool("weather"):
        report = look_up(city)
    execd_run.checkpoint("send it?", {"report": report})
    execd_run.usage(prompt_tokens=120, completion_tokens=40, cost=0.002)
    execd_run.output({"report": report})

All of it goes over the kernel's own channels. Outside of a run of an agent `input` is {}, and a checkpoint raises.
"""

import json
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["Rejected", "checkpoint", "input", "output", "tool", "usage"]

KEY = "execd_input"
"""Where an execute_request has the input in its metadata."""

REPORT = "execd_report"
"""The type of the messages on iopub."""

CHECKPOINT = "\0execd_checkpoint:"
"""What the prompt of an input_request begins with that is a checkpoint; JSON follows."""

_LARGEST = 1024 * 1024


class Rejected(Exception):
    """Somebody has rejected what the run wanted to do, or nobody has approved it in time. The run ends `rejected`,
    whatever the code makes of this: it is raised so that the code can clean up."""


class _Current:
    """The run that the kernel carries out."""

    given: Mapping[str, Any] | None = None


def begin(request: Mapping[str, Any]) -> None:
    """A cell begins, which came with this request."""
    _Current.given = (request.get("metadata") or {}).get(KEY)


def __getattr__(name: str) -> Any:
    if name == "input":
        return _Current.given or {}
    raise AttributeError(f"module 'execd_run' has no attribute {name!r}")


def output(value: Any) -> None:
    """Return this from the run: anything that JSON can say. What was said last counts. Raises TypeError or ValueError
    for what JSON cannot say, and ValueError for more than 1 MiB of it."""
    _report("output", value=_checked(value))


def usage(*, cost: float = 0.0, **tokens: int) -> None:
    """Add to what the run has used: tokens by their names (prompt_tokens, completion_tokens, total_tokens, …), and what
    they cost."""
    _report("usage", cost=float(cost), tokens={name: int(count) for name, count in tokens.items()})


@contextmanager
def tool(name: str, summary: str = "") -> Iterator[None]:
    """Say that the run uses a tool as long as the block runs. The summary is a short text about what came of it."""
    identity = f"tool_{uuid.uuid4().hex[:12]}"
    _report("tool_start", id=identity, name=str(name))
    try:
        yield
    except BaseException as error:
        _report("tool_end", id=identity, name=str(name), summary=f"{type(error).__name__}: {error}"[:200])
        raise
    _report("tool_end", id=identity, name=str(name), summary=str(summary)[:200])


def checkpoint(name: str, payload: Any = None) -> None:
    """Wait until somebody has approved; `payload` is what they are shown. Raises Rejected. Everything stays as it is
    meanwhile, and the time limit of the run does not go on. To be called from the main thread."""
    if _Current.given is None:
        raise RuntimeError("checkpoint() works where code is run for an agent: nobody would be asked here")
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("checkpoint() works in the main thread only")
    asked = json.dumps({"name": str(name), "payload": _checked(payload)})
    kernel = _shell().kernel
    ident = kernel._get_shell_context_var(kernel._shell_parent_ident)
    answer = json.loads(kernel._input_request(CHECKPOINT + asked, ident, kernel.get_parent("shell")) or "{}")
    if not answer.get("approved"):
        raise Rejected(answer.get("reason") or f"{name!r} was rejected")


def _checked(value: Any) -> Any:
    text = json.dumps(value, allow_nan=False)
    if len(text) > _LARGEST:
        raise ValueError(f"expected at most {_LARGEST} bytes of JSON, got {len(text)}")
    return json.loads(text)


def _report(kind: str, **fields: Any) -> None:
    # In its place among what is printed.
    sys.stdout.flush()
    sys.stderr.flush()
    shell = _shell()
    kernel = shell.kernel
    kernel.session.send(kernel.iopub_socket, REPORT, {"kind": kind, **fields}, shell.get_parent(), REPORT.encode())


def _shell() -> Any:
    from IPython import get_ipython

    shell: Any = get_ipython()
    return shell
