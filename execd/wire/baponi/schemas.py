"""The bodies of Baponi's API, in and out. Null stands for what is left out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StrictInt

from execd.wire.baponi import rules
from execd.wire.execd.schemas import Body

Language = Literal["python", "bash", "node", "ruby", "php", "deno", "bun"]
ThreadId = Annotated[str, AfterValidator(rules.thread_id)]
RelativePath = Annotated[str, AfterValidator(rules.relative_path)]


class BaponiExecute(Body):
    """POST /v1/sandbox/execute."""

    code: Annotated[str, AfterValidator(rules.code)] = Field(description="1 to 1048576 bytes of UTF-8.")
    language: Language | None = Field(None, description="Missing: python.")
    timeout: Annotated[StrictInt, Field(ge=1, le=rules.MOST_SECONDS)] | None = Field(
        None, description=f"Seconds. Missing: {rules.DEFAULT_SECONDS}."
    )
    thread_id: ThreadId | None = None
    metadata: Annotated[dict[str, str], AfterValidator(rules.metadata)] | None = None
    sub_paths: Annotated[list[str], AfterValidator(rules.sub_paths)] | None = None
    env_vars: Annotated[dict[str, str], AfterValidator(rules.env_vars)] | None = None
    webhook_url: Annotated[str, AfterValidator(rules.webhook_url)] | None = None


class BaponiResult(BaseModel):
    """How a program ended."""

    success: bool
    stdout: str
    stderr: str
    exit_code: int = Field(description="128 and the signal where one has ended it; -1 where it has never run.")
    error: str | None = Field(None, description="A word, where it was not the program that failed.")


class BaponiInline(BaponiResult):
    """The same, with the id of the run."""

    trace_id: str


class BaponiAccepted(BaseModel):
    """A run that goes on."""

    trace_id: str
    status: str


class BaponiExecution(BaseModel):
    """GET /v1/executions/{trace_id}."""

    trace_id: str
    status: str
    exit_code: int | None
    stdout: str | None
    stderr: str | None
    error: str | None
    duration_ms: int
    delivery_mode: str
    created_at: str
    completed_at: str | None
    webhook_url: str | None
    webhook_delivery_status: str | None


class BaponiPlace(Body):
    """Whose files are meant: those of a thread."""

    source: Literal["thread", "volume"]
    id: str


class BaponiList(BaponiPlace):
    """POST /v1/files/list."""

    path: RelativePath | None = Field(None, description="A folder; missing: all that the thread keeps.")


class BaponiFile(BaponiPlace):
    """A file of a thread."""

    path: RelativePath


class BaponiUpload(BaponiFile):
    """POST /v1/files/upload_url."""

    content_length: Annotated[StrictInt, Field(ge=0, le=10 * 2**30)]
    content_type: Annotated[str, Field(max_length=256, pattern=r"^[ -~]+$")] | None = None


class BaponiEntry(BaseModel):
    """A file or a folder. `path` is relative to what the thread keeps, whatever was listed."""

    name: str
    path: str
    size: int
    modified: str
    is_directory: bool


class BaponiFiles(BaseModel):
    """What is in a folder."""

    files: list[BaponiEntry]


class BaponiHeader(BaseModel):
    """A header to be sent along."""

    name: str
    value: str


class BaponiSigned(BaseModel):
    """A URL that is its own key."""

    url: str
    method: str
    headers: list[BaponiHeader]
    expires_at: str


class BaponiDeleted(BaseModel):
    """What was deleted."""

    deleted: bool
    path: str


class BaponiHealth(BaseModel):
    """Whether the service is up."""

    status: str


class BaponiReady(BaponiHealth):
    """Whether the service takes work, and what each part lacks for it; "ok" for nothing."""

    checks: dict[str, str]
