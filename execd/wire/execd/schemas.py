"""The bodies of the execd dialect, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from execd.wire.execd.errors import Code

DELIVERY_STATUS = "What has become of telling its end to the webhook_url: pending, delivered or failed."

_LONGEST_MS = 10**15


def _encodable(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("expected valid Unicode, without lone surrogates") from None
    return text


def _path(text: str) -> str:
    if "\0" in text:
        raise ValueError("expected a path without NUL bytes")
    return _encodable(text)


def _command(text: str) -> str:
    if "\0" in text:
        raise ValueError("expected no NUL bytes")
    return _encodable(text)


Text = Annotated[str, AfterValidator(_encodable)]
PathText = Annotated[str, AfterValidator(_path)]
# Clamped, for an integer of JSON may be larger than any float.
Milliseconds = Annotated[int, AfterValidator(lambda given: min(given, _LONGEST_MS))]
CommandText = Annotated[str, AfterValidator(_command)]


class Body(BaseModel):
    """A request's body: unknown fields are ignored, and a field that is null is as good as none."""

    model_config = ConfigDict(extra="ignore", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


class ContextRef(Body):
    """The context that code shall run in: by id, or the language's default one."""

    id: Text = Field("", description="Id of a context. Empty: the default context of the language.")
    language: Text = Field(
        "",
        description="Language of the default context; not looked at when an id is given. `command` or nothing: the "
        "code is a shell command; `background-command`: one that runs in the background.",
    )
    cwd: PathText | None = Field(
        None, description="Where the default context starts, when this run makes it; where a command runs."
    )


class RunCode(Body):
    """POST /code."""

    code: Text = Field(min_length=1, description="The code to run.")
    context: ContextRef = Field(default_factory=lambda: ContextRef(id="", language="", cwd=None))
    timeout: Milliseconds | None = Field(None, gt=0, description="Time limit in ms; the service's settings bound it.")
    allow_stdin: bool = Field(False, description="Whether input() may ask; if not, it fails at once.")
    envs: dict[Text, Text] = Field({}, description="Environment variables of this run alone.")
    webhook_url: Text | None = Field(None, description="Where what becomes of it is to be told, as a webhook.")


class NewContext(Body):
    """POST /code/context."""

    language: Text = Field(min_length=1, description="Language of the new context.")
    cwd: PathText | None = Field(None, description="Folder that its kernel starts in; made when missing.")


class RunCommand(Body):
    """POST /command."""

    command: Text | None = Field(None, description="A shell line. Either this or argv.")
    argv: list[Text] | None = Field(None, description="A program and its arguments, taken literally.")
    cwd: PathText | None = Field(None, description="A folder that exists; $NAME, ${NAME} and ~ are expanded.")
    background: bool = Field(False, description="Answer at once and let it run.")
    timeout: Milliseconds | None = Field(None, ge=0, description="Time limit in ms; 0 or absent: none.")
    uid: int | None = Field(None, ge=0, lt=2**32 - 1, description="Run as this user.")
    gid: int | None = Field(None, ge=0, lt=2**32 - 1, description="Run as this group; needs uid.")
    envs: dict[Text, Text] = Field(default_factory=dict, description="Variables besides those of the sandbox.")
    webhook_url: Text | None = Field(None, description="Where what becomes of it is to be told, as a webhook.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (not self.command) == (self.argv is None):
            raise ValueError("expected exactly one of command and argv, not empty")
        if self.gid is not None and self.uid is None:
            raise ValueError("expected uid together with gid")
        if self.argv is not None and not (self.argv and self.argv[0]):
            raise ValueError("expected argv to begin with a program's name")
        texts = [self.command or "", *(self.argv or ()), *self.envs, *self.envs.values()]
        if any("\0" in text for text in texts):
            raise ValueError("expected no NUL bytes in command, argv and envs")
        if any(not name or "=" in name for name in self.envs):
            raise ValueError("expected names without = in envs")
        return self


class NewSession(Body):
    """POST /session; the body may be missing."""

    cwd: PathText | None = Field(None, description="Folder that the shell starts in; made when missing.")


class RunInSession(Body):
    """POST /session/{id}/run."""

    command: Text = Field(min_length=1, description="What to run in the session's shell.")
    cwd: PathText | None = Field(None, description="Go there first; it must exist.")
    timeout: Milliseconds | None = Field(None, ge=0, description="Time limit in ms; 0 or absent: the service's.")
    envs: dict[Text, Text] = Field({}, description="Environment variables of this run alone.")


class SessionInfo(BaseModel):
    """A new session."""

    session_id: str


class CommandStatus(BaseModel):
    """GET /command/status/{id}. Times are RFC 3339."""

    id: str
    content: str
    running: bool
    exit_code: int | None = None
    error: str | None = None
    started_at: str
    finished_at: str | None = None
    webhook_url: str | None = None
    webhook_delivery_status: str | None = Field(None, description=DELIVERY_STATUS)


class InputLine(Body):
    """POST /code/executions/{id}/input."""

    value: Text = Field(description="The line that input() returns, without its line end.")


class ContextInfo(BaseModel):
    """A context."""

    id: str
    name: str | None = Field(None, description="What it was called when it was made over MCP.")
    language: str
    cwd: str | None = None
    state: str = Field(description="busy, idle, or dormant: without a kernel until its next run")
    generation: int = Field(description="How many kernels it has had; its variables live as long as one.")
    waiting: int = Field(description="How many runs wait for their turn.")
    cpu_seconds: float | None = Field(None, description="CPU time of its kernel and all below it; of one context only.")
    memory_bytes: int | None = Field(None, description="Memory of its kernel and all below it; of one context only.")
    created_at: int = Field(description="Unix ms.")


class ExecutionInfo(BaseModel):
    """An execution's record. Times in Unix ms, durations in ms."""

    id: str
    context_id: str | None = None
    language: str
    status: str
    reason: str | None = None
    position: int | None = Field(None, description="Runs ahead in the queue, while it waits.")
    code: str
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    duration_ms: int
    execution_count: int | None = None
    exit_code: int | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    error: dict[str, Any] | None = None
    interruption: dict[str, str] | None = None
    awaiting_input: bool = False
    webhook_url: str | None = None
    webhook_delivery_status: str | None = Field(None, description=DELIVERY_STATUS)
    last_seq: int = Field(description="The seq of the journal's last event.")


class ListedExecution(ExecutionInfo):
    """An execution, and the sandbox that it ran in."""

    sandbox_id: str


class ExecutionPage(BaseModel):
    """Some executions."""

    items: list[ListedExecution]
    next_cursor: str | None = Field(description="Where the next page begins; null on the last.")


class NewTerminal(Body):
    """POST /pty."""

    cwd: PathText | None = Field(None, description="Folder that the shell starts in; made when missing.")
    command: CommandText = Field("", description="A command for `bash -c`. Empty: an interactive bash.")


class TerminalId(BaseModel):
    """A new terminal."""

    session_id: str


class TerminalInfo(BaseModel):
    """A terminal."""

    session_id: str
    running: bool = Field(description="Whether its shell runs: from the first attachment until the shell ends.")
    output_offset: int = Field(description="Bytes of output so far; a client that has them all attaches from here.")
    attached: bool = Field(description="Whether a client is attached.")
    mode: str | None = Field(None, description="pty or pipe, once a shell was started.")
    exit_code: int | None = Field(None, description="How the last shell ended.")
    created_at: int = Field(description="Unix ms.")


class ErrorBody(BaseModel):
    """Every error of this dialect."""

    code: Code
    message: str
