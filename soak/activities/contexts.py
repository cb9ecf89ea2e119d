"""Contexts and sessions: made, used, deleted."""

from __future__ import annotations

from soak.answers import same
from soak.caller import Caller, printed
from tests.live.reading import Event, Stream, of_type, run, without_pings


def python(caller: Caller) -> None:
    """A context whose variables are its own, and which is gone afterwards."""
    word = caller.word()
    with caller.another_context() as context:
        run(caller.http, f"kept = '{word}'", id=context)
        same(printed(run(caller.http, "print(kept)", id=context)), f"{word}\n", "a variable of a context")
        same(caller.http.get(f"/code/contexts/{context}").status_code, 200, "a context that is there")
    same(caller.printed("print(kept)"), "still here\n", "a variable of another context")
    same(caller.http.get(f"/code/contexts/{context}").status_code, 404, "a context that was deleted")


def session(caller: Caller) -> None:
    """A session of bash whose state lasts from run to run."""
    word = caller.word()
    made = caller.http.post("/session")
    same(made.status_code, 200, f"POST /session ({made.text})")
    path = f"/session/{made.json()['session_id']}"
    try:
        same(_lines(_ran(caller, path, f"kept={word}; cd /; sleep 100 & echo on")), ["on"], "a session")
        same(_lines(_ran(caller, path, 'echo "$kept"; pwd')), [word, "/"], "the state of a session")
        [error] = of_type(_ran(caller, path, "(exit 7)"), "error")
        same(error["error"]["evalue"], "7", "an exit code in a session")
    finally:
        same(caller.http.delete(path).status_code, 200, "DELETE of a session")


def _ran(caller: Caller, path: str, line: str) -> list[Event]:
    with caller.http.stream("POST", f"{path}/run", json={"command": line}) as answer:
        same(answer.status_code, 200, "a run in a session")
        return without_pings(Stream(answer).rest())


def _lines(events: list[Event]) -> list[str]:
    return [event["text"] for event in of_type(events, "stdout")]
