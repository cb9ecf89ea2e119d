"""The errors of OpenSandbox's lifecycle API: `{"code", "message"}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from execd.errors import (
    BodyTooLarge,
    Conflict,
    ExecdError,
    FileForbidden,
    InvalidRequest,
    LimitReached,
    NotFound,
    NotOffered,
    PortUnreachable,
    SandboxNotFound,
    ScopeMissing,
    ShuttingDown,
    StorageFull,
    WrongContentType,
)
from execd.wire.dialects import Dialect, codes_of
from execd.wire.errors import ErrorTable, Rendering, code_and_message


class OpenSandboxCode(StrEnum):
    """Every code that an error of this dialect can carry."""

    MISSING_API_KEY = "MISSING_API_KEY"
    INVALID_API_KEY = "INVALID_API_KEY"
    INVALID_REQUEST = "INVALID_REQUEST"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    SANDBOX_NOT_FOUND = "DOCKER::SANDBOX_NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    INVALID_STATE = "INVALID_STATE"
    LIMIT_REACHED = "LIMIT_REACHED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    STORAGE_FULL = "STORAGE_FULL"
    BAD_GATEWAY = "BAD_GATEWAY"
    RUNTIME_ERROR = "RUNTIME_ERROR"


_Code = OpenSandboxCode

OPENSANDBOX_ERRORS = ErrorTable(
    {
        ExecdError: Rendering(500, _Code.RUNTIME_ERROR),
        InvalidRequest: Rendering(400, _Code.INVALID_REQUEST),
        BodyTooLarge: Rendering(413, _Code.INVALID_REQUEST),
        WrongContentType: Rendering(415, _Code.INVALID_REQUEST),
        NotFound: Rendering(404, _Code.NOT_FOUND),
        # One that has expired is gone for the clients of this API like any other.
        SandboxNotFound: Rendering(404, _Code.SANDBOX_NOT_FOUND),
        Conflict: Rendering(409, _Code.INVALID_STATE),
        LimitReached: Rendering(429, _Code.LIMIT_REACHED),
        NotOffered: Rendering(501, _Code.NOT_SUPPORTED),
        FileForbidden: Rendering(403, _Code.FORBIDDEN),
        ScopeMissing: Rendering(403, _Code.FORBIDDEN),
        PortUnreachable: Rendering(502, _Code.BAD_GATEWAY),
        StorageFull: Rendering(507, _Code.STORAGE_FULL),
        ShuttingDown: Rendering(503, _Code.SERVICE_UNAVAILABLE),
    }
)


def _unauthorized(given: bool) -> Mapping[str, object]:
    if given:
        return {"code": _Code.INVALID_API_KEY, "message": "the API key is not this service's access token"}
    return {"code": _Code.MISSING_API_KEY, "message": "send the access token in the header OPEN-SANDBOX-API-KEY"}


OPENSANDBOX = Dialect(
    re.compile(r"/opensandbox(/|$)"),
    code_and_message,
    codes_of(OPENSANDBOX_ERRORS, _Code.METHOD_NOT_ALLOWED),
    _unauthorized,
)
