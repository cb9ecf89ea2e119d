"""Agents: made, changed, given versions, found. Of another tenant's nothing is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from sqlalchemy import Connection

from execd.errors import AgentNotFound, InvalidRequest, VersionNotFound
from execd.identifiers import new_id
from execd.kernel.kernelspec import Kernelspecs
from execd.service.agent import Agent, AgentConfig, Version
from execd.service.journal import now_ms
from execd.service.schema import check_schema
from execd.store import agents as rows
from execd.store.agents import AgentRow, VersionRow
from execd.store.store import Store

_IN_RECORD = ("description", "status", "labels", "metadata")


class Agents:
    """The agents of a service. All of it raises StorageFull where the store cannot be used."""

    def __init__(self, store: Store, kernelspecs: Kernelspecs) -> None:
        self._store = store
        self._kernelspecs = kernelspecs

    async def create(self, tenant: str, name: str, kind: str, record: Mapping[str, Any]) -> Agent:
        """A new agent without a version; `record` has some of description, status, labels, metadata."""
        now = now_ms()
        row = AgentRow(new_id("agt"), tenant, name, kind, now, now, record=dict(record))
        await self._store.write(partial(rows.add, row=row))
        return _agent(row, None)

    async def get(self, tenant: str, agent_id: str) -> Agent:
        """The agent with this id. Raises AgentNotFound."""
        return await self._store.read(partial(_found, tenant=tenant, agent_id=agent_id))

    async def page(self, tenant: str, like: Mapping[str, str], offset: int, limit: int) -> tuple[list[Agent], int]:
        """Agents, the newest first, and how many there are; `like` are a name and a kind that they must have."""

        def work(connection: Connection) -> tuple[list[Agent], int]:
            found, total = rows.listed(connection, tenant, like, offset, limit)
            return [_with_version(connection, row) for row in found], total

        return await self._store.read(work)

    async def update(self, tenant: str, agent_id: str, changes: Mapping[str, Any]) -> Agent:
        """Change a name, and what `create` has in its record. Raises AgentNotFound."""

        def work(connection: Connection) -> Agent:
            row = _row(connection, tenant, agent_id)
            record = {**row.record, **{name: changes[name] for name in _IN_RECORD if name in changes}}
            values = {"record": record, "updated_at": now_ms(), "name": changes.get("name", row.name)}
            rows.change(connection, agent_id, values)
            return _found(connection, tenant, agent_id)

        return await self._store.write(work)

    async def delete(self, tenant: str, agent_id: str) -> None:
        """Remove an agent with its versions; what they run goes on. Raises AgentNotFound."""

        def work(connection: Connection) -> None:
            rows.remove(connection, _row(connection, tenant, agent_id).id)

        await self._store.write(work)

    async def add_version(self, tenant: str, version: Version, *, current: bool) -> Version:
        """Keep a new version, which gets its id here; the first becomes the current one in any case. Raises
        AgentNotFound, InvalidRequest, UnknownLanguage."""
        self._check(version)
        row = VersionRow(new_id("ver"), version.agent_id, now_ms(), _version_record(version))

        def work(connection: Connection) -> Version:
            agent = _row(connection, tenant, version.agent_id)
            rows.add_version(connection, row)
            if current or agent.current_version is None:
                rows.change(connection, agent.id, {"current_version": row.id, "updated_at": now_ms()})
            return _version(row)

        return await self._store.write(work)

    async def promote(self, tenant: str, agent_id: str, version_id: str) -> Agent:
        """Let a version be the current one. Raises AgentNotFound, VersionNotFound."""

        def work(connection: Connection) -> Agent:
            _row(connection, tenant, agent_id)
            _version_of(connection, agent_id, version_id)
            rows.change(connection, agent_id, {"current_version": version_id, "updated_at": now_ms()})
            return _found(connection, tenant, agent_id)

        return await self._store.write(work)

    async def versions(self, tenant: str, agent_id: str) -> list[Version]:
        """All versions, the newest first. Raises AgentNotFound."""

        def work(connection: Connection) -> list[Version]:
            return [_version(row) for row in rows.versions(connection, _row(connection, tenant, agent_id).id)]

        return await self._store.read(work)

    async def version(self, tenant: str, agent_id: str, version_id: str | None) -> Version:
        """The version that is to be run: this one, or else the current one. Raises AgentNotFound, VersionNotFound, and
        InvalidRequest where there is none."""
        if version_id is None:
            current = (await self.get(tenant, agent_id)).current
            if current is None:
                raise InvalidRequest("this agent has no version yet; make one", "version_id")
            return current

        def work(connection: Connection) -> Version:
            return _version_of(connection, _row(connection, tenant, agent_id).id, version_id)

        return await self._store.read(work)

    def _check(self, version: Version) -> None:
        version.config.check(self._kernelspecs.get(version.config.language))
        check_schema(version.input_schema, "input_schema")
        if version.output_schema is not None:
            check_schema(version.output_schema, "output_schema")


def _row(connection: Connection, tenant: str, agent_id: str) -> AgentRow:
    row = rows.get(connection, tenant, agent_id)
    if row is None:
        raise AgentNotFound(agent_id)
    return row


def _found(connection: Connection, tenant: str, agent_id: str) -> Agent:
    return _with_version(connection, _row(connection, tenant, agent_id))


def _with_version(connection: Connection, row: AgentRow) -> Agent:
    current = None if row.current_version is None else rows.version(connection, row.id, row.current_version)
    return _agent(row, None if current is None else _version(current))


def _version_of(connection: Connection, agent_id: str, version_id: str) -> Version:
    row = rows.version(connection, agent_id, version_id)
    if row is None:
        raise VersionNotFound(version_id)
    return _version(row)


def _agent(row: AgentRow, current: Version | None) -> Agent:
    known = {name: row.record[name] for name in _IN_RECORD if name in row.record}
    known["labels"] = tuple(known.get("labels", ()))
    return Agent(row.id, row.tenant, row.name, row.kind, row.created_at, row.updated_at, **known, current=current)


def _version(row: VersionRow) -> Version:
    record = {**row.record, "config": AgentConfig.of(row.record["config"])}
    return Version(row.id, row.agent_id, row.created_at, **record)


def _version_record(version: Version) -> dict[str, Any]:
    told = asdict(version)
    return {name: told[name] for name in ("version", "config", "input_schema", "output_schema", "message")}
