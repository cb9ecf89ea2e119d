"""What /mcp answers outside of any MCP message: JSON-RPC errors without an id, with the HTTP status that fits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, Field

from execd.errors import (
    BodyTooLarge,
    Conflict,
    ExecdError,
    FileForbidden,
    IdentityRefused,
    InvalidRequest,
    LimitReached,
    NotFound,
    NotOffered,
    ScopeMissing,
    ShuttingDown,
    StorageFull,
    UnknownLanguage,
    WrongContentType,
)
from execd.wire.dialects import Dialect, codes_of, unauthorized
from execd.wire.errors import ErrorTable, Rendering


class McpCode(StrEnum):
    """Every code in the data of such an error."""

    INVALID_REQUEST = "invalid_request"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    SESSION_NOT_FOUND = "session_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    LIMIT_REACHED = "limit_reached"
    NOT_INSTALLED = "not_installed"
    STORAGE_FULL = "storage_full"
    UNAVAILABLE = "unavailable"
    INTERNAL_ERROR = "internal_error"


# JSON-RPC 2.0, section 5.1.
_INVALID = -32600
_INTERNAL = -32603


class McpErrorData(BaseModel):
    """What kind of error it is, for programs."""

    code: McpCode


class McpErrorDetail(BaseModel):
    """A JSON-RPC error."""

    code: int = Field(description="-32600 where the request is at fault, -32603 where the service is.")
    message: str
    data: McpErrorData


class McpErrorBody(BaseModel):
    """An answer to a request of which no MCP message came."""

    jsonrpc: str = "2.0"
    id: None = None
    error: McpErrorDetail


def _body(rendering: Rendering, message: str) -> Mapping[str, object]:
    number = _INTERNAL if rendering.status >= 500 else _INVALID
    error = {"code": number, "message": message, "data": {"code": rendering.code}}
    return {"jsonrpc": "2.0", "id": None, "error": error}


MCP_ERRORS = ErrorTable(
    {
        ExecdError: Rendering(500, McpCode.INTERNAL_ERROR),
        InvalidRequest: Rendering(400, McpCode.INVALID_REQUEST),
        UnknownLanguage: Rendering(400, McpCode.INVALID_REQUEST),
        BodyTooLarge: Rendering(413, McpCode.PAYLOAD_TOO_LARGE),
        WrongContentType: Rendering(415, McpCode.INVALID_REQUEST),
        NotFound: Rendering(404, McpCode.NOT_FOUND),
        Conflict: Rendering(409, McpCode.CONFLICT),
        FileForbidden: Rendering(403, McpCode.FORBIDDEN),
        IdentityRefused: Rendering(403, McpCode.FORBIDDEN),
        ScopeMissing: Rendering(403, McpCode.FORBIDDEN),
        LimitReached: Rendering(429, McpCode.LIMIT_REACHED),
        NotOffered: Rendering(501, McpCode.NOT_INSTALLED),
        StorageFull: Rendering(507, McpCode.STORAGE_FULL),
        ShuttingDown: Rendering(503, McpCode.UNAVAILABLE),
    },
    _body,
    McpErrorBody,
)

SESSION_NOT_FOUND = Rendering(404, McpCode.SESSION_NOT_FOUND)


MCP = Dialect(
    re.compile(r"/mcp/?$"),
    _body,
    codes_of(MCP_ERRORS, McpCode.METHOD_NOT_ALLOWED),
    unauthorized(
        _body, McpCode.UNAUTHORIZED, "send a key as `Authorization: Bearer …`", "this key is not good, or not any more"
    ),
)
