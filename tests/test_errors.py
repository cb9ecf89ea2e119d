"""The tree of errors: drawn where people read it, and rendered by every dialect."""

from __future__ import annotations

import importlib
import pkgutil
import re
from enum import StrEnum
from types import ModuleType

import pytest

import execd
from execd import errors
from execd.errors import ExecdError
from execd.wire.errors import ErrorTable, Rendering
from execd.wire.execd.errors import EXECD_ERRORS

EXPECTED = {
    "ExecdError": (500, "RUNTIME_ERROR"),
    "InvalidRequest": (400, "INVALID_REQUEST_BODY"),
    "MissingQuery": (400, "MISSING_QUERY"),
    "BodyTooLarge": (413, "INVALID_REQUEST_BODY"),
    "CodeTooLarge": (413, "INVALID_REQUEST_BODY"),
    "WrongContentType": (415, "INVALID_REQUEST_BODY"),
    "InvalidFields": (400, "INVALID_REQUEST_BODY"),
    "InvalidFrame": (400, "INVALID_FRAME"),
    "InvalidPort": (400, "INVALID_REQUEST_BODY"),
    "InvalidUpload": (400, "INVALID_FILE"),
    "MetadataMissing": (400, "INVALID_FILE_METADATA"),
    "ContentMissing": (400, "INVALID_FILE_CONTENT"),
    "NotFound": (404, "NOT_FOUND"),
    "FileNotFound": (404, "FILE_NOT_FOUND"),
    "ContextNotFound": (404, "CONTEXT_NOT_FOUND"),
    "ExecutionNotFound": (404, "EXECUTION_NOT_FOUND"),
    "CommandNotFound": (404, "INVALID_REQUEST_BODY"),
    "AgentNotFound": (404, "NOT_FOUND"),
    "VersionNotFound": (404, "NOT_FOUND"),
    "ApprovalNotFound": (404, "NOT_FOUND"),
    "WebhookNotFound": (404, "NOT_FOUND"),
    "AlreadyDecided": (409, "CONFLICT"),
    "NotAwaitingApproval": (409, "CONFLICT"),
    "ArtifactNotFound": (404, "NOT_FOUND"),
    "SessionNotFound": (404, "CONTEXT_NOT_FOUND"),
    "ProcessNotFound": (404, "NOT_FOUND"),
    "ThreadNotFound": (404, "NOT_FOUND"),
    "ThreadBusy": (409, "CONFLICT"),
    "TooManyPrograms": (429, "LIMIT_REACHED"),
    "LinkInvalid": (404, "NOT_FOUND"),
    "UploadNotFound": (404, "NOT_FOUND"),
    "SandboxNotFound": (404, "SANDBOX_NOT_FOUND"),
    "SandboxExpired": (410, "SANDBOX_NOT_FOUND"),
    "TerminalNotFound": (404, "CONTEXT_NOT_FOUND"),
    "TerminalGone": (410, "SESSION_GONE"),
    "UnknownLanguage": (500, "RUNTIME_ERROR"),
    "Conflict": (409, "CONFLICT"),
    "NoInputWanted": (409, "CONFLICT"),
    "InputClosed": (409, "CONFLICT"),
    "UploadConflict": (409, "CONFLICT"),
    "SandboxNotReady": (409, "CONFLICT"),
    "NotOffered": (501, "NOT_SUPPORTED"),
    "FreezeUnavailable": (501, "NOT_SUPPORTED"),
    "EnvsUnavailable": (501, "NOT_SUPPORTED"),
    "PackageMissing": (501, "NOT_SUPPORTED"),
    "TerminalInUse": (409, "ALREADY_CONNECTED"),
    "TerminalTakenOver": (409, "TAKEN_OVER"),
    "InputRefused": (409, "STDIN_WRITE_FAILED"),
    "FileFailed": (500, "RUNTIME_ERROR"),
    "NotAFile": (400, "INVALID_FILE"),
    "NotADirectory": (400, "INVALID_FILE"),
    "PathUnusable": (400, "INVALID_FILE"),
    "FileForbidden": (403, "FORBIDDEN"),
    "DestinationExists": (500, "RUNTIME_ERROR"),
    "RangeUnsatisfiable": (416, "UNKNOWN"),
    "IdentityRefused": (403, "FORBIDDEN"),
    "UserNotInside": (403, "FORBIDDEN"),
    "IsolationUnavailable": (503, "SERVICE_UNAVAILABLE"),
    "TooManyWebhooks": (429, "LIMIT_REACHED"),
    "TooManyWatches": (429, "LIMIT_REACHED"),
    "NoWatchLeft": (429, "LIMIT_REACHED"),
    "NotRunning": (409, "CONFLICT"),
    "LimitReached": (429, "LIMIT_REACHED"),
    "QueueFull": (429, "LIMIT_REACHED"),
    "TooManyContexts": (429, "LIMIT_REACHED"),
    "QuotaExceeded": (429, "LIMIT_REACHED"),
    "ScopeMissing": (403, "FORBIDDEN"),
    "TooManySandboxes": (429, "LIMIT_REACHED"),
    "TooManyTerminals": (429, "LIMIT_REACHED"),
    "TooFewDescriptors": (429, "LIMIT_REACHED"),
    "KernelFailed": (500, "RUNTIME_ERROR"),
    "KernelStartFailed": (500, "RUNTIME_ERROR"),
    "WorkingFolderUnusable": (500, "RUNTIME_ERROR"),
    "CommandFailed": (500, "RUNTIME_ERROR"),
    "CommandTimedOut": (500, "RUNTIME_ERROR"),
    "SandboxFailed": (500, "RUNTIME_ERROR"),
    "TerminalStartFailed": (500, "START_FAILED"),
    "PortUnreachable": (502, "BAD_GATEWAY"),
    "StorageFull": (507, "STORAGE_FULL"),
    "FileDoesNotFit": (507, "STORAGE_FULL"),
    "StoreUnusable": (507, "STORAGE_FULL"),
    "CannotServe": (500, "RUNTIME_ERROR"),
    "FolderInUse": (500, "RUNTIME_ERROR"),
    "ShuttingDown": (503, "SERVICE_UNAVAILABLE"),
}
# What the other APIs make of the same errors, of each class and those below it that have nothing of their own.
OTHER_APIS = {
    "OPENSANDBOX_ERRORS": {
        "ExecdError": (500, "RUNTIME_ERROR"),
        "InvalidRequest": (400, "INVALID_REQUEST"),
        "BodyTooLarge": (413, "INVALID_REQUEST"),
        "WrongContentType": (415, "INVALID_REQUEST"),
        "NotFound": (404, "NOT_FOUND"),
        "SandboxNotFound": (404, "DOCKER::SANDBOX_NOT_FOUND"),
        "Conflict": (409, "INVALID_STATE"),
        "FileForbidden": (403, "FORBIDDEN"),
        "LimitReached": (429, "LIMIT_REACHED"),
        "ScopeMissing": (403, "FORBIDDEN"),
        "NotOffered": (501, "NOT_SUPPORTED"),
        "PortUnreachable": (502, "BAD_GATEWAY"),
        "StorageFull": (507, "STORAGE_FULL"),
        "ShuttingDown": (503, "SERVICE_UNAVAILABLE"),
    },
}
OTHER_APIS["SANDBOX_ERRORS"] = {
    "ExecdError": (500, "internal_error"),
    "InvalidRequest": (400, "invalid_request"),
    "InvalidFields": (400, "invalid_fields"),
    "BodyTooLarge": (413, "invalid_request"),
    "WrongContentType": (415, "invalid_request"),
    "NotFound": (404, "not_found"),
    "SandboxNotFound": (404, "sandbox_not_found"),
    "SandboxExpired": (410, "sandbox_not_found"),
    "Conflict": (409, "transition_conflict"),
    "SandboxNotReady": (409, "sandbox_not_ready"),
    "UnknownLanguage": (400, "invalid_request"),
    "KernelFailed": (502, "exec_failed"),
    "WorkingFolderUnusable": (400, "invalid_request"),
    "CommandFailed": (502, "exec_failed"),
    "CommandTimedOut": (504, "exec_timeout"),
    "FileFailed": (400, "file_error"),
    "FileNotFound": (404, "not_found"),
    "FileForbidden": (403, "forbidden"),
    "RangeUnsatisfiable": (416, "file_error"),
    "UploadConflict": (409, "file_upload_error"),
    "StorageFull": (507, "file_error"),
    "LimitReached": (429, "rate_limit_exceeded"),
    "QuotaExceeded": (429, "QUOTA_EXCEEDED"),
    "ScopeMissing": (403, "forbidden"),
    "TooManySandboxes": (503, "capacity_exceeded"),
    "NotOffered": (501, "not_implemented"),
    "ShuttingDown": (503, "feature_unavailable"),
}
OTHER_APIS["MACHINE_ERRORS"] = OTHER_APIS["SANDBOX_ERRORS"] | {
    "SandboxNotFound": (404, "machine_not_found"),
    "SandboxExpired": (410, "machine_not_found"),
    "SandboxNotReady": (409, "machine_not_ready"),
}
OTHER_APIS["BAPONI_ERRORS"] = {
    "ExecdError": (500, "internal_error"),
    "InvalidRequest": (400, "validation_error"),
    "UnknownLanguage": (400, "validation_error"),
    "BodyTooLarge": (413, "payload_too_large"),
    "NotFound": (404, "not_found"),
    "Conflict": (409, "conflict"),
    "FileFailed": (400, "validation_error"),
    "FileNotFound": (404, "not_found"),
    "FileForbidden": (403, "forbidden"),
    "IdentityRefused": (403, "forbidden"),
    "ScopeMissing": (403, "forbidden"),
    "LimitReached": (429, "rate_limited"),
    "NotOffered": (503, "service_unavailable"),
    "SandboxFailed": (503, "service_unavailable"),
    "StorageFull": (503, "service_unavailable"),
    "ShuttingDown": (503, "service_unavailable"),
    "CommandTimedOut": (504, "gateway_timeout"),
}
OTHER_APIS["PROMPTRAILS_ERRORS"] = {
    "ExecdError": (500, "internal_error"),
    "InvalidRequest": (400, "bad_request"),
    "UnknownLanguage": (400, "bad_request"),
    "NotFound": (404, "not_found"),
    "Conflict": (400, "conflict"),
    "FileForbidden": (403, "forbidden"),
    "IdentityRefused": (403, "forbidden"),
    "ScopeMissing": (403, "forbidden"),
    "LimitReached": (429, "rate_limited"),
    "NotOffered": (400, "not_supported"),
    "PortUnreachable": (502, "bad_gateway"),
    "StorageFull": (507, "storage_full"),
    "ShuttingDown": (503, "unavailable"),
}
OTHER_APIS["MCP_ERRORS"] = {
    "ExecdError": (500, "internal_error"),
    "InvalidRequest": (400, "invalid_request"),
    "UnknownLanguage": (400, "invalid_request"),
    "BodyTooLarge": (413, "payload_too_large"),
    "WrongContentType": (415, "invalid_request"),
    "NotFound": (404, "not_found"),
    "Conflict": (409, "conflict"),
    "FileForbidden": (403, "forbidden"),
    "IdentityRefused": (403, "forbidden"),
    "ScopeMissing": (403, "forbidden"),
    "LimitReached": (429, "limit_reached"),
    "NotOffered": (501, "not_installed"),
    "StorageFull": (507, "storage_full"),
    "ShuttingDown": (503, "unavailable"),
}
# What each table of the execd API says in another way than the first.
OVERRIDDEN = {
    "DELETE_FILE_ERRORS": {"NotAFile": (500, "RUNTIME_ERROR")},
    "EXECD_ERRORS": {},
    "RUN_ERRORS": {
        "ContextNotFound": (500, "RUNTIME_ERROR"),
        "ExecutionNotFound": (500, "RUNTIME_ERROR"),
        "SessionNotFound": (500, "RUNTIME_ERROR"),
        "NotRunning": (500, "RUNTIME_ERROR"),
    },
    "LOG_ERRORS": {"CommandNotFound": (400, "INVALID_REQUEST_BODY")},
}


def family(root: type[ExecdError]) -> list[type[ExecdError]]:
    """A class and everything below it, in the order of the source."""
    return [root, *(found for child in root.__subclasses__() for found in family(child))]


def every_module() -> list[ModuleType]:
    """The whole package, imported."""
    names = [found.name for found in pkgutil.walk_packages(execd.__path__, "execd.")]
    return [importlib.import_module(name) for name in names if not name.endswith("__main__")]


def every_error() -> list[type[ExecdError]]:
    """The whole tree, with what any module of the package may have added."""
    every_module()
    return family(ExecdError)


def every_table() -> dict[str, ErrorTable]:
    """The tables of all dialects, by their names."""
    return {
        name: found
        for module in every_module()
        for name, found in vars(module).items()
        if isinstance(found, ErrorTable)
    }


TABLES = every_table()


def depth(error: type[ExecdError]) -> int:
    """How far below the root a class stands."""
    return error.__mro__.index(ExecdError)


def drawn() -> list[tuple[str, int]]:
    """Names and depths in the module docstring's drawing."""
    lines = re.findall(r"^    ((?:[│├└─ ]{4})*)(\w+)", errors.__doc__ or "", re.MULTILINE)
    return [(name, len(branch) // 4) for branch, name in lines]


def test_the_docstring_draws_the_whole_tree() -> None:
    assert drawn() == [(error.__name__, depth(error)) for error in every_error()]


def test_every_error_says_what_it_means() -> None:
    assert [error.__name__ for error in every_error() if not error.__doc__] == []


@pytest.mark.parametrize("name", sorted({*TABLES, *OVERRIDDEN, *OTHER_APIS}))
def test_the_rendering_of_every_error(name: str) -> None:
    rendered = {error: TABLES[name].rendering(error) for error in every_error()}
    found = {error.__name__: (rendering.status, str(rendering.code)) for error, rendering in rendered.items()}
    if name in OTHER_APIS:
        expected = {error.__name__: inherited(error, OTHER_APIS[name]) for error in every_error()}
    else:
        expected = EXPECTED | OVERRIDDEN[name]
    assert found == expected


def inherited(error: type[ExecdError], listed: dict[str, tuple[int, str]]) -> tuple[int, str]:
    """What is listed for a class, or for the nearest one above it."""
    return next(listed[ancestor.__name__] for ancestor in error.__mro__ if ancestor.__name__ in listed)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_rendering_is_an_error_with_a_known_code(table: ErrorTable) -> None:
    # The codes of an API are one enumeration.
    assert len({type(rendering.code) for rendering in table.renderings.values()}) == 1
    for rendering in table.renderings.values():
        assert isinstance(rendering.code, StrEnum)
        assert 400 <= rendering.status < 600


def test_a_table_without_the_root_has_no_answer() -> None:
    with pytest.raises(LookupError, match="Conflict"):
        ErrorTable({errors.NotFound: Rendering(404, "x")}).rendering(errors.Conflict)


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_the_answer_carries_code_and_message(name: str) -> None:
    table = TABLES[name]
    answer = table.response(errors.UnknownLanguage("cobol", ["bash", "python"]))
    assert answer.status_code == 500
    assert (
        bytes(answer.body)
        == b'{"code":"RUNTIME_ERROR","message":"unknown language \'cobol\'; this service has: bash, python"}'
    )
    assert "retry-after" not in answer.headers


def test_a_limit_says_when_to_try_again() -> None:
    answer = EXECD_ERRORS.response(errors.QueueFull("ctx_1", 3))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.InvalidRequest("expected a string"), "expected a string"),
        (errors.InvalidRequest("expected a string", "code"), "code: expected a string"),
        (errors.MissingQuery("id", "an id"), "id: missing query parameter, expected an id"),
        (errors.WrongContentType(""), "Content-Type: expected application/json, got none"),
        (errors.WrongContentType("text/plain"), "Content-Type: expected application/json, got 'text/plain'"),
        (errors.UnknownLanguage("cobol", []), "unknown language 'cobol'; this service has: none"),
        (errors.KernelStartFailed("python", "no room"), "the python kernel did not start: no room"),
    ],
)
def test_what_errors_say(error: ExecdError, said: str) -> None:
    assert str(error) == said
