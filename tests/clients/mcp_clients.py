"""The official MCP client, connected in every way that there is."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

MODES = ("legacy", "auto")
"""The protocol with sessions, and the newest, which has none."""


@asynccontextmanager
async def over_http(url: str, mode: str, key: str | None = None) -> AsyncIterator[Client]:
    """A client of a service."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx2.Timeout(30, read=None)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@asynccontextmanager
async def over_stdio(mode: str, folder: Path, *arguments: str, **settings: str) -> AsyncIterator[Client]:
    """A client of `execd mcp`, whose log goes to a file in the folder."""
    with (folder / "stderr.log").open("a") as log:
        async with Client(stdio_client(program(folder, arguments, settings), errlog=log), mode=mode) as client:
            yield client


def program(folder: Path, arguments: Sequence[str], settings: dict[str, str]) -> StdioServerParameters:
    """`execd mcp`, whose data is in a folder."""
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "execd", "mcp", *arguments],
        env=environment(folder, settings),
    )


def environment(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    """What it gets for an environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EXECD_")}
    chosen = {"isolation": "process", "data_dir": str(folder / "data"), "log_format": "json", **settings}
    return kept | {f"EXECD_{name.upper()}": value for name, value in chosen.items()}


def text_of(result: CallToolResult) -> str:
    """The text of an answer."""
    (found,) = [block.text for block in result.content if block.type == "text"]
    return found


def told(result: CallToolResult) -> dict[str, Any]:
    """The structured content of an answer."""
    found: dict[str, Any] = result.structured_content
    return found
