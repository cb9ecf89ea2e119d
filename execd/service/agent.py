"""Agents: code that is run by name, with an input that is checked. Values, and what follows from them; pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from execd.errors import InvalidRequest
from execd.isolation.plan import Limits
from execd.kernel.kernelspec import KernelSpec
from execd.kernel.request import ExecuteRequest
from execd.service.record import SandboxRequest
from execd.service.schema import encoded
from execd.service.template import check_language, filled

INPUT_VARIABLE = "EXECD_INPUT"
"""Where a shell finds the input, as JSON."""

AGENT_RUN = "agent_run"
"""Where a sandbox says in its `dialect` for which execution it was made."""

_LARGEST_VARIABLE = 100 * 1024


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """How a version of an agent is run. Its code is `code`, or what is in the file `entry` of the sandbox `sandbox_id`;
    without one, each run gets a sandbox of its own, to which alone `memory` (bytes) and `cpus` apply. The code of a
    `template` has places for the input. Times are seconds; None leaves them to the service."""

    language: str = "python"
    code: str = ""
    template: bool = False
    entry: str = ""
    sandbox_id: str = ""
    timeout: float | None = None
    memory: int | None = None
    cpus: float | None = None
    approval_required: bool = False
    checkpoint_name: str = "start"
    approval_timeout: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> AgentConfig:
        """What was stored as `as_json` has it."""
        known = {column.name for column in fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in known})

    @property
    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    def check(self, spec: KernelSpec) -> None:
        """Raise InvalidRequest for what cannot be run in this language."""
        if bool(self.code) == bool(self.entry):
            raise InvalidRequest("expected exactly one of code and entry", "config")
        if self.entry and not self.sandbox_id:
            raise InvalidRequest("expected the sandbox that the entry file is in", "config.sandbox_id")
        if self.template and self.entry:
            raise InvalidRequest("expected code: an entry file is run as it is", "config.template")
        if self.template:
            check_language(spec)
        if self.sandbox_id and (self.memory or self.cpus):
            raise InvalidRequest("memory and cpus are limits of a sandbox; this one has its own", "config.sandbox_id")

    def request(self, spec: KernelSpec, given: Mapping[str, Any]) -> ExecuteRequest:
        """What its interpreter is asked to run, with this input. Raises InvalidRequest where a shell cannot have it, or
        a template wants more."""
        own = filled(self.code, given, spec) if self.template else self.code
        if spec.engine != "bash":
            return ExecuteRequest(own or _running(self.entry), self.timeout, given=dict(given))
        text = encoded(given)
        if len(text) > _LARGEST_VARIABLE:
            raise InvalidRequest(f"expected at most {_LARGEST_VARIABLE} bytes for a shell, got {len(text)}", "input")
        code = own or f". {shlex.quote(self.entry)}"
        return ExecuteRequest(code, self.timeout, envs={INPUT_VARIABLE: text}, given=dict(given))

    def sandbox(self, agent_id: str, execution_id: str) -> SandboxRequest:
        """The sandbox that a run gets for itself. It is ended with the run, and not before."""
        limits = Limits(memory=self.memory, cpu=self.cpus)
        return SandboxRequest(
            timeout=0,
            idle_timeout=0,
            limits=limits,
            metadata={"agent_id": agent_id},
            dialect={AGENT_RUN: execution_id},
        )


def _running(entry: str) -> str:
    return f"import runpy; runpy.run_path({entry!r}, run_name='__main__'); del runpy"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an agent. What it is given must fit `input_schema`, a JSON Schema, where there is one."""

    id: str
    agent_id: str
    created_at: int
    version: str
    config: AgentConfig
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent, and the version that is run where none is named."""

    id: str
    tenant: str
    name: str
    kind: str
    created_at: int
    updated_at: int
    description: str = ""
    status: str = "active"
    labels: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    current: Version | None = None
