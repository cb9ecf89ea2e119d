"""Sandboxes: made, worked in, paused, destroyed."""

from __future__ import annotations

from soak.answers import same
from soak.caller import Caller, printed
from tests.live.commanding import printed as lines_of
from tests.live.reading import CANCELLED, end_of, run, running, says
from tests.live.uploading import upload


def lived(caller: Caller) -> None:
    """A life with code, a file and a command that it leaves running."""
    word = caller.word()
    with caller.sandbox() as sandbox:
        same(upload(sandbox.http, ({"path": "in.txt"}, word.encode())).status_code, 200, "an upload")
        same(printed(run(sandbox.http, "print(open('in.txt').read())")), f"{word}\n", "a file in a sandbox")
        same(lines_of(sandbox.http, "cat in.txt; sleep 300 & true"), [word], "a command in a sandbox")
        path = f"/v1/sandboxes/{sandbox.id}"
        same(caller.http.get(path).json()["status"], "running", "a sandbox that is there")
        same(caller.http.delete(path).status_code, 200, "DELETE of a sandbox")
        same(caller.http.get(path).status_code, 404, "a sandbox that was destroyed")


def paused(caller: Caller) -> None:
    """A sandbox that stands still and goes on."""
    with caller.sandbox() as sandbox:
        run(sandbox.http, "kept = 1")
        path = f"/opensandbox/v1/sandboxes/{sandbox.id}"
        if caller.pauses:
            same(caller.http.post(f"{path}/pause").status_code, 202, "a pause")
            same(caller.http.post(f"{path}/resume").status_code, 202, "a resumption")
        same(printed(run(sandbox.http, "print(kept)")), "1\n", "a variable of a sandbox that was paused")


def busy(caller: Caller) -> None:
    """A sandbox that is destroyed while it works: its run ends, and says so."""
    with caller.sandbox() as sandbox, running(sandbox.http, "print('on', flush=True)\nwhile True: pass") as stream:
        stream.until(says("on\n"))
        same(caller.http.delete(f"/v1/sandboxes/{sandbox.id}").status_code, 200, "DELETE of a busy sandbox")
        same(end_of(stream.rest()), CANCELLED, "how a run ended whose sandbox was destroyed")
