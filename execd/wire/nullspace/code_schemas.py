"""The bodies of Nullspace's API that are about code, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from execd.wire.execd.schemas import DELIVERY_STATUS, Body, PathText, Text
from execd.wire.nullspace.schemas import Name

Seconds = Annotated[int, Field(gt=0, le=10**12)]
RunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class ExecuteBody(Body):
    """POST …/code/execute."""

    code: Text = Field(description="The code to run.")
    language: Name = Field("python3", description="Of the default context; not looked at beside a context_id.")
    context_id: Text = Field("", description="The context to run in. None: the default one of the language.")
    envs: dict[Text, Text] = Field({}, description="Environment variables of this run alone.")
    timeout: Seconds | None = Field(None, description="Time limit in seconds; the service's settings bound it.")
    webhook_url: Text | None = Field(None, description="Where what becomes of it is to be told, as a webhook.")


class NewCodeContext(Body):
    """POST …/code/contexts."""

    language: Name = Field("python3", description="python3, or python, is Python.")
    cwd: PathText | None = Field(None, description="An absolute path of a folder that exists.")


class NewRun(Body):
    """POST …/code/runs."""

    code: Text = Field(description="The code to run.")
    context_id: Name = Field(description="The context to run in.")
    envs: dict[Text, Text] = Field({}, description="Environment variables of this run alone.")
    timeout: Seconds | None = Field(None, description="Time limit in seconds; the service's settings bound it.")
    webhook_url: Text | None = Field(None, description="Where what becomes of it is to be told, as a webhook.")


class CodeContextBody(BaseModel):
    """A context."""

    id: str
    language: str
    cwd: str


class ContextStatus(BaseModel):
    """What was done to a context."""

    status: Literal["restarted", "interrupted"]


class ResultBody(BaseModel):
    """The cell's value, or something that it displayed."""

    text: str | None = None
    html: str | None = None
    markdown: str | None = None
    svg: str | None = None
    png: str | None = Field(None, description="In base64.")
    jpeg: str | None = Field(None, description="In base64.")
    pdf: str | None = Field(None, description="In base64.")
    latex: str | None = None
    json_: Any = Field(None, alias="json")
    javascript: str | None = None
    data: dict[str, Any] = Field(description="The whole bundle, by MIME type.")
    chart: dict[str, Any] | None = None
    is_main_result: bool


class LogsBody(BaseModel):
    """What the code printed: pieces as they came, with their line ends."""

    stdout: list[str]
    stderr: list[str]


class CodeErrorBody(BaseModel):
    """What the code raised, or how else it was ended."""

    name: str
    value: str
    traceback: str


class CodeExecutionBody(BaseModel):
    """What a run has brought forth."""

    results: list[ResultBody]
    artifacts: list[dict[str, Any]]
    logs: LogsBody
    error: CodeErrorBody | None = None
    execution_count: int | None = None


class RunBody(BaseModel):
    """A run. Both generations' ids are in it."""

    id: str
    sandbox_id: str
    machine_id: str
    context_id: str
    status: RunStatus
    timeout_secs: int
    created_at: str
    expires_at: str = Field(description="Until when its record is kept, if it ends now.")
    started_at: str | None = None
    completed_at: str | None = None
    cancel_requested_at: str | None = None
    execution: CodeExecutionBody | None = Field(None, description="There when it has ended; not in lists.")
    failure_reason: str | None = Field(None, description="The reason, a colon and a sentence.")
    webhook_url: str | None = None
    webhook_delivery_status: str | None = Field(None, description=DELIVERY_STATUS)


class RunList(BaseModel):
    """A page of runs, the newest first, without what they have brought forth."""

    items: list[RunBody]
    next_cursor: str | None
