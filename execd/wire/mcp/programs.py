"""sandbox_execute and files_download: Baponi's tools, by Baponi's names and rules."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from execd.errors import FileNotFound, InvalidRequest
from execd.identifiers import new_id
from execd.service.downloads import OpenFile
from execd.service.execution import Origin
from execd.service.files import info_of
from execd.service.journal import now_ms
from execd.service.links import LIFETIME
from execd.service.media import HEAD_BYTES, media_of
from execd.service.outputs import Outputs
from execd.wire.baponi.outcome import Outcome, detail_of
from execd.wire.baponi.rules import DEFAULT_SECONDS, Mode
from execd.wire.baponi.running import DIALECT, wanted
from execd.wire.baponi.schemas import BaponiExecute, BaponiFile, Language, ThreadId
from execd.wire.body import invalid
from execd.wire.mcp.call import Call
from execd.wire.mcp.cutting import cut, plain
from execd.wire.mcp.following import wait_for
from execd.wire.mcp.reply import Link, Reply
from execd.wire.mcp.structured import ProgramShown, SignedShown
from execd.wire.mcp.telling import HeadAndTail, told_of
from execd.wire.mcp.uris import file_uri
from execd.wire.times import rfc3339

Model = TypeVar("Model", bound=BaseModel)

# The end of what is stopped may be as far away as its last grace.
_MARGIN = 60


class SandboxExecute(BaseModel):
    """sandbox_execute."""

    code: str = Field(description="The program.")
    language: Language = Field("python", description="Its language.")
    thread_id: ThreadId | None = Field(
        None, description="A name of your choosing. Programs with the same one find each other's files in /home/baponi."
    )
    timeout: int = Field(DEFAULT_SECONDS, ge=1, le=3600, description="Seconds after which it is ended.")
    metadata: dict[str, str] | None = Field(None, description="What it is to be remembered by.")
    env_vars: dict[str, str] | None = Field(None, description="Further environment variables, names in capitals.")


class FilesDownload(BaseModel):
    """files_download."""

    source: str = Field("thread", description="Whose file: thread.")
    id: str = Field(description="The thread_id.")
    path: str = Field(description="Relative to /home/baponi.")


async def sandbox_execute(call: Call, asked: SandboxExecute) -> Reply:
    """Run a program once."""
    body = _checked(BaponiExecute, asked)
    program = wanted(body)
    detail = detail_of(Mode.INLINE, body.thread_id, body.metadata or {})
    origin = Origin(new_id("trc"), None, program.language, dialect=DIALECT, detail=detail)
    execution = await call.programs.start(program, origin)
    await wait_for(call, None, execution, program.timeout + _MARGIN)
    told = await told_of(execution, call.settings.mcp_output_size)
    return _reply(execution.id, Outcome.of(execution), told, call.settings.mcp_output_size)


async def files_download(call: Call, asked: FilesDownload) -> Reply:
    """Where a thread's file can be had."""
    body = _checked(BaponiFile, asked)
    if body.source != "thread":
        raise FileNotFound(f"volume {body.id[:128]}")
    if not body.path:
        raise InvalidRequest("expected the path of a file", "path")
    sandbox = await call.programs.thread(body.id)
    path = PurePath(sandbox.place.variables["HOME"], body.path)
    info = await sandbox.files.run(partial(info_of, sandbox.files.root, path))
    opened = await sandbox.files.run(partial(OpenFile.open, sandbox.files.root, path))
    try:
        head = await sandbox.files.run(partial(opened.read, 0, HEAD_BYTES))
    finally:
        opened.close()
    link = Link(file_uri(sandbox.id, str(path)), path.name, media_of(path.name, head).mime_type, info.size)
    url = call.file_url(sandbox.id, str(path))
    expires = None if url is None else rfc3339(now_ms() + LIFETIME * 1000)
    return Reply(SignedShown(text=url or link.uri, url=url, expires_at=expires), links=(link,))


def _checked(model: type[Model], asked: BaseModel) -> Model:
    # By the rules that hold over HTTP.
    try:
        return model.model_validate(asked.model_dump())
    except ValidationError as error:
        raise invalid(error) from None


def _reply(trace_id: str, outcome: Outcome, told: Outputs, most: int) -> Reply:
    out, err = _bounded(told.stdout, most // 2), _bounded(told.stderr, most // 2)
    exit_code = -1 if outcome.exit_code is None else outcome.exit_code
    parts = [
        out,
        f"[stderr]\n{err}" if err else "",
        f"[exit code: {exit_code}]" if exit_code else "",
        f"[error] {outcome.error}" if outcome.error else "",
    ]
    text = "\n".join(part.removesuffix("\n") for part in parts if part) or "(no output)"
    success = outcome.status == "success"
    shown = ProgramShown(
        text=text,
        trace_id=trace_id,
        success=success,
        stdout=out,
        stderr=err,
        exit_code=exit_code,
        error=outcome.error,
    )
    return Reply(shown, failed=not success)


def _bounded(pieces: list[str], most: int) -> str:
    missing = (pieces.missing_bytes, pieces.missing_lines) if isinstance(pieces, HeadAndTail) else (0, 0)
    return cut(plain("".join(pieces)), most, *missing).text
