"""Agents, what they run, and what somebody has to approve of that: all that a service has for them."""

from __future__ import annotations

from dataclasses import dataclass

import anyio.abc

from execd.kernel.kernelspec import Kernelspecs
from execd.service.agent_runs import AgentRuns, Rooms
from execd.service.agents import Agents
from execd.service.approvals import Approvals
from execd.service.executions import Executions
from execd.settings import Settings


@dataclass(frozen=True, slots=True)
class Agency:
    """The three of them, which share a store. Made by `found`."""

    agents: Agents
    approvals: Approvals
    runs: AgentRuns

    @classmethod
    def found(
        cls,
        settings: Settings,
        kernelspecs: Kernelspecs,
        executions: Executions,
        rooms: Rooms,
        tasks: anyio.abc.TaskGroup,
    ) -> Agency:
        """For the sandboxes of a service. The tasks of runs belong to `tasks`."""
        approvals = Approvals(executions.store)
        runs = AgentRuns(settings, kernelspecs, executions, rooms, approvals, tasks)
        return cls(Agents(executions.store, kernelspecs), approvals, runs)
