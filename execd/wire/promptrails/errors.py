"""The errors of PromptRails' API: `{"error": {"code", "message"}}`.

Its clients send again, three times, whatever is answered with a status above 404 but 429. So what would be 409, 413,
415, 422 or 501 elsewhere is 400 here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel

from execd.errors import (
    Conflict,
    ExecdError,
    FileForbidden,
    IdentityRefused,
    InvalidRequest,
    LimitReached,
    NotFound,
    NotOffered,
    PortUnreachable,
    ScopeMissing,
    ShuttingDown,
    StorageFull,
    UnknownLanguage,
)
from execd.wire.dialects import Dialect, codes_of, unauthorized
from execd.wire.errors import ErrorTable, Rendering


class PromptRailsCode(StrEnum):
    """Every code that an error of this dialect can carry."""

    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    NOT_SUPPORTED = "not_supported"
    STORAGE_FULL = "storage_full"
    BAD_GATEWAY = "bad_gateway"
    UNAVAILABLE = "unavailable"
    INTERNAL_ERROR = "internal_error"


_Code = PromptRailsCode


class PromptRailsErrorDetail(BaseModel):
    """What is wrong."""

    code: str
    message: str


class PromptRailsError(BaseModel):
    """The body of every error."""

    error: PromptRailsErrorDetail


def _body(rendering: Rendering, message: str) -> Mapping[str, object]:
    return {"error": {"code": rendering.code, "message": message}}


PROMPTRAILS_ERRORS = ErrorTable(
    {
        ExecdError: Rendering(500, _Code.INTERNAL_ERROR),
        InvalidRequest: Rendering(400, _Code.BAD_REQUEST),
        UnknownLanguage: Rendering(400, _Code.BAD_REQUEST),
        NotFound: Rendering(404, _Code.NOT_FOUND),
        Conflict: Rendering(400, _Code.CONFLICT),
        LimitReached: Rendering(429, _Code.RATE_LIMITED),
        NotOffered: Rendering(400, _Code.NOT_SUPPORTED),
        FileForbidden: Rendering(403, _Code.FORBIDDEN),
        IdentityRefused: Rendering(403, _Code.FORBIDDEN),
        ScopeMissing: Rendering(403, _Code.FORBIDDEN),
        PortUnreachable: Rendering(502, _Code.BAD_GATEWAY),
        StorageFull: Rendering(507, _Code.STORAGE_FULL),
        ShuttingDown: Rendering(503, _Code.UNAVAILABLE),
    },
    _body,
    PromptRailsError,
)


PROMPTRAILS = Dialect(
    re.compile(r"/api/v1/(agents|executions|approvals)(/|$)"),
    _body,
    codes_of(PROMPTRAILS_ERRORS, _Code.METHOD_NOT_ALLOWED),
    unauthorized(_body, _Code.UNAUTHORIZED, "send the access token in X-API-Key"),
)
