"""The execd dialect's errors: `{"code", "message"}`, with the codes that its clients know and a few of our own."""

from __future__ import annotations

from enum import StrEnum

from execd.errors import (
    BodyTooLarge,
    CommandNotFound,
    Conflict,
    ContentMissing,
    ContextNotFound,
    ExecdError,
    ExecutionNotFound,
    FileFailed,
    FileForbidden,
    FileNotFound,
    IdentityRefused,
    InputRefused,
    InvalidFrame,
    InvalidRequest,
    InvalidUpload,
    IsolationUnavailable,
    LimitReached,
    MetadataMissing,
    MissingQuery,
    NotADirectory,
    NotAFile,
    NotFound,
    NotOffered,
    NotRunning,
    PathUnusable,
    PortUnreachable,
    RangeUnsatisfiable,
    SandboxExpired,
    SandboxNotFound,
    ScopeMissing,
    SessionNotFound,
    ShuttingDown,
    StorageFull,
    TerminalGone,
    TerminalInUse,
    TerminalNotFound,
    TerminalStartFailed,
    TerminalTakenOver,
    WrongContentType,
)
from execd.wire.errors import ErrorTable, Rendering


class Code(StrEnum):
    """Every code that an error of this dialect can carry."""

    INVALID_REQUEST_BODY = "INVALID_REQUEST_BODY"
    MISSING_QUERY = "MISSING_QUERY"
    RUNTIME_ERROR = "RUNTIME_ERROR"
    INVALID_FILE = "INVALID_FILE"
    INVALID_FILE_CONTENT = "INVALID_FILE_CONTENT"
    INVALID_FILE_METADATA = "INVALID_FILE_METADATA"
    FILE_NOT_FOUND = "FILE_NOT_FOUND"
    CONTEXT_NOT_FOUND = "CONTEXT_NOT_FOUND"
    EXECUTION_NOT_FOUND = "EXECUTION_NOT_FOUND"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    FORBIDDEN = "FORBIDDEN"
    CONFLICT = "CONFLICT"
    LIMIT_REACHED = "LIMIT_REACHED"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    STORAGE_FULL = "STORAGE_FULL"
    BAD_GATEWAY = "BAD_GATEWAY"
    ALREADY_CONNECTED = "ALREADY_CONNECTED"
    TAKEN_OVER = "TAKEN_OVER"
    SESSION_GONE = "SESSION_GONE"
    START_FAILED = "START_FAILED"
    STDIN_WRITE_FAILED = "STDIN_WRITE_FAILED"
    INVALID_FRAME = "INVALID_FRAME"
    SANDBOX_NOT_FOUND = "SANDBOX_NOT_FOUND"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    UNKNOWN = "UNKNOWN"


EXECD_ERRORS = ErrorTable(
    {
        ExecdError: Rendering(500, Code.RUNTIME_ERROR),
        InvalidRequest: Rendering(400, Code.INVALID_REQUEST_BODY),
        MissingQuery: Rendering(400, Code.MISSING_QUERY),
        BodyTooLarge: Rendering(413, Code.INVALID_REQUEST_BODY),
        WrongContentType: Rendering(415, Code.INVALID_REQUEST_BODY),
        NotFound: Rendering(404, Code.NOT_FOUND),
        ContextNotFound: Rendering(404, Code.CONTEXT_NOT_FOUND),
        ExecutionNotFound: Rendering(404, Code.EXECUTION_NOT_FOUND),
        # Clients of this API expect these two codes for what is not there.
        CommandNotFound: Rendering(404, Code.INVALID_REQUEST_BODY),
        SessionNotFound: Rendering(404, Code.CONTEXT_NOT_FOUND),
        InvalidUpload: Rendering(400, Code.INVALID_FILE),
        MetadataMissing: Rendering(400, Code.INVALID_FILE_METADATA),
        ContentMissing: Rendering(400, Code.INVALID_FILE_CONTENT),
        FileNotFound: Rendering(404, Code.FILE_NOT_FOUND),
        FileFailed: Rendering(500, Code.RUNTIME_ERROR),
        NotAFile: Rendering(400, Code.INVALID_FILE),
        NotADirectory: Rendering(400, Code.INVALID_FILE),
        PathUnusable: Rendering(400, Code.INVALID_FILE),
        FileForbidden: Rendering(403, Code.FORBIDDEN),
        RangeUnsatisfiable: Rendering(416, Code.UNKNOWN),
        IdentityRefused: Rendering(403, Code.FORBIDDEN),
        ScopeMissing: Rendering(403, Code.FORBIDDEN),
        IsolationUnavailable: Rendering(503, Code.SERVICE_UNAVAILABLE),
        SandboxNotFound: Rendering(404, Code.SANDBOX_NOT_FOUND),
        SandboxExpired: Rendering(410, Code.SANDBOX_NOT_FOUND),
        NotOffered: Rendering(501, Code.NOT_SUPPORTED),
        TerminalNotFound: Rendering(404, Code.CONTEXT_NOT_FOUND),
        Conflict: Rendering(409, Code.CONFLICT),
        LimitReached: Rendering(429, Code.LIMIT_REACHED),
        StorageFull: Rendering(507, Code.STORAGE_FULL),
        ShuttingDown: Rendering(503, Code.SERVICE_UNAVAILABLE),
        PortUnreachable: Rendering(502, Code.BAD_GATEWAY),
        # On a terminal's WebSocket these are frames; only the first is an answer to a request as well.
        TerminalInUse: Rendering(409, Code.ALREADY_CONNECTED),
        TerminalTakenOver: Rendering(409, Code.TAKEN_OVER),
        TerminalGone: Rendering(410, Code.SESSION_GONE),
        TerminalStartFailed: Rendering(500, Code.START_FAILED),
        InputRefused: Rendering(409, Code.STDIN_WRITE_FAILED),
        InvalidFrame: Rendering(400, Code.INVALID_FRAME),
    }
)

# Running code in, or interrupting, what is not there: clients of this API expect 500 here, and 404 elsewhere.
RUN_ERRORS = EXECD_ERRORS.overridden(
    {
        ContextNotFound: Rendering(500, Code.RUNTIME_ERROR),
        ExecutionNotFound: Rendering(500, Code.RUNTIME_ERROR),
        SessionNotFound: Rendering(500, Code.RUNTIME_ERROR),
        NotRunning: Rendering(500, Code.RUNTIME_ERROR),
    }
)

# Deleting by the route for files what is a folder: clients of this API expect 500.
DELETE_FILE_ERRORS = EXECD_ERRORS.overridden({NotAFile: Rendering(500, Code.RUNTIME_ERROR)})

# The logs of what is not there, or has none, are a bad request here.
LOG_ERRORS = EXECD_ERRORS.overridden({CommandNotFound: Rendering(400, Code.INVALID_REQUEST_BODY)})
