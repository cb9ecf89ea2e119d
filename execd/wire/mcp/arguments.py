"""What the tools take. Their JSON schemas are what a model reads, so descriptions say what to write, not what it is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_WAIT = 3600
MOST_ITEMS = 1000

Sandbox = Annotated[
    str | None, Field(description="Id of the sandbox; leave it out for your own, which is always there.")
]
Wait = Annotated[
    float | None,
    Field(
        ge=0,
        le=MOST_WAIT,
        description="Seconds that this call waits for the end; then it answers how it stands, and it goes on.",
    ),
]
Timeout = Annotated[float | None, Field(gt=0, description="Seconds after which it is stopped.")]
Path = Annotated[str, Field(min_length=1, description="Absolute, or relative to the workspace.")]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w][\w .:@/-]*$")]


class Arguments(BaseModel):
    """The arguments of a tool. One that is not known is a mistake that a model can mend, so it is refused."""

    model_config = ConfigDict(extra="forbid")


class InSandbox(Arguments):
    """Those of a tool that works in a sandbox."""

    sandbox: Sandbox = None


class RunCode(InSandbox):
    """run_code."""

    code: str = Field(description="The code.")
    language: str | None = Field(None, description="Leave it out for that of the context, or python.")
    context: Name | None = Field(
        None,
        description="Id or name of the context whose state the code is to see; one that there is not is made under "
        "this name. Leave it out for the one that all calls without one share.",
    )
    timeout: Timeout = None
    wait: Wait = None


class GetExecution(Arguments):
    """get_execution."""

    execution_id: str | None = Field(None, description="Leave it out for the newest of your own sandbox.")
    wait: Wait = None
    from_line: int | None = Field(
        None, ge=1, description="Show what was printed from this line on (the first is 1), instead of the result."
    )


class CreateContext(InSandbox):
    """create_context."""

    language: str = Field("python", description="Its language.")
    name: Name | None = Field(None, description="What to call it, for later calls.")
    cwd: str | None = Field(None, description="The folder that it works in; made where there is none.")


class ListContexts(InSandbox):
    """list_contexts."""

    language: str | None = Field(None, description="Only those of this language.")


class OneContext(InSandbox):
    """delete_context and restart_context."""

    context: Name = Field(description="Id or name of the context.")


class Interrupt(InSandbox):
    """interrupt."""

    target: Name | None = Field(
        None, description="Id of an execution, or id or name of a context. Leave it out for the shared python context."
    )


class RunCommand(InSandbox):
    """run_command."""

    command: str = Field(min_length=1, description="A line for bash.")
    cwd: str | None = Field(None, description="The folder that it starts in. Leave it out for the workspace.")
    env: dict[str, str] = Field(default_factory=dict, description="Further environment variables.")
    timeout: Timeout = None
    wait: Wait = None


class ReadFile(InSandbox):
    """read_file."""

    path: Path
    from_line: int = Field(1, ge=1, description="The first line wanted.")
    lines: int | None = Field(None, ge=1, description="How many lines are wanted.")


class WriteFile(InSandbox):
    """write_file."""

    path: Path
    content: str = Field(description="All of the file's new content.")
    encoding: Literal["utf-8", "base64"] = Field("utf-8", description="base64 for what is not text.")


class ListFiles(InSandbox):
    """list_files."""

    path: str = Field(".", min_length=1, description="The folder; the workspace, if none is given.")
    depth: int = Field(1, ge=1, le=100, description="How many levels to show.")
    limit: int = Field(200, ge=1, le=MOST_ITEMS, description="How many entries at most.")


class SearchFiles(InSandbox):
    """search_files."""

    pattern: str = Field(description="What the file's name is to fit: *.csv, data_[0-9]*, {a,b}.py.")
    path: str = Field(".", min_length=1, description="The folder to search, with all below it.")
    limit: int = Field(200, ge=1, le=MOST_ITEMS, description="How many files at most.")


class DownloadFile(InSandbox):
    """download_file."""

    path: Path


class ListArtifacts(Arguments):
    """list_artifacts."""

    sandbox: str | None = Field(None, description="Only those of this sandbox.")
    context: str | None = Field(None, description="Only those of the context with this id.")
    execution_id: str | None = Field(None, description="Only those of this execution.")
    kind: Literal["image", "document", "html", "file"] | None = Field(None, description="Only those of this kind.")
    limit: int = Field(50, ge=1, le=MOST_ITEMS, description="How many at most, the newest first.")
