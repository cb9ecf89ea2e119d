"""Uploads as clients send them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

Pair = tuple[dict[str, Any], bytes]


def parts_of(pairs: Iterable[Pair]) -> list[tuple[str, tuple[str, bytes, str]]]:
    """The parts of an upload, in the order in which OpenSandbox's clients send them."""
    parts = []
    for metadata, content in pairs:
        parts.append(("metadata", ("metadata", json.dumps(metadata).encode(), "application/json")))
        parts.append(("file", ("file", content, "application/octet-stream")))
    return parts


def upload(client: httpx.Client, *pairs: Pair, prefix: str = "") -> httpx.Response:
    """The answer to an upload of these pairs of metadata and content."""
    return client.post(f"{prefix}/files/upload", files=parts_of(pairs))


def put(client: httpx.Client, path: Path, content: bytes) -> None:
    """Upload one file, which must work."""
    assert upload(client, ({"path": str(path)}, content)).status_code == 200
