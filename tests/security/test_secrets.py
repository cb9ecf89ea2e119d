"""Nothing of the service's environment is anywhere inside: not in environments, command lines, memory or files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.security.houses import KINDS, SECRET, Kind, everybody, house
from tests.security.test_warden import zygote

TOKEN = "the-token-of-the-service-itself"

LOOK = """
import os
found = [name for name, value in os.environ.items() if SECRET in value or TOKEN in value or name.startswith("EXECD_A")]
for pid in filter(str.isdecimal, os.listdir("/proc")):
    for name in ("environ", "cmdline"):
        try:
            content = open(f"/proc/{pid}/{name}", "rb").read()
        except OSError:
            continue
        if SECRET.encode() in content or TOKEN.encode() in content:
            found.append(f"{pid} {name}")
print(found)
"""


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_secrets_stay_outside(kind: Kind) -> None:
    with house(kind, access_token=TOKEN) as walled:
        walled.client.headers["X-EXECD-ACCESS-TOKEN"] = TOKEN
        _events(walled.client, "/code", {"code": "1", "context": {"language": "python"}})
        for pid in (zygote(walled), *_below(walled.warden)):
            assert not _mentions(pid), Path(f"/proc/{pid}/cmdline").read_text()
        # As what the code does not contain itself: its own command line would.
        asked = LOOK.replace("SECRET", f"{SECRET[::-1]!r}[::-1]").replace("TOKEN", f"{TOKEN[::-1]!r}[::-1]")
        body = {"code": asked, "context": {"language": "python"}}
        assert "'text': '[]\\n'" in str(_events(walled.client, "/code", body))
        command = {"command": f"python3 - <<'E'\n{asked}\nE"}
        assert "'text': '[]'" in str(_events(walled.client, "/command", command))


def _events(client: httpx.Client, path: str, body: Mapping[str, object]) -> list[object]:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return [json.loads(line.partition("data: ")[2]) for line in answer.text.splitlines() if line.startswith("data: ")]


def _below(warden: int) -> list[int]:
    """The warden and its descendants."""
    found = [warden]
    for pid in found:
        found += [child for child in everybody() if _parent(child) == pid]
    return found


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _mentions(pid: int) -> bool:
    """Whether a secret is in the memory or the environment of a process."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
        with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
            return any(_has_secret(memory, line) for line in lines)
    except OSError:
        return False


def _has_secret(memory: Any, line: str) -> bool:
    addresses, rights, *_ = line.split()
    begin, end = (int(each, 16) for each in addresses.split("-"))
    if not rights.startswith("rw") or end - begin > 2**28:
        return False
    try:
        memory.seek(begin)
        content = memory.read(end - begin)
    except (OSError, ValueError):
        return False
    return SECRET.encode() in content or TOKEN.encode() in content
