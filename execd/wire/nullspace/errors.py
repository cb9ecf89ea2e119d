"""The errors of Nullspace's API: `{"error", "code", "request_id"}`. Its two generations differ in two codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, Field

from execd.errors import (
    BodyTooLarge,
    CommandFailed,
    CommandTimedOut,
    Conflict,
    ExecdError,
    FileFailed,
    FileForbidden,
    FileNotFound,
    InvalidFields,
    InvalidRequest,
    KernelFailed,
    LimitReached,
    NotFound,
    NotOffered,
    QuotaExceeded,
    RangeUnsatisfiable,
    SandboxExpired,
    SandboxNotFound,
    SandboxNotReady,
    ScopeMissing,
    ShuttingDown,
    StorageFull,
    TooManySandboxes,
    UnknownLanguage,
    UploadConflict,
    WorkingFolderUnusable,
    WrongContentType,
)
from execd.wire.dialects import Dialect, codes_of, unauthorized
from execd.wire.errors import ErrorTable, Rendering
from execd.wire.request_log import current_request_id


class NullspaceCode(StrEnum):
    """Every code that an error of this dialect can carry."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    INVALID_REQUEST = "invalid_request"
    INVALID_FIELDS = "invalid_fields"
    NOT_FOUND = "not_found"
    SANDBOX_NOT_FOUND = "sandbox_not_found"
    MACHINE_NOT_FOUND = "machine_not_found"
    SANDBOX_NOT_READY = "sandbox_not_ready"
    MACHINE_NOT_READY = "machine_not_ready"
    TRANSITION_CONFLICT = "transition_conflict"
    EXEC_FAILED = "exec_failed"
    EXEC_TIMEOUT = "exec_timeout"
    FILE_ERROR = "file_error"
    FILE_UPLOAD_ERROR = "file_upload_error"
    CAPACITY_EXCEEDED = "capacity_exceeded"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    NOT_IMPLEMENTED = "not_implemented"
    FEATURE_UNAVAILABLE = "feature_unavailable"
    INTERNAL_ERROR = "internal_error"


_Code = NullspaceCode


def _body(rendering: Rendering, message: str) -> Mapping[str, object]:
    found: dict[str, object] = {"error": message, "code": rendering.code}
    if (request_id := current_request_id()) is not None:
        found["request_id"] = request_id
    return found


class NullspaceError(BaseModel):
    """An error of this dialect."""

    error: str = Field(description="What is wrong, for people.")
    code: NullspaceCode
    request_id: str | None = None


SANDBOX_ERRORS = ErrorTable(
    {
        ExecdError: Rendering(500, _Code.INTERNAL_ERROR),
        InvalidRequest: Rendering(400, _Code.INVALID_REQUEST),
        InvalidFields: Rendering(400, _Code.INVALID_FIELDS),
        BodyTooLarge: Rendering(413, _Code.INVALID_REQUEST),
        WrongContentType: Rendering(415, _Code.INVALID_REQUEST),
        NotFound: Rendering(404, _Code.NOT_FOUND),
        SandboxNotFound: Rendering(404, _Code.SANDBOX_NOT_FOUND),
        SandboxExpired: Rendering(410, _Code.SANDBOX_NOT_FOUND),
        SandboxNotReady: Rendering(409, _Code.SANDBOX_NOT_READY),
        Conflict: Rendering(409, _Code.TRANSITION_CONFLICT),
        CommandFailed: Rendering(502, _Code.EXEC_FAILED),
        CommandTimedOut: Rendering(504, _Code.EXEC_TIMEOUT),
        FileFailed: Rendering(400, _Code.FILE_ERROR),
        FileNotFound: Rendering(404, _Code.NOT_FOUND),
        FileForbidden: Rendering(403, _Code.FORBIDDEN),
        RangeUnsatisfiable: Rendering(416, _Code.FILE_ERROR),
        UploadConflict: Rendering(409, _Code.FILE_UPLOAD_ERROR),
        StorageFull: Rendering(507, _Code.FILE_ERROR),
        TooManySandboxes: Rendering(503, _Code.CAPACITY_EXCEEDED),
        LimitReached: Rendering(429, _Code.RATE_LIMIT_EXCEEDED),
        QuotaExceeded: Rendering(429, _Code.QUOTA_EXCEEDED),
        ScopeMissing: Rendering(403, _Code.FORBIDDEN),
        UnknownLanguage: Rendering(400, _Code.INVALID_REQUEST),
        KernelFailed: Rendering(502, _Code.EXEC_FAILED),
        WorkingFolderUnusable: Rendering(400, _Code.INVALID_REQUEST),
        NotOffered: Rendering(501, _Code.NOT_IMPLEMENTED),
        ShuttingDown: Rendering(503, _Code.FEATURE_UNAVAILABLE),
    },
    _body,
    NullspaceError,
)
MACHINE_ERRORS = SANDBOX_ERRORS.overridden(
    {
        SandboxNotFound: Rendering(404, _Code.MACHINE_NOT_FOUND),
        SandboxExpired: Rendering(410, _Code.MACHINE_NOT_FOUND),
        SandboxNotReady: Rendering(409, _Code.MACHINE_NOT_READY),
    }
)


NULLSPACE = Dialect(
    # What is below /proxy/ is execd, or a program's own.
    re.compile(r"/v1/(sandboxes|machines)(?!/[^/]+/proxy/)(/|$)"),
    _body,
    codes_of(SANDBOX_ERRORS, _Code.INVALID_REQUEST),
    unauthorized(_body, _Code.UNAUTHORIZED, "send the access token as a Bearer token"),
)
