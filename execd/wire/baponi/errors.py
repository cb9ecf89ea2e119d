"""The errors of Baponi's API: `{"error", "message"}`, two strings, whatever has gone wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from execd.errors import (
    BodyTooLarge,
    CommandTimedOut,
    Conflict,
    ExecdError,
    FileFailed,
    FileForbidden,
    FileNotFound,
    IdentityRefused,
    InvalidRequest,
    LimitReached,
    NotFound,
    NotOffered,
    SandboxFailed,
    ScopeMissing,
    ShuttingDown,
    StorageFull,
    UnknownLanguage,
)
from execd.wire.dialects import Dialect, codes_of, unauthorized
from execd.wire.errors import ErrorTable, Rendering


class BaponiCode(StrEnum):
    """Every code that an error of this dialect can carry."""

    VALIDATION_ERROR = "validation_error"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    RATE_LIMITED = "rate_limited"
    INTERNAL_ERROR = "internal_error"
    SERVICE_UNAVAILABLE = "service_unavailable"
    GATEWAY_TIMEOUT = "gateway_timeout"


_Code = BaponiCode


def _body(rendering: Rendering, message: str) -> Mapping[str, object]:
    return {"error": rendering.code, "message": message}


class BaponiError(BaseModel):
    """An error of this dialect."""

    error: BaponiCode
    message: str = Field(description="What is wrong, for people.")
    max_size_bytes: int | None = Field(None, description="With payload_too_large: how much is taken.")


class _Table(ErrorTable):
    """Says how much is taken where there was too much."""

    def response(self, error: ExecdError) -> Response:
        answer = ErrorTable.response(self, error)
        if not isinstance(error, BodyTooLarge):
            return answer
        body = {**json.loads(bytes(answer.body)), "max_size_bytes": error.limit}
        return JSONResponse(body, answer.status_code)


# What clients try again by themselves, 429 and 503, is what has not run anything.
BAPONI_ERRORS = _Table(
    {
        ExecdError: Rendering(500, _Code.INTERNAL_ERROR),
        InvalidRequest: Rendering(400, _Code.VALIDATION_ERROR),
        UnknownLanguage: Rendering(400, _Code.VALIDATION_ERROR),
        BodyTooLarge: Rendering(413, _Code.PAYLOAD_TOO_LARGE),
        NotFound: Rendering(404, _Code.NOT_FOUND),
        Conflict: Rendering(409, _Code.CONFLICT),
        FileFailed: Rendering(400, _Code.VALIDATION_ERROR),
        FileNotFound: Rendering(404, _Code.NOT_FOUND),
        FileForbidden: Rendering(403, _Code.FORBIDDEN),
        IdentityRefused: Rendering(403, _Code.FORBIDDEN),
        ScopeMissing: Rendering(403, _Code.FORBIDDEN),
        LimitReached: Rendering(429, _Code.RATE_LIMITED),
        NotOffered: Rendering(503, _Code.SERVICE_UNAVAILABLE),
        SandboxFailed: Rendering(503, _Code.SERVICE_UNAVAILABLE),
        StorageFull: Rendering(503, _Code.SERVICE_UNAVAILABLE),
        ShuttingDown: Rendering(503, _Code.SERVICE_UNAVAILABLE),
        CommandTimedOut: Rendering(504, _Code.GATEWAY_TIMEOUT),
    },
    _body,
    BaponiError,
)


BAPONI = Dialect(
    re.compile(r"/v1/(sandbox|executions)/|/v1/files(/|$)|/(health|ready)$"),
    _body,
    codes_of(BAPONI_ERRORS, _Code.METHOD_NOT_ALLOWED),
    unauthorized(_body, _Code.UNAUTHORIZED, "send the access token as a Bearer token"),
)
