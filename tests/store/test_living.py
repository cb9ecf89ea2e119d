"""Rows of sandboxes and contexts, on either database."""

from __future__ import annotations

import pytest

from execd.store.living import (
    ContextRow,
    SandboxRow,
    all_contexts,
    all_sandboxes,
    put_context,
    put_sandbox,
    remove_context,
    remove_contexts_of,
    remove_ended,
)
from execd.store.store import Store

pytestmark = pytest.mark.anyio


def sandbox(name: str, created_at: int = 1, ended_at: int | None = None, node: str = "node_1") -> SandboxRow:
    return SandboxRow(name, node, "default", {"name": name}, {"mark": "m"}, created_at, ended_at)


def context(name: str, sandbox_id: str, node: str = "node_1") -> ContextRow:
    return ContextRow(name, node, sandbox_id, {"language": "python"}, None, 1)


async def test_what_is_put_twice_is_there_once_as_it_was_last(store: Store) -> None:
    first, then = sandbox("sb_1"), sandbox("sb_1", ended_at=5)
    await store.write(lambda connection: put_sandbox(connection, first))
    await store.write(lambda connection: put_sandbox(connection, then))
    assert await store.read(lambda connection: all_sandboxes(connection, "node_1")) == [then]


async def test_each_node_has_its_own_also_of_one_name(store: Store) -> None:
    rows = [sandbox("default"), sandbox("default", node="node_2")]
    for row in rows:
        await store.write(lambda connection, row=row: put_sandbox(connection, row))  # type: ignore[misc]
    for row in rows:
        found = await store.read(lambda connection, row=row: all_sandboxes(connection, row.node))  # type: ignore[misc]
        assert found == [row]


async def test_contexts_go_one_by_one_and_with_their_sandbox(store: Store) -> None:
    rows = [context("ctx_1", "sb_1"), context("ctx_2", "sb_1"), context("ctx_3", "sb_2")]
    for row in rows:
        await store.write(lambda connection, row=row: put_context(connection, row))  # type: ignore[misc]
    await store.write(lambda connection: remove_context(connection, "ctx_1"))
    assert await store.read(lambda connection: all_contexts(connection, "node_1")) == rows[1:]
    await store.write(lambda connection: remove_contexts_of(connection, "node_1", "sb_1"))
    assert await store.read(lambda connection: all_contexts(connection, "node_1")) == rows[2:]


async def test_of_the_ended_ones_the_last_are_kept(store: Store) -> None:
    rows = [sandbox("sb_0"), *(sandbox(f"sb_{n}", n, ended_at=10 + n) for n in range(1, 4))]
    for row in rows:
        await store.write(lambda connection, row=row: put_sandbox(connection, row))  # type: ignore[misc]
    await store.write(lambda connection: remove_ended(connection, "node_1", 1))
    found = await store.read(lambda connection: all_sandboxes(connection, "node_1"))
    assert {row.id for row in found} == {"sb_0", "sb_3"}
