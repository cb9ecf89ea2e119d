"""Isolated sessions inside the sandbox: this service says that it has none, in the form that clients ask for."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import execd
from execd.errors import IsolationUnavailable
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.execd.file_schemas import Capabilities
from execd.wire.operation import Answer, Operation

_PREFIX = "/v1/isolated"
_WHY = "this service does not divide a sandbox into isolated sessions"
_LAYERS = ("cap_drop", "seccomp", "landlock", "ebpf")

_SESSION = "/session/{session_id}"
_ROUTES = (
    ("POST", "/session", "create_isolated_session"),
    ("GET", "/sessions", "list_isolated_sessions"),
    ("GET", _SESSION, "get_isolated_session"),
    ("DELETE", _SESSION, "delete_isolated_session"),
    ("POST", f"{_SESSION}/run", "run_in_isolated_session"),
    ("GET", f"{_SESSION}/runs/{{run_id}}", "get_isolated_run_status"),
    ("GET", f"{_SESSION}/runs/{{run_id}}/logs", "get_isolated_run_logs"),
    ("GET", f"{_SESSION}/diff", "isolated_session_diff"),
    ("POST", f"{_SESSION}/commit", "isolated_session_commit"),
    ("GET", f"{_SESSION}/files/info", "isolated_get_files_info"),
    ("DELETE", f"{_SESSION}/files", "isolated_remove_files"),
    ("POST", f"{_SESSION}/files/permissions", "isolated_chmod_files"),
    ("POST", f"{_SESSION}/files/mv", "isolated_rename_files"),
    ("GET", f"{_SESSION}/files/search", "isolated_search_files"),
    ("POST", f"{_SESSION}/files/replace", "isolated_replace_content"),
    ("POST", f"{_SESSION}/files/upload", "isolated_upload_file"),
    ("GET", f"{_SESSION}/files/download", "isolated_download_file"),
    ("GET", f"{_SESSION}/directories/list", "isolated_list_directory"),
    ("POST", f"{_SESSION}/directories", "isolated_make_dirs"),
    ("DELETE", f"{_SESSION}/directories", "isolated_remove_dirs"),
)


async def isolated_capabilities(_request: Request) -> Response:
    """What can be isolated: nothing."""
    layer = {"state": "disabled", "message": _WHY}
    hardening = {"init_mode": "none", "signal_shield": False, **dict.fromkeys(_LAYERS, layer)}
    return JSONResponse(Capabilities(version=execd.__version__, message=_WHY, hardening=hardening).model_dump())


async def isolation_unavailable(_request: Request) -> Response:
    """Refuse what needs an isolated session."""
    raise IsolationUnavailable(_WHY)


OPERATIONS = (
    Operation(
        "GET",
        f"{_PREFIX}/capabilities",
        isolated_capabilities,
        "Whether there are isolated sessions",
        "isolated",
        EXECD_ERRORS,
        Answer("That there are none", model=Capabilities),
    ),
    *(
        Operation(
            method,
            _PREFIX + path,
            isolation_unavailable,
            "Refused: there are no isolated sessions",
            "isolated",
            EXECD_ERRORS,
            Answer("Never"),
            errors=(IsolationUnavailable,),
            operation_id=name,
        )
        for method, path, name in _ROUTES
    ),
)
