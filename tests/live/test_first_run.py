"""The first thing that anybody does: run a line and see its output."""

from __future__ import annotations

import httpx


def test_a_line_of_code_prints(client: httpx.Client) -> None:
    body = {"code": "print(6 * 7)", "context": {"language": "python"}}
    with client.stream("POST", "/code", json=body) as answer:
        text = answer.read().decode()
    assert answer.status_code == 200
    assert '"text":"42\\n"' in text
    assert '"status":"succeeded"' in text.splitlines()[-2]
