"""What the tools say of themselves, made from how the service is configured: what persists, and what holds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from execd.isolation.plan import Mode
from execd.service.capabilities import Capabilities
from execd.service.program import HOME
from execd.settings import Settings

_UNITS = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
_TIMES = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))

_WALLS = {
    Mode.BWRAP: "in a sandbox of its own (Linux namespaces)",
    Mode.LANDLOCK: "in a sandbox (Landlock)",
    Mode.PROCESS: "with no walls around it, as the service's own user",
}
_NETWORKS = {
    "none": "There is no network.",
    "proxy": "The network is HTTP and HTTPS to a few hosts, by a proxy that the environment names.",
    "full": "The network is the public internet.",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to be told."""

    settings: Settings
    capabilities: Capabilities
    languages: Sequence[str]

    @property
    def workspace(self) -> str:
        """The path of the default sandbox's workspace, as code sees it."""
        return "/workspace" if self.capabilities.mode is Mode.BWRAP else str(self.settings.workspace_dir)

    @property
    def open_world(self) -> bool:
        """Whether code reaches anything outside."""
        return self.capabilities.network != "none" or self.capabilities.mode is Mode.PROCESS


def size(count: int) -> str:
    """Bytes, for people."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.4g} {name}"
    return f"{count} bytes"


def time(seconds: float) -> str:
    """Seconds, for people."""
    for unit, name in _TIMES:
        if seconds >= unit and (seconds % unit == 0 or unit == 1):
            count = seconds / unit
            return f"{count:.4g} {name}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"


def instructions(facts: Facts) -> str:
    """What a model should know before it calls anything."""
    said = "execd runs code and keeps what it makes. run_code is a notebook written cell by cell: variables stay."
    return "\n".join((said, _persistence(facts), _limits(facts), _waiting(facts)))


def run_code(facts: Facts) -> str:
    """Of run_code."""
    where, languages = _WALLS[facts.capabilities.mode], ", ".join(facts.languages)
    said = (
        f"Run code in a stateful kernel {where}; languages: {languages}.\n"
        "Answers with what it printed, its last expression's value, figures as images, tables as text and as rows, its "
        "error with the traceback, and links to the files that it wrote in the workspace. In Python, top-level await "
        "works, and a figure is shown without being saved."
    )
    return "\n".join((said, _persistence(facts), _limits(facts), _waiting(facts)))


def run_command(facts: Facts) -> str:
    """Of run_command."""
    said = (
        f"Run a line in bash, in a process of its own, {_WALLS[facts.capabilities.mode]}, starting in "
        f"{facts.workspace}. Answers with its output and exit code. Nothing but files stays: no variables, no folder "
        "that it went to."
    )
    return "\n".join((said, _limits(facts), _waiting(facts)))


def sandbox_execute(facts: Facts) -> str:
    """Of sandbox_execute."""
    idle = facts.settings.thread_idle_timeout
    kept = f"until nobody has used the thread for {time(idle)}" if idle else "for good"
    return (
        "Run a program once, in a new process, and answer with its output and exit code. No variables persist, ever: "
        f"run_code does that. Without thread_id nothing persists; with one, the files in {HOME} do, {kept}. "
        f"{_NETWORKS[facts.capabilities.network]}"
    )


def _persistence(facts: Facts) -> str:
    settings = facts.settings
    idle = settings.context_idle_timeout
    ends = "until the context is deleted or restarted, or its kernel dies"
    ends += f", or it is idle for {time(idle)}" if idle else ""
    kept = "and through restarts of the service" if settings.on_sigterm == "keep" else "but not when the service ends"
    return (
        f"What persists: variables, imports and functions of a context, {ends}; {kept}. When they are lost, the next "
        f"answer says so. Files in {facts.workspace} stay for good, those elsewhere may not. Executions and artifacts "
        f"can be had for {time(settings.keep_executions_age)}. Calls without `context` share one context a language."
    )


def _limits(facts: Facts) -> str:
    settings = facts.settings
    memory = f" Memory: {size(settings.sandbox_memory)}." if settings.sandbox_memory else ""
    cpus = f" CPU cores: {settings.sandbox_cpus:g}." if settings.sandbox_cpus else ""
    network = "" if facts.capabilities.mode is Mode.PROCESS else f" {_NETWORKS[facts.capabilities.network]}"
    stopped = f"A run is stopped after {time(settings.run_timeout)}, if it is given no other timeout."
    return f"{stopped}{network}{memory}{cpus}"


def _waiting(facts: Facts) -> str:
    settings = facts.settings
    return (
        f"A call waits {time(settings.mcp_wait)} for the end, unless `wait` says otherwise; what takes longer goes on, "
        "and get_execution tells the rest. Cancelling the call stops it. More than "
        f"{size(settings.mcp_output_size)} of text is shortened in the middle, and the answer says how to see the rest."
    )
