"""Agents, what they run, and what somebody has to approve of that: all that a service has for them."""

from __future__ import annotations

from dataclasses import dataclass

import anyio.abc

from execd.kernel.kernelspec import Kernelspecs
from execd.service.agent_run import Means
from execd.service.agent_runs import AgentRuns
from execd.service.agents import Agents
from execd.service.approvals import Approvals


@dataclass(frozen=True, slots=True)
class Agency:
    """The three of them, which share a store. Made by `found`."""

    agents: Agents
    approvals: Approvals
    runs: AgentRuns

    @classmethod
    def found(cls, kernelspecs: Kernelspecs, means: Means, tasks: anyio.abc.TaskGroup) -> Agency:
        """For the sandboxes of a service. The tasks of runs belong to `tasks`."""
        agents = Agents(means.executions.store, kernelspecs)
        return cls(agents, means.approvals, AgentRuns(kernelspecs, means, tasks))
