"""The MCP server: the tools and resources as the official package serves them, whatever the transport."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import mcp_types as types
import structlog
from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError
from starlette.requests import Request

import execd
from execd.errors import ContextNotFound, ExecdError, NotFound
from execd.service.caller import Scope, caller, tenant
from execd.service.programs import Programs
from execd.service.sandboxes import Sandboxes
from execd.wire.body import invalid
from execd.wire.mcp import describing, resources, uris
from execd.wire.mcp.call import Call
from execd.wire.mcp.calls import Calls, Key, Underway
from execd.wire.mcp.catalog import TOOLS, Tool
from execd.wire.mcp.describing import Facts
from execd.wire.mcp.reply import Image, Link, Reply
from execd.wire.mcp.routing import SESSION_HEADER
from execd.wire.mcp.schemas import schema_of
from execd.wire.operation import check_scope
from execd.wire.state import base_of

log = structlog.get_logger(__name__)

Context = ServerRequestContext[Any, Any]

# As the protocol has it.
_RESOURCE_NOT_FOUND = -32002
_FALSE = frozenset({"false", "0", "no"})


class Serving:
    """Serves tools and resources. What is called off in a session, `calls` knows."""

    def __init__(self, sandboxes: Sandboxes, programs: Programs, calls: Calls) -> None:
        self._sandboxes = sandboxes
        self._programs = programs
        self._calls = calls
        self._facts = Facts(sandboxes.settings, sandboxes.capabilities, sandboxes.languages)
        self._tools = {tool.name: tool for tool in TOOLS}

    def server(self) -> Server[Any]:
        """It, for any transport."""
        return Server(
            "execd",
            version=execd.__version__,
            title="execd",
            instructions=describing.instructions(self._facts),
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
        )

    async def _list_tools(
        self, context: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        structured = self._structured(context)
        return types.ListToolsResult(tools=[self._tool(tool, structured) for tool in TOOLS if _may(tool.scope)])

    async def _call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = self._tools.get(params.name)
        if tool is None:
            said = f"there is no tool {params.name[:60]!r}; there are {', '.join(self._tools)}"
            raise MCPError(code=types.INVALID_PARAMS, message=said)
        try:
            check_scope(tool.scope)
            arguments = tool.takes.model_validate(params.arguments or {})
            with self._call(context) as call:
                return _result(await tool.does(call, arguments), structured=self._structured(context))
        except ValidationError as error:
            return _failure(str(invalid(error)))
        except ExecdError as error:
            return _failure(said_of(error))
        except Exception:  # a defect of ours, which the model is to hear of as such
            log.exception("tool_broke", tool=tool.name)
            return _failure("execd failed to do this; its log says why")

    async def _list_resources(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        with self._call(context) as call, _told():
            links, following = await resources.page(call, params.cursor if params else None)
        found = [types.Resource(**_fields(link)) for link in links]
        return types.ListResourcesResult(resources=found, next_cursor=following)

    async def _list_templates(
        self, _context: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=_templates())

    async def _read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        with self._call(context) as call, _told():
            found = await resources.read(call, params.uri)
        content: types.TextResourceContents | types.BlobResourceContents
        if found.text is not None:
            content = types.TextResourceContents(uri=params.uri, mime_type=found.mime_type, text=found.text)
        else:
            content = types.BlobResourceContents(uri=params.uri, mime_type=found.mime_type, blob=found.blob or "")
        return types.ReadResourceResult(contents=[content])

    @contextmanager
    def _call(self, context: Context) -> Iterator[Call]:
        request = context.request if isinstance(context.request, Request) else None
        key = _key(context, request)
        # Without a session nothing can name a call to end it: hanging up is how to do that where the protocol says so,
        # and over stdio, where it is told, nothing else cuts a call short while the service goes on.
        off = request is None or context.protocol_version in MODERN_PROTOCOL_VERSIONS
        with self._calls.underway(key, off=off) as underway:
            yield self._made(context, request, underway)

    def _made(self, context: Context, request: Request | None, underway: Underway) -> Call:
        session = context.session

        async def report(seconds: float, said: str) -> None:
            await session.report_progress(round(seconds, 3), message=said)

        base = None if request is None else base_of(request)
        return Call(self._sandboxes, self._programs, underway, report, base)

    def _structured(self, context: Context) -> bool:
        asked = context.request.query_params.get("structured") if isinstance(context.request, Request) else None
        return self._facts.settings.mcp_structured if asked is None else asked.lower() not in _FALSE

    def _tool(self, tool: Tool, structured: bool) -> types.Tool:
        takes, answers = _schemas(tool)
        annotations = types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.scope is Scope.READ,
            destructive_hint=tool.destroys,
            idempotent_hint=tool.again or tool.scope is Scope.READ,
            open_world_hint=tool.reaches_out and self._facts.open_world,
        )
        return types.Tool(
            name=tool.name,
            title=tool.title,
            description=tool.describe(self._facts),
            input_schema=takes,
            output_schema=answers if structured else None,
            annotations=annotations,
        )


def said_of(error: ExecdError) -> str:
    """What an error says to who calls tools, and no routes."""
    if isinstance(error, ContextNotFound):
        return f"{str(error).partition(';')[0]}; list_contexts shows those that there are"
    return str(error)


@cache
def _schemas(tool: Tool) -> tuple[dict[str, Any], dict[str, Any]]:
    return schema_of(tool.takes), schema_of(tool.answers)


def _templates() -> list[types.ResourceTemplate]:
    return [
        types.ResourceTemplate(uri_template=uri, name=name, description=said)
        for uri, name, said in (
            (uris.ARTIFACT, "artifact", "What a run has made."),
            (uris.OUTPUT, "output", "All that an execution has printed."),
            (
                uris.FILE,
                "file",
                "A file of a sandbox by its absolute path, without the first slash; `default` is yours.",
            ),
        )
    ]


def _may(scope: Scope) -> bool:
    who = caller()
    return who is None or scope in who.scopes


def _key(context: Context, request: Request | None) -> Key | None:
    session_id = None if request is None else request.headers.get(SESSION_HEADER)
    return None if session_id is None else (tenant(), session_id, str(context.request_id))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise MCPError(code=_RESOURCE_NOT_FOUND, message=said_of(error)) from error
    except ExecdError as error:
        raise MCPError(code=types.INVALID_PARAMS, message=said_of(error)) from error


def _result(reply: Reply, *, structured: bool) -> types.CallToolResult:
    content: list[types.ContentBlock] = [types.TextContent(text=reply.structured.text)]
    content += [_image(image) for image in reply.images]
    content += [types.ResourceLink(**_fields(link)) for link in reply.links]
    told = reply.structured.model_dump(mode="json", exclude_none=True) if structured else None
    return types.CallToolResult(content=content, structured_content=told, is_error=reply.failed)


def _failure(said: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=said)], is_error=True)


def _image(image: Image) -> types.ImageContent:
    return types.ImageContent(mime_type=image.mime_type, data=image.data)


def _fields(link: Link) -> dict[str, Any]:
    return {
        "uri": link.uri,
        "name": link.name,
        "mime_type": link.mime_type,
        "size": link.size,
        "description": link.description,
    }
