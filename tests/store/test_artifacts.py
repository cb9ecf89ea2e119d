"""Artifacts as rows, on both kinds of database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from execd.store import artifacts, executions
from execd.store.artifacts import ArtifactRow, WantedArtifacts
from execd.store.executions import ExecutionRow
from execd.store.store import Store

pytestmark = pytest.mark.anyio

NOW = 1000
ROW = ArtifactRow(
    id="art_1",
    tenant="default",
    sandbox_id="sb_1",
    context_id="ctx_1",
    execution_id="run_1",
    execution_count=1,
    kind="file",
    mime_type="text/plain",
    name="a.txt",
    size=5,
    sha256="aa",
    created_at=NOW,
    expires_at=NOW + 10,
    detail={"source": "file", "path": "/workspace/a.txt"},
)


def execution(execution_id: str) -> ExecutionRow:
    return ExecutionRow(
        id=execution_id,
        node="node_1",
        tenant="default",
        sandbox_id="sb_1",
        context_id="ctx_1",
        language="python",
        dialect="execd",
        status="succeeded",
        request={},
        created_at=NOW,
    )


def numbered(count: int, **changes: Any) -> list[ArtifactRow]:
    return [replace(ROW, id=f"art_{number}", **changes) for number in range(1, count + 1)]


async def filled(store: Store, rows: list[ArtifactRow]) -> Store:
    """A store with these, and the execution run_1."""

    def work(connection: Connection) -> None:
        executions.add(connection, execution("run_1"))
        artifacts.add(connection, rows)

    await store.write(work)
    return store


async def ids(store: Store, limit: int = 100, before: int | None = None, now: int = NOW, **wanted: Any) -> list[str]:
    filters = WantedArtifacts(**wanted)
    return [row.id for row in await store.read(lambda found: artifacts.page(found, filters, now, limit, before))]


async def test_an_artifact_comes_back_as_it_was(store: Store) -> None:
    await filled(store, [ROW])
    found = await store.read(lambda connection: artifacts.get(connection, "art_1", NOW))
    assert found == replace(ROW, number=found.number if found else 0)
    assert await store.read(lambda connection: artifacts.get(connection, "art_2", NOW)) is None


async def test_none_is_nothing(store: Store) -> None:
    await filled(store, [])
    assert await ids(store) == []


async def test_pages_do_not_move_when_something_is_added(store: Store) -> None:
    await filled(store, numbered(5))
    first = await store.read(lambda found: artifacts.page(found, WantedArtifacts(), NOW, 2))
    assert [row.id for row in first] == ["art_5", "art_4"]
    await store.write(lambda connection: artifacts.add(connection, [replace(ROW, id="art_new")]))
    assert await ids(store, limit=2, before=first[-1].number) == ["art_3", "art_2"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"sandbox_id": "sb_2"},
        {"context_id": "ctx_2"},
        {"execution_count": 2},
        {"kind": "image"},
        {"tenant": "other"},
    ],
)
async def test_filters(store: Store, wanted: dict[str, Any]) -> None:
    await filled(store, [ROW, replace(ROW, id="art_2", **wanted)])
    assert await ids(store, **wanted) == ["art_2"]
    assert await ids(store, execution_id="run_1") == ["art_2", "art_1"]
    assert await ids(store, execution_id="run_2") == []


async def test_one_is_gone_when_its_time_is_over_or_its_execution_is(store: Store) -> None:
    await filled(store, [ROW, replace(ROW, id="art_2", expires_at=None), replace(ROW, id="art_3", execution_id="gone")])
    assert await ids(store, now=NOW + 9) == ["art_2", "art_1"]
    assert await ids(store, now=NOW + 10) == ["art_2"]
    assert await store.read(lambda found: artifacts.get(found, "art_3", NOW)) is None
    assert sorted(await store.read(lambda found: artifacts.outlived(found, NOW + 10))) == ["art_1", "art_3"]
    await store.write(lambda connection: executions.remove(connection, ["run_1"]))
    assert await ids(store) == []


async def test_removing_tells_which_contents_may_be_gone(store: Store) -> None:
    await filled(store, [ROW, replace(ROW, id="art_2", sha256="bb"), replace(ROW, id="art_3")])
    assert await store.write(lambda connection: artifacts.remove(connection, ["art_1", "art_2", "none"])) == [
        "aa",
        "bb",
    ]
    assert await store.read(lambda found: artifacts.unreferenced(found, ["aa", "bb", "cc"])) == ["bb", "cc"]
    assert await ids(store) == ["art_3"]
    assert await store.write(lambda connection: artifacts.remove(connection, [])) == []


async def test_bytes_count_once_a_content(store: Store) -> None:
    other = replace(ROW, id="art_9", tenant="other", size=100, sha256="zz")
    await filled(store, [*numbered(3), replace(ROW, id="art_4", sha256="bb", size=7), other])
    assert await store.read(lambda found: artifacts.stored_bytes(found, "default")) == 12
    assert await store.read(lambda found: artifacts.stored_bytes(found, "nobody")) == 0
    assert sorted(await store.read(artifacts.tenants)) == ["default", "other"]


@pytest.mark.parametrize(
    ("size", "gone"),
    [
        (100, []),
        (11, []),
        (10, ["art_1"]),
        (8, ["art_2", "art_1"]),
        (0, ["art_4", "art_2", "art_1"]),
    ],
)
async def test_the_oldest_go_when_there_is_too_much(store: Store, size: int, gone: list[str]) -> None:
    sizes = {"art_1": ("aa", 1), "art_2": ("bb", 2), "art_4": ("cc", 3), "art_5": ("dd", 5)}
    await filled(store, [replace(ROW, id=name, sha256=digest, size=own) for name, (digest, own) in sizes.items()])
    assert await store.read(lambda found: artifacts.beyond(found, "default", size)) == gone


async def test_many_are_removed_in_pieces(store: Store) -> None:
    await filled(store, numbered(1200))
    gone = [f"art_{number}" for number in range(1, 1201)]
    assert await store.write(lambda connection: artifacts.remove(connection, gone)) == ["aa"]
    assert await ids(store) == []
