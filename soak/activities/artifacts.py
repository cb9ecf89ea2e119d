"""Artifacts: made by a run, listed, fetched, deleted."""

from __future__ import annotations

import hashlib
from typing import Any

from soak.answers import same
from soak.caller import Caller
from tests.live.reading import of_type, run


def kept(caller: Caller) -> None:
    """A file that a run writes is kept when the file itself is gone."""
    word, size = caller.word(), caller.chance.randrange(100, 200_000)
    content = (word.encode() * (size // len(word) + 1))[:size]
    with caller.sandbox() as sandbox:
        code = f"with open('{word}.txt', 'wb') as f: f.write((b'{word}' * {size})[:{size}])\n1"
        [told] = [event["artifact"] for event in of_type(run(sandbox.http, code), "artifact")]
        same((told["name"], told["sha256"]), (f"{word}.txt", hashlib.sha256(content).hexdigest()), "an artifact")
        run(sandbox.http, f"import os\nos.remove('{word}.txt')")
        path = f"/v1/sandboxes/{sandbox.id}/code/artifacts"
        listed: dict[str, Any] = caller.http.get(path).raise_for_status().json()
        same([item["id"] for item in listed["items"]], [told["id"]], "the list of artifacts")
        fetched = caller.http.get(f"{path}/{told['id']}/download")
        same(fetched.content == content, True, "whether an artifact is what the code has written")
        same(caller.http.delete(f"{path}/{told['id']}").status_code in (200, 204), True, "DELETE of an artifact")
        same(caller.http.get(f"{path}/{told['id']}").status_code, 404, "an artifact that was deleted")
