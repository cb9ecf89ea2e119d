"""What the service has is written down: README.md and docs/*.md, taken together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from execd import events
from execd.app import OPERATIONS, PASSAGES
from execd.events import Event, Reason, Status
from execd.kernel.ladder import Rung
from execd.settings import Settings
from execd.wire.baponi.errors import BaponiCode
from execd.wire.execd.errors import Code
from execd.wire.mcp import uris
from execd.wire.mcp.catalog import TOOLS, Tool
from execd.wire.mcp.errors import McpCode
from execd.wire.nullspace.errors import NullspaceCode
from execd.wire.opensandbox.errors import OpenSandboxCode
from execd.wire.promptrails.errors import PromptRailsCode

ROOT = Path(__file__).parent.parent

EVENT_TYPES = sorted(
    {
        found.type
        for found in vars(events).values()
        if isinstance(found, type) and issubclass(found, Event) and hasattr(found, "type")
    }
    | {"ping"}
)
ROUTES = sorted({found.path for found in OPERATIONS} | {found.path for found in PASSAGES} | {"/openapi.json"})
HEADERS = sorted({name for operation in OPERATIONS for name in operation.headers})


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Everything that stands in backquotes or in a block of code."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(page.read_text("utf-8") for page in pages if page.exists())
    quoted = re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL)
    return {word for piece in quoted for word in re.findall(r"[\w/{}.:-]+", piece)}


def plain(path: str) -> str:
    """A route as documents show it, without its parameters' converters."""
    return re.sub(r":\w+}", "}", path)


def described(path: str) -> str:
    """The path that a route is described at, where it is served at several."""
    path = re.sub(r"^/opensandbox/(?!v1/)", "/opensandbox/v1/", path)
    return re.sub(r"^/v1/machines(?=/|$)", "/v1/sandboxes", path)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_settings(name: str, words: set[str]) -> None:
    assert f"EXECD_{name.upper()}" in words


@pytest.mark.parametrize("path", ROUTES)
def test_routes(path: str, words: set[str]) -> None:
    found = described(plain(path))
    assert {found, re.sub(r"{\w+}", "{id}", found), found.replace("{sandbox_id}", "{id}")} & words


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_event_types(name: str, words: set[str]) -> None:
    assert name in words


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            *Status,
            *Reason,
            *Rung,
            *Code,
            *OpenSandboxCode,
            *NullspaceCode,
            *BaponiCode,
            *PromptRailsCode,
            *McpCode,
            *HEADERS,
        }
    ),
)
def test_statuses_reasons_rungs_codes_and_headers(name: str, words: set[str]) -> None:
    assert name in words


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_mcp_tools_and_their_arguments(tool: Tool) -> None:
    page = (ROOT / "docs" / "mcp.md").read_text("utf-8")
    (row,) = re.findall(rf"^\| `{tool.name}` \| (.*) \|$", page, re.MULTILINE)
    # What all of them take is said once.
    assert set(tool.takes.model_fields) - {"sandbox"} <= set(re.findall(r"`(\w+)`", row))


def test_resources_of_mcp() -> None:
    page = (ROOT / "docs" / "mcp.md").read_text("utf-8")
    for uri in (uris.ARTIFACT, uris.OUTPUT, uris.FILE):
        assert f"`{uri}`" in page
