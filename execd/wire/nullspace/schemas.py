"""The bodies of Nullspace's API that are about sandboxes and commands, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from execd.wire.execd.schemas import Body, CommandText, PathText, Text

Name = Annotated[Text, StringConstraints(min_length=1)]
Milliseconds = Annotated[int, Field(gt=0, le=10**15)]

TimeoutAction = Literal["destroy", "hibernate", "pause"]


class LifecycleBody(Body):
    """What happens when the time is over, in other words."""

    on_timeout: Literal["destroy", "pause"] | None = None


class MountBody(Body):
    """A volume: a named one, seen at a path."""

    volume: Name | None = None
    volume_id: Name | None = None
    mount_path: PathText | None = None
    path: PathText | None = None
    read_only: bool = False
    subpath: PathText = ""


class NullspaceNewSandbox(Body):
    """POST /v1/sandboxes."""

    template: Name = "base"
    vcpus: int = Field(1, ge=1)
    memory_mb: int = Field(256, ge=1)
    disk_mb: int | None = Field(None, ge=512, le=131072)
    timeout_ms: Milliseconds | None = Field(None, description="Missing: as the service's settings say.")
    timeout_action: TimeoutAction | None = None
    auto_resume: bool = False
    envs: dict[Name, Text] = Field({})
    metadata: dict[str, Any] = Field({})
    internet_access: bool = True
    cwd: PathText | None = None
    desktop: Any = None
    network: dict[str, Any] | None = None
    volumes: list[MountBody] = Field([])
    lifecycle: LifecycleBody | None = None
    snapshot_id: Text | None = None
    warm_pool: dict[str, Any] | None = None
    inactivity_timeout_ms: Milliseconds | None = None
    auto_delete_after_ms: Milliseconds | None = None
    ephemeral: bool = False


class NewTimeout(Body):
    """POST /v1/sandboxes/{id}/timeout."""

    timeout_ms: Milliseconds
    timeout_action: TimeoutAction | None = None


class NewEgress(Body):
    """PATCH /v1/sandboxes/{id}/egress, and its answer."""

    egress: dict[str, Any]


class WantedPort(Body):
    """POST /v1/sandboxes/{id}/host."""

    port: int = Field(ge=1, le=65535)


class ExecBody(Body):
    """POST /v1/sandboxes/{id}/exec."""

    command: CommandText = Field(min_length=1)
    args: list[CommandText] = Field([])
    timeout_secs: int = Field(30, ge=1, le=10**9, description="How long the answer may take; not for background.")
    cwd: PathText | None = None
    envs: dict[Name, CommandText] = Field({})
    shell: bool = Field(False, description="Whether the command is a line for a shell.")
    background: bool = False


class StdinBody(Body):
    """POST /v1/sandboxes/{id}/processes/{pid}/stdin."""

    data: Text


class ConfigBody(BaseModel):
    """What was asked for."""

    vcpus: int
    memory_mb: int
    disk_mb: int | None = None


class NullspaceSandbox(BaseModel):
    """A sandbox, or machine."""

    id: str
    status: Literal["creating", "running", "paused", "destroyed", "error"]
    config: ConfigBody
    template: str
    created_at: str
    metadata: dict[str, Any]
    started_at: str | None = None
    timeout_ms: int | None = None
    timeout_at: str | None = None
    expires_at: str | None = None
    timeout_action: str | None = None
    cwd: str | None = None
    snapshot_id: str | None = None
    remaining_ms: int | None = None
    last_active_at: str | None = None
    inactivity_timeout_ms: int | None = None
    auto_delete_after_ms: int | None = None
    ephemeral: bool | None = None
    network: dict[str, str] | None = Field(None, description="`mode`: none, proxy or full.")
    workspace_copied_by: str | None = Field(None, description="Of a fork: reflink or copy.")


class TimeoutBody(BaseModel):
    """The time that a sandbox has."""

    timeout_ms: int | None = None
    timeout_action: str
    timeout_at: str | None = None
    remaining_ms: int | None = None


class DestroyedBody(BaseModel):
    """What was destroyed."""

    id: str
    status: str


class MetricsSample(BaseModel):
    """One reading."""

    timestamp: str
    cpu_percent: float
    cpu_count: int
    mem_used_bytes: int
    mem_total_bytes: int
    disk_used_bytes: int
    disk_total_bytes: int
    network_rx_bytes: int
    network_tx_bytes: int


class SnapshotBody(BaseModel):
    """A paused sandbox, for those who call that a snapshot; the other generation has machine_id."""

    id: str
    sandbox_id: str | None = None
    machine_id: str | None = None
    size_bytes: int
    created_at: str
    metadata: dict[str, Any]


class HostBodyOut(BaseModel):
    """Where a port is reached."""

    host: str
    url: str
    websocket_url: str


class ExecResult(BaseModel):
    """How a command ended; of one in the background only its pid."""

    exit_code: int | None = None
    stdout: str | None = None
    stderr: str | None = None
    pid: int | None = None


class ProcessBody(BaseModel):
    """A command that has a process, or had one."""

    pid: int
    command: str
    running: bool


class ProcessLogs(BaseModel):
    """What a command has printed so far."""

    stdout: str
    stderr: str
    output: str
    exit_code: int | None = None
