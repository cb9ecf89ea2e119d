"""Agents, their versions, their runs and approvals as rows, on both kinds of database."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection

from execd.store import agent_runs, agents, approvals, executions
from execd.store.agent_runs import AgentRunRow, WantedRuns
from execd.store.agents import AgentRow, VersionRow
from execd.store.approvals import ApprovalRow, Decision
from execd.store.executions import ExecutionRow
from execd.store.store import Store

pytestmark = pytest.mark.anyio

AGENT = AgentRow("agt_1", "default", "weather", "agent", 1, 2, record={"labels": ["a"]})
VERSION = VersionRow("ver_1", "agt_1", 3, {"config": {"code": "1"}})
APPROVAL = ApprovalRow("apr_1", "default", "run_1", "agt_1", "start", None, 4, expires_at=9)
YES = Decision("approved", 5, "fine", "somebody")


def execution(execution_id: str, status: str = "running", tenant: str = "default") -> ExecutionRow:
    return ExecutionRow(
        id=execution_id,
        node="node_1",
        tenant=tenant,
        sandbox_id="",
        context_id=None,
        language="python",
        dialect="promptrails",
        status=status,
        request={},
        created_at=1,
    )


async def test_an_agent_comes_back_as_it_was_to_its_tenant(store: Store) -> None:
    await store.write(partial(agents.add, row=AGENT))
    assert await store.read(partial(agents.get, tenant="default", agent_id="agt_1")) == AGENT
    assert await store.read(partial(agents.get, tenant="another", agent_id="agt_1")) is None


async def test_agents_are_listed_page_by_page(store: Store) -> None:
    def work(connection: Connection) -> None:
        for number in range(5):
            agents.add(connection, replace(AGENT, id=f"agt_{number}", name="even" if number % 2 == 0 else "odd"))
        agents.add(connection, replace(AGENT, id="agt_x", tenant="another"))

    await store.write(work)

    async def ids(offset: int, limit: int, **like: str) -> tuple[list[str], int]:
        query = partial(agents.listed, tenant="default", like=like, offset=offset, limit=limit)
        found, total = await store.read(query)
        return [row.id for row in found], total

    assert await ids(0, 2) == (["agt_4", "agt_3"], 5)
    assert await ids(4, 2) == (["agt_0"], 5)
    assert await ids(6, 2) == ([], 5)
    assert await ids(0, 10, name="even") == (["agt_4", "agt_2", "agt_0"], 3)
    assert await ids(0, 10, kind="workflow") == ([], 0)


async def test_an_agent_goes_with_its_versions(store: Store) -> None:
    def work(connection: Connection) -> None:
        agents.add(connection, AGENT)
        agents.add_version(connection, VERSION)
        agents.add_version(connection, replace(VERSION, id="ver_2", agent_id="agt_2"))

    await store.write(work)
    assert await store.read(partial(agents.versions, agent_id="agt_1")) == [VERSION]
    assert await store.read(partial(agents.version, agent_id="agt_2", version_id="ver_1")) is None
    await store.write(partial(agents.remove, agent_id="agt_1"))
    assert await store.read(partial(agents.version, agent_id="agt_1", version_id="ver_1")) is None
    assert await store.read(partial(agents.version, agent_id="agt_2", version_id="ver_2")) is not None


async def test_runs_are_found_by_all_that_is_wanted(store: Store) -> None:
    def work(connection: Connection) -> None:
        for number, (agent_id, session_id, status) in enumerate(
            [("agt_1", "s", "running"), ("agt_1", "", "succeeded"), ("agt_2", "s", "running")]
        ):
            executions.add(connection, execution(f"run_{number}", status))
            agent_runs.add(connection, AgentRunRow(f"run_{number}", agent_id, session_id))
        executions.add(connection, execution("run_other_dialect"))
        executions.add(connection, execution("run_x", tenant="another"))
        agent_runs.add(connection, AgentRunRow("run_x", "agt_1", "s"))

    await store.write(work)

    async def ids(offset: int = 0, limit: int = 10, **wanted: str) -> tuple[list[str], int]:
        query = partial(agent_runs.listed, wanted=WantedRuns("default", **wanted), offset=offset, limit=limit)
        found, total = await store.read(query)
        return [row.id for row in found], total

    assert await ids() == (["run_2", "run_1", "run_0"], 3)
    assert await ids(1, 1) == (["run_1"], 3)
    assert await ids(agent_id="agt_1") == (["run_1", "run_0"], 2)
    assert await ids(agent_id="agt_1", session_id="s", status="running") == (["run_0"], 1)


async def test_children_are_found_by_their_parents(store: Store) -> None:
    def work(connection: Connection) -> None:
        for name, parent in (("run_1", None), ("run_2", "run_1"), ("run_3", "run_2"), ("run_4", "run_1")):
            executions.add(connection, execution(name))
            agent_runs.add(connection, AgentRunRow(name, "agt_1", parent_id=parent))

    await store.write(work)

    async def children(*parents: str, most: int = 10) -> list[str]:
        query = partial(agent_runs.children, tenant="default", parent_ids=parents, most=most)
        return [row.id for row in await store.read(query)]

    assert await children("run_1") == ["run_2", "run_4"]
    assert await children("run_1", "run_2") == ["run_2", "run_3", "run_4"]
    assert await children("run_1", most=1) == ["run_2"]
    assert await children("run_4") == []


async def test_an_approval_is_decided_once(store: Store) -> None:
    await store.write(partial(approvals.add, row=APPROVAL))
    assert await store.read(partial(approvals.get, tenant="default", approval_id="apr_1")) == APPROVAL
    assert await store.write(partial(approvals.decide, approval_id="apr_1", decision=YES)) is True
    assert await store.write(partial(approvals.decide, approval_id="apr_1", decision=Decision("rejected", 6))) is False
    decided = replace(APPROVAL, status="approved", reason="fine", decided_by="somebody", decided_at=5)
    assert await store.read(partial(approvals.get, tenant="default", approval_id="apr_1")) == decided
    assert await store.read(partial(approvals.get, tenant="another", approval_id="apr_1")) is None
    assert await store.write(partial(approvals.decide, approval_id="apr_none", decision=YES)) is False


async def test_approvals_of_what_has_ended_are_decided_together(store: Store) -> None:
    def work(connection: Connection) -> None:
        for number, status in enumerate(["succeeded", "rejected", "running", "awaiting_approval"]):
            executions.add(connection, execution(f"run_{number}", status))
            approvals.add(connection, replace(APPROVAL, id=f"apr_{number}", execution_id=f"run_{number}"))
        approvals.decide(connection, "apr_0", YES)

    await store.write(work)
    gone = Decision("cancelled", 7)
    assert await store.write(partial(approvals.decide_for_ended, decision=gone)) == 1
    found, _ = await store.read(partial(approvals.listed, tenant="default", status=None, offset=0, limit=10))
    assert [row.status for row in found] == ["pending", "pending", "cancelled", "approved"]


async def test_what_belongs_to_a_run_goes_with_its_record(store: Store) -> None:
    def work(connection: Connection) -> None:
        for name in ("run_1", "run_2"):
            executions.add(connection, execution(name))
            agent_runs.add(connection, AgentRunRow(name, "agt_1"))
            approvals.add(connection, replace(APPROVAL, id=f"apr_of_{name}", execution_id=name))
        executions.remove(connection, ["run_1"])

    await store.write(work)
    found, total = await store.read(
        partial(agent_runs.listed, wanted=WantedRuns("default", "agt_1"), offset=0, limit=10)
    )
    assert ([row.id for row in found], total) == (["run_2"], 1)
    assert await store.read(partial(approvals.of_execution, execution_id="run_1")) == []
    assert len(await store.read(partial(approvals.of_execution, execution_id="run_2"))) == 1
