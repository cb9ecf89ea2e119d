"""What the tools answer for programs: the structured content, whose JSON schemas are the tools' output schemas.

Some clients show a model nothing else where there is any, so what a model must know stands in `text` here, too.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Structured(BaseModel):
    """An answer. `text` is what the first block of the content says."""

    text: str = Field(description="What is shown to a model.")


class ErrorShown(BaseModel):
    """What was raised."""

    name: str
    value: str


class TableShown(BaseModel):
    """A table that was shown, as rows of values by column."""

    columns: list[str]
    rows: list[dict[str, Any]]
    rows_left_out: int = Field(0, description="How many more rows it has.")


class ImageShown(BaseModel):
    """An image that was shown."""

    mime_type: str
    width: int | None = None
    height: int | None = None
    artifact_id: str | None = Field(None, description="What it is kept as.")
    shown: bool = Field(description="Whether it is in the content; else it was too large.")


class ArtifactShown(BaseModel):
    """Something that was made and is kept by itself."""

    id: str
    name: str
    kind: str
    mime_type: str
    size_bytes: int
    uri: str = Field(description="For resources/read.")
    path: str | None = Field(None, description="Where it lay in the sandbox, if it was a file.")
    download_url: str | None = Field(None, description="Its own key, for an hour.")
    execution_id: str | None = None
    created_at: str | None = None


class ContextShown(BaseModel):
    """A context."""

    id: str
    name: str | None = None
    language: str
    state: str = Field(description="busy, idle, or dormant: without a kernel until its next run.")
    cwd: str
    waiting: int = Field(description="How many runs wait for their turn.")
    generation: int = Field(description="How many kernels it has had; variables live as long as one.")
    state_lost: str | None = Field(None, description="Why its next run begins without the variables of the last.")
    is_default: bool = Field(description="Whether it is the one that calls without a context share.")


class RunShown(Structured):
    """How a run of code, a command or a program stands."""

    execution_id: str
    sandbox: str
    status: str = Field(description="queued, running, succeeded, failed, cancelled, or another of execd's words.")
    reason: str | None = Field(None, description="Why it failed: error, timeout, oom, kernel_died and others.")
    finished: bool
    language: str
    context: str | None = Field(None, description="Id of the context.")
    context_name: str | None = None
    context_created: bool = Field(False, description="Whether the context was made for this run.")
    state_lost: str | None = Field(None, description="What became of earlier variables, if anything did.")
    execution_count: int | None = None
    exit_code: int | None = None
    duration_ms: int
    error: ErrorShown | None = None
    tables: list[TableShown] = Field(default_factory=list)
    images: list[ImageShown] = Field(default_factory=list)
    artifacts: list[ArtifactShown] = Field(default_factory=list)
    left_out_bytes: int = Field(0, description="Bytes of output that `text` does not show.")
    next_line: int | None = Field(None, description="With from_line: the first line that is not shown, if any is not.")
    output_uri: str = Field(description="All that was printed, for resources/read.")


class LinesShown(Structured):
    """Some of the lines that an execution has printed, or that a file has."""

    next_line: int | None = Field(None, description="The first line that is not shown; none: that was all.")


class ContextsShown(Structured):
    """Contexts."""

    contexts: list[ContextShown]


class InterruptShown(Structured):
    """What an interrupt has done."""

    execution_id: str | None = Field(None, description="What was stopped, if anything ran.")
    rung: str = Field(description="What it took: none, interrupt, nudge, interrupt_again or kill.")
    state_kept: bool = Field(description="Whether the context still has its variables.")


class FileShown(BaseModel):
    """A file, a folder or a symlink."""

    path: str
    type: str
    size: int
    modified_at: str


class FilesShown(Structured):
    """Files."""

    files: list[FileShown]
    more: bool = Field(False, description="Whether there are others.")


class FileRead(LinesShown):
    """What a file holds."""

    path: str
    mime_type: str
    size: int


class FileWritten(Structured):
    """A file that was written."""

    path: str
    size: int


class FileLink(Structured):
    """Where a file can be had."""

    path: str
    mime_type: str
    size: int
    uri: str = Field(description="For resources/read.")
    download_url: str | None = Field(None, description="Its own key, for an hour.")


class ArtifactsShown(Structured):
    """Artifacts."""

    artifacts: list[ArtifactShown]
    more: bool = Field(False, description="Whether there are others.")


class ProgramShown(Structured):
    """How a program ended, in Baponi's words."""

    trace_id: str
    success: bool
    stdout: str
    stderr: str
    exit_code: int
    error: str | None = None


class SignedShown(Structured):
    """A URL that is its own key, in Baponi's words; none where there is no HTTP."""

    url: str | None = None
    method: str = "GET"
    headers: list[dict[str, str]] = Field(default_factory=list)
    expires_at: str | None = None
