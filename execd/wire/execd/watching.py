"""GET /files/watch: what changes in a folder, as a stream. An addition of ours to the execd API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from execd.errors import FileNotFound, InvalidRequest, MissingQuery, NotADirectory, NoWatchLeft, TooManyWatches
from execd.wire.execd.acting import Acting
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import sandbox_of
from execd.wire.streams import event_stream, framing_for


async def watch_files(request: Request) -> Response:
    """Stream what is created, modified and deleted in a folder."""
    folder = Acting(request).queried_path()
    recursive = _flag(request.query_params.get("recursive", ""))
    sandbox = sandbox_of(request)
    records = await sandbox.watches.start(folder, recursive)
    framing = framing_for(request.headers.get("user-agent", ""))
    settings = sandbox.settings
    return event_stream(records, framing, settings.ping_interval, {})


def _flag(given: str) -> bool:
    match given.lower():
        case "" | "0" | "false":
            return False
        case "1" | "true":
            return True
        case _:
            raise InvalidRequest(f"expected true or false, got {given[:40]!r}", "recursive")


OPERATIONS = (
    Operation(
        "GET",
        "/files/watch",
        watch_files,
        "Watch a folder",
        "files",
        EXECD_ERRORS,
        Answer("An init event, then what changes, until the client or the folder goes", media_type="text/event-stream"),
        parameters=(
            Parameter("path", "A folder.", required=True),
            Parameter("recursive", "Whether to watch the folders in it, too.", type="boolean"),
        ),
        errors=(InvalidRequest, MissingQuery, FileNotFound, NotADirectory, TooManyWatches, NoWatchLeft),
    ),
)
