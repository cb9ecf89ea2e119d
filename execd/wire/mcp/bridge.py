"""An MCP server that has nothing of its own, and asks a service that runs for everything.

Each request has a client of its own, and is complete in itself on the other side: so the service may be restarted in
between, and a call that is called off here hangs up there, which calls it off there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import mcp_types as types
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import LATEST_MODERN_VERSION

import execd

Context = ServerRequestContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Bridge:
    """To the MCP at a URL, over these connections."""

    url: str
    http: httpx2.AsyncClient

    async def server(self) -> Server[Any]:
        """It. Raises MCPError where nothing answers at the URL as it should."""
        async with self._service() as service:
            told = await service.session.send_discover(LATEST_MODERN_VERSION)
        return Server(
            "execd",
            version=execd.__version__,
            title="execd",
            instructions=told.get("instructions"),
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
        )

    async def _list_tools(
        self, _context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        async with self._service() as service:
            return await service.list_tools(cursor=_cursor(params))

    async def _call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        # What the answer looks like is for who asked to check.
        asked = types.CallToolRequest(params=types.CallToolRequestParams(name=params.name, arguments=params.arguments))
        report = context.session.report_progress
        async with self._service() as service:
            return await service.session.send_request(asked, types.CallToolResult, progress_callback=report)

    async def _list_resources(
        self, _context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        async with self._service() as service:
            return await service.list_resources(cursor=_cursor(params))

    async def _list_templates(
        self, _context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        async with self._service() as service:
            return await service.list_resource_templates(cursor=_cursor(params))

    async def _read_resource(
        self, _context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        async with self._service() as service:
            return await service.read_resource(params.uri)

    @asynccontextmanager
    async def _service(self) -> AsyncIterator[Client]:
        transport = streamable_http_client(self.url, http_client=self.http)
        try:
            async with Client(transport, mode=LATEST_MODERN_VERSION, cache=None) as service:
                yield service
        except (ExceptionGroup, httpx2.HTTPError) as error:
            raise self._said(error) from error

    def _said(self, error: Exception) -> Exception:
        found = list(_leaves(error))
        lost = [each for each in found if isinstance(each, httpx2.HTTPError)]
        if lost:
            said = f"the service at {self.url} cannot be reached: {str(lost[0]) or type(lost[0]).__name__}"
            return MCPError(code=types.INTERNAL_ERROR, message=said)
        return next((each for each in found if isinstance(each, MCPError)), error)


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for below in error.exceptions for leaf in _leaves(below)]


def _cursor(params: types.PaginatedRequestParams | None) -> str | None:
    return None if params is None else params.cursor
