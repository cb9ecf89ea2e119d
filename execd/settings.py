"""Every option of the service, in one place.

Each field is an environment variable (`EXECD_` and the name in capitals) and an option of `execd serve`; the README's
table and `--help` are made from, or tested against, the descriptions here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024

Network = Literal["none", "proxy", "full"]
PythonKernel = Literal["lean", "stock"]


def _default_data_dir() -> Path:
    if base := os.environ.get("XDG_DATA_HOME"):
        return Path(base, "execd")
    try:
        return Path.home() / ".local" / "share" / "execd"
    except RuntimeError:  # a user without a name and without HOME, as containers have
        return Path("/var/lib/execd")


class Settings(BaseSettings):
    """What an operator can choose. Times are seconds and sizes are bytes unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="EXECD_", env_ignore_empty=True, extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback wants a token.")
    port: int = Field(44772, ge=0, le=65535, description="Port to listen on; 0 takes a free one and prints it.")
    access_token: str | None = Field(
        None,
        min_length=1,
        description="Token that X-EXECD-ACCESS-TOKEN must carry. Unset on loopback: none is wanted; "
        "unset elsewhere: one is made and printed.",
    )
    allowed_hosts: list[str] = Field(
        [],
        description="Host names, besides loopback's own, that requests may be addressed to while no token is set "
        "(JSON list).",
    )
    allowed_origins: list[str] = Field(
        [], description='Origins of web pages that may call the API, such as "https://app.example" (JSON list).'
    )

    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="Folder for the database, the workspace and the folders of sandboxes; one service at a time.",
    )
    database_url: str | None = Field(
        None,
        description="Database of executions, their journals, sandboxes and keys, such as "
        "postgresql://user:password@host/name, which several services may share. Unset: SQLite, in the data folder.",
    )
    workspace: Path | None = Field(
        None,
        description="Folder of the machine that is the workspace of the sandbox `default`, and stays; a sandbox has it "
        "at /workspace, or with landlock and process at its own path. Root's service gives it to that sandbox's user. "
        "Default: workspace/ in the data folder.",
    )
    kernels_dir: Path | None = Field(None, description="Folder of kernels, one folder a language. Default: our own.")
    kernel_python: Path = Field(
        Path(sys.executable), description="Python interpreter, with ipykernel, that Python kernels run in."
    )
    python_kernel: PythonKernel = Field(
        "lean",
        description="Python kernel: lean, ipykernel with an output path of execd's own, which loses nothing and is "
        "faster; or stock, ipykernel as it is, which starts slowly and may lose output.",
    )
    kernel_env: list[str] = Field(
        ["LANG", "LC_*", "TZ", "PATH", "HOME", "USER", "TERM", "TMPDIR"],
        description="Names of the service's environment variables that sandboxes get; a trailing * matches any rest "
        "(JSON list). Never a variable that starts with EXECD_. Behind walls PATH, HOME, USER, LOGNAME and TMPDIR are "
        "the sandbox's own.",
    )

    envs: Path | None = Field(
        None,
        description="With process: the file of variables for everything that is started later in the sandbox "
        "`default`; its grammar is OpenSandbox's. Default: envs in the data folder. Behind walls every sandbox has one "
        "of its own, ~/.execd-envs inside; EXECD_ENVS says there where it is.",
    )

    isolation: Literal["auto", "bwrap", "landlock", "process"] = Field(
        "auto",
        description="Walls of sandboxes: bwrap, landlock, or process, which are none; auto takes the stronger of the "
        "first two that the machine allows, and refuses to serve where there is neither (`execd doctor` says more).",
    )
    sandbox_memory: int = Field(0, ge=0, description="Memory of a sandbox, in bytes. 0: as much as there is.")
    sandbox_cpus: float = Field(0, ge=0, description="CPU cores of a sandbox. 0: as many as there are.")
    sandbox_processes: int = Field(4096, ge=0, description="Processes and threads of a sandbox. 0: any number.")
    sandbox_open_files: int = Field(65536, ge=0, description="Open files of each process of a sandbox. 0: any number.")
    sandbox_file_size: int = Field(0, ge=0, description="Size of each file of a sandbox, in bytes. 0: any.")
    sandbox_tmp_size: int = Field(
        1024 * MIB, ge=0, description="Bytes that /tmp and /dev/shm of a sandbox hold, each, in memory. 0: 256 MiB."
    )
    sandbox_workspace_size: int = Field(
        0, ge=0, description="Bytes that the workspace of a sandbox may take, but for that of default. 0: any number."
    )
    sandbox_workspace_memory: int = Field(
        0,
        ge=0,
        description="Keep a workspace in memory that may take no more bytes than this: then its size is a hard limit. "
        "Others are on the disk, and looked at from time to time. 0: all of them.",
    )

    network: Network = Field(
        "none",
        description="Network of a sandbox that asks for none in particular: none; proxy, which is HTTP and HTTPS to "
        "the hosts in EXECD_EGRESS_ALLOW; full, which is the internet, but never this machine or a private network.",
    )
    network_allowed: list[Network] = Field(
        [],
        description="What a sandbox may ask for besides EXECD_NETWORK and none (JSON list).",
    )
    egress_allow: list[str] = Field(
        [],
        description='Hosts that sandboxes with network proxy reach: "name", "*.name", "*", an IP address or a CIDR, '
        'each also with ":port"; without it 80 and 443. What is not public takes an address or a CIDR (JSON list).',
    )

    run_timeout: float = Field(86400, gt=0, description="Time limit of a run that asks for none.")
    run_timeout_max: float = Field(86400, gt=0, description="The longest time limit that a run may ask for.")
    interrupt_grace: float = Field(
        2.0, gt=0, description="How long each step of an interrupt may take before the next, harder one."
    )
    kernel_start_timeout: float = Field(60, gt=0, description="How long a kernel may take to come up.")
    warm_kernels: int = Field(
        1,
        ge=0,
        description="How many Python kernels wait in a sandbox for the next context, once it has had one. Each takes "
        "about 10 MB of the sandbox's memory and is counted as no context. 0: none.",
    )
    warden_patience: float = Field(
        60,
        gt=0,
        description="How long sandboxes and their processes live on after the service was killed, for the next service "
        "to find.",
    )
    on_sigterm: Literal["keep", "end"] = Field(
        "keep",
        description="What SIGTERM does besides ending the service: keep leaves sandboxes, kernels and commands running "
        "for EXECD_WARDEN_PATIENCE, for the next service to go on with; end ends them. Ctrl-C (SIGINT) always does.",
    )
    max_contexts: int = Field(100, ge=1, description="How many contexts may exist at once in a sandbox.")
    max_terminals: int = Field(100, ge=1, description="How many terminals may exist at once in a sandbox.")
    max_queue: int = Field(64, ge=1, description="How many runs may wait for one context.")
    context_idle_timeout: float = Field(
        0,
        ge=0,
        description="End the kernel of a context that was idle this long; its id stays, and its next run says that "
        "the variables are lost. 0: never.",
    )

    approval_timeout: float = Field(
        86400,
        ge=0,
        description="How long a run of an agent waits until somebody has approved, where its version names no time; "
        "then it is rejected. 0: for ever.",
    )
    execute_wait: float = Field(
        25,
        ge=0,
        description="How long the call that runs an agent waits for its end; then it answers how the run stands. "
        "Clients that give up earlier run it again. 0: for ever.",
    )

    max_sandboxes: int = Field(
        100, ge=1, description="How many sandboxes may exist at once; the one named default is not counted."
    )
    sandbox_timeout: float = Field(
        300, ge=0, description="How long a sandbox lives that asks for no time of its own. 0: for ever."
    )
    sandbox_timeout_max: float = Field(
        0, ge=0, description="The longest time that a sandbox may be given, from now on. 0: no bound."
    )
    sandbox_idle_timeout: float = Field(
        0, ge=0, description="End a sandbox that nobody has used for this long. 0: never."
    )
    thread_idle_timeout: float = Field(
        604800, ge=0, description="End a thread, with its files, that nobody has used for this long. 0: never."
    )
    max_programs: int = Field(
        20, ge=1, description="How many programs of a tenant may run at once over the API of Baponi."
    )
    volume_root: Path | None = Field(
        None,
        description="Folder below which the volumes of sandboxes must be; named ones are made in it for everybody to "
        "write, so nobody else should be let into it. Unset: there are no volumes.",
    )
    sandbox_images: dict[str, str] = Field(
        {},
        description="Which images sandboxes may name, as patterns (*, ?, [a-z]), and the profile that each stands for; "
        "the first that fits counts (JSON object). Empty: every image is accepted.",
    )

    output_budget: int = Field(
        256 * MIB, ge=4096, description="Bytes of stdout and stderr that a run's journal keeps, head and tail together."
    )
    output_tail: int = Field(MIB, ge=1024, description="Bytes of that budget that are kept for the end of the output.")
    rich_output_budget: int = Field(
        256 * MIB, ge=4096, description="Bytes of results and displays that a run's journal keeps, each whole."
    )
    keep_executions: int = Field(100_000, ge=1, description="How many ended executions of a tenant can be fetched.")
    keep_executions_age: float = Field(604800, gt=0, description="How long an ended execution can be fetched.")
    keep_executions_size: int = Field(
        4096 * MIB, ge=4096, description="Bytes of journals of ended executions that are kept of a tenant."
    )

    run_artifacts: int = Field(
        100, ge=0, description="How many artifacts a run may have; the rest is left out, with a notice. 0: none at all."
    )
    artifact_size: int = Field(
        64 * MIB, ge=0, description="Bytes of the largest file or output that becomes an artifact."
    )
    run_artifacts_size: int = Field(256 * MIB, ge=0, description="Bytes that the artifacts of a run have together.")
    run_artifacts_time: float = Field(
        2.0, gt=0, description="How long gathering the artifacts of a run may delay its end."
    )
    keep_artifacts_size: int = Field(
        4096 * MIB,
        ge=0,
        description="Bytes of artifacts that are kept of a tenant, the newest first; content that occurs twice counts "
        "once. None is kept longer than the execution that made it.",
    )

    quota_executions: int = Field(
        0,
        ge=0,
        description="How many executions of a tenant may be queued or running at once, unless a key says "
        "otherwise. 0: any number.",
    )
    quota_sandboxes: int = Field(0, ge=0, description="How many sandboxes a tenant may have. 0: any number.")
    quota_contexts: int = Field(
        0, ge=0, description="How many contexts and sessions a tenant may have, in all its sandboxes. 0: any number."
    )
    quota_stored_bytes: int = Field(
        0, ge=0, description="Bytes of journals and artifacts of a tenant; over them nothing new is run. 0: any number."
    )
    quota_cpu_seconds: int = Field(
        0, ge=0, description="CPU time that a tenant's executions may use in a day (UTC), in seconds. 0: any."
    )

    mcp_wait: float = Field(
        50,
        ge=0,
        description="How long a call of an MCP tool waits for the end of what it has started, where it asks for no "
        "time of its own; then it answers how that stands. Many clients give up after 60 s.",
    )
    mcp_output_size: int = Field(
        32768,
        ge=1024,
        description="Bytes of text in one answer of an MCP tool; beyond them the middle is left out, with a note of "
        "where it is.",
    )
    mcp_image_size: int = Field(
        MIB, ge=0, description="Bytes of images in one answer of an MCP tool; beyond them they are links to artifacts."
    )
    mcp_structured: bool = Field(
        True,
        description="Whether MCP tools answer with structured content besides. Some clients show a model nothing else "
        "then, and no images; ?structured=false in the URL does the same for one of them.",
    )
    mcp_sessions: int = Field(1000, ge=1, description="How many MCP sessions of a tenant may be open at once.")
    mcp_session_idle_timeout: float = Field(
        1800,
        gt=0,
        allow_inf_nan=False,
        description="End an MCP session that has had no request for this long; clients begin a new one. Contexts stay.",
    )
    webhook_allow_private: list[str] = Field(
        [],
        description="Addresses that are not public and that webhooks may be sent to all the same: an IP address or a "
        'CIDR, each also with ":port"; without it 80 and 443 (JSON list).',
    )
    webhook_allow_http: bool = Field(
        False,
        description="Whether webhooks may have http:// URLs besides https://: then anybody on the way reads them.",
    )
    webhook_timeout: float = Field(
        15, gt=0, description="How long one attempt to deliver to a webhook may take, from looking its name up on."
    )
    webhook_retry: float = Field(
        5,
        gt=0,
        description="How long after the first failed attempt the next one follows; each pause doubles, to an hour.",
    )
    webhook_give_up: float = Field(86400, ge=0, description="How long a delivery to a webhook is tried.")
    webhook_size: int = Field(
        MIB,
        ge=4096,
        description="Bytes of the largest body that a webhook is sent; a record that is larger is shortened.",
    )
    max_webhooks: int = Field(20, ge=0, description="How many webhooks a tenant may have.")

    max_body: int = Field(16 * MIB, ge=1024, description="The largest JSON body that is accepted.")
    ping_interval: float = Field(3.0, gt=0, description="Time between two ping events on a stream.")
    shutdown_grace: float = Field(
        5.0, ge=0, allow_inf_nan=False, description="How long open requests may take to end at shutdown."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="Log lines for people or for machines; auto: console on a terminal, json elsewhere."
    )

    @property
    def workspace_dir(self) -> Path:
        """The folder that contexts start in."""
        return self.workspace or self.data_dir / "workspace"
