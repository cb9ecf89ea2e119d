"""The artifacts of all runs, and those that are gathered from one."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection

from execd.errors import ArtifactNotFound, StorageFull
from execd.events import Complete, Display, Event, Status, Stdout
from execd.service import run_artifacts
from execd.service.artifacts import Artifacts
from execd.service.execution import Execution
from execd.service.harvest import NO_HARVESTS
from execd.service.journal import now_ms
from execd.service.run_artifacts import SandboxArtifacts
from execd.settings import Settings
from execd.store import executions
from execd.store.artifacts import ArtifactRow, WantedArtifacts
from execd.store.blobs import Blobs
from execd.store.engine import database_url
from execd.store.store import Store
from tests.machine import MACHINE
from tests.service.stage import events_of, new_execution
from tests.store.test_artifacts import ROW, execution

pytestmark = pytest.mark.anyio

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(database_url(None, tmp_path), "node_1") as opened:
        yield opened


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


def artifacts_of(store: Store, tmp_path: Path, **settings: Any) -> Artifacts:
    return Artifacts(store, Blobs(tmp_path / "blobs"), Settings(**settings))


@pytest.fixture
def artifacts(store: Store, tmp_path: Path) -> Artifacts:
    return artifacts_of(store, tmp_path)


async def kept(artifacts: Artifacts, store: Store, artifact_id: str, content: bytes) -> ArtifactRow:
    """An artifact of the execution run_1, which is recorded with the first."""
    blob = artifacts.blobs.put(content)
    row = replace(ROW, id=artifact_id, sha256=blob.sha256, size=blob.size, expires_at=artifacts.expiry(now_ms()))

    def record(connection: Connection) -> None:
        if executions.get(connection, "run_1") is None:
            executions.add(connection, execution("run_1"))

    await store.write(record)
    await artifacts.add([row])
    artifacts.let_go([blob.sha256])
    return row


async def test_content_is_opened_with_its_hash_for_an_etag(artifacts: Artifacts, store: Store) -> None:
    await kept(artifacts, store, "art_1", b"hello")
    row = await artifacts.get("art_1")
    opened = await artifacts.open(row)
    try:
        assert (opened.read(0, 100), opened.size, opened.etag) == (b"hello", 5, f'"{row.sha256}"')
    finally:
        opened.close()


async def test_what_is_not_there(artifacts: Artifacts, store: Store) -> None:
    with pytest.raises(ArtifactNotFound):
        await artifacts.get("art_1")
    row = await kept(artifacts, store, "art_1", b"hello")
    artifacts.blobs.path(row.sha256).unlink()
    with pytest.raises(ArtifactNotFound):
        await artifacts.open(row)
    await artifacts.delete("art_none")


async def test_content_goes_with_the_last_artifact_that_has_it(artifacts: Artifacts, store: Store) -> None:
    row = await kept(artifacts, store, "art_1", b"hello")
    await kept(artifacts, store, "art_2", b"hello")
    await artifacts.delete("art_1")
    assert artifacts.blobs.hashes() == [row.sha256]
    await artifacts.delete("art_2")
    assert artifacts.blobs.hashes() == []


async def test_content_that_is_on_its_way_is_not_removed(artifacts: Artifacts, store: Store) -> None:
    row = await kept(artifacts, store, "art_1", b"hello")
    again = artifacts.blobs.put(b"hello")
    await artifacts.delete("art_1")
    assert artifacts.blobs.hashes() == [row.sha256]
    await artifacts.add([replace(row, id="art_2")])
    artifacts.let_go([again.sha256])
    await artifacts.discard([again.sha256])
    assert artifacts.blobs.hashes() == [row.sha256]


async def test_pages(artifacts: Artifacts, store: Store) -> None:
    for number in range(3):
        await kept(artifacts, store, f"art_{number}", b"hello")
    first = await artifacts.page(WantedArtifacts(), 2)
    assert [row.id for row in first.items] == ["art_2", "art_1"]
    last = await artifacts.page(WantedArtifacts(), 2, first.before)
    assert ([row.id for row in last.items], last.before) == (["art_0"], None)
    assert (await artifacts.page(WantedArtifacts(), 3)).before is None


async def test_they_go_with_the_record_of_their_run(artifacts: Artifacts, store: Store) -> None:
    await kept(artifacts, store, "art_1", b"hello")
    await store.write(lambda connection: executions.remove(connection, ["run_1"]))
    with pytest.raises(ArtifactNotFound):
        await artifacts.get("art_1")
    await artifacts.prune()
    assert artifacts.blobs.hashes() == []
    assert await artifacts.stored_bytes("default") == 0


async def test_the_oldest_go_when_a_tenant_has_too_much(store: Store, tmp_path: Path) -> None:
    artifacts = artifacts_of(store, tmp_path, keep_artifacts_size=10)
    await kept(artifacts, store, "art_1", b"12345678")
    new = await kept(artifacts, store, "art_2", b"123456")
    await artifacts.prune()
    assert artifacts.blobs.hashes() == [new.sha256]


async def test_what_a_sudden_end_has_left_is_removed_at_the_start(artifacts: Artifacts, store: Store) -> None:
    row = await kept(artifacts, store, "art_1", b"hello")
    artifacts.let_go([artifacts.blobs.put(b"orphan").sha256])
    await artifacts.settle()
    assert artifacts.blobs.hashes() == [row.sha256]


class Stage:
    """A sandbox's artifacts, and one run of it."""

    def __init__(self, artifacts: Artifacts, workspace: Path) -> None:
        self.artifacts = artifacts
        self.workspace = workspace
        self.sandbox = SandboxArtifacts(artifacts, MACHINE, workspace)
        self.execution: Execution = new_execution(workspace)
        self.harvest: Any = None

    async def begin(self, store: Store) -> Stage:
        await store.write(lambda connection: executions.add(connection, execution(self.execution.id)))
        self.harvest = await self.sandbox.begin(self.execution)
        self.execution.start()
        return self

    def emit(self, event: Event) -> None:
        self.execution.emit(event)
        self.harvest.see(event, self.execution.journal.last_seq)

    async def end(self) -> list[dict[str, Any]]:
        """What is journaled before the end."""
        made = await self.harvest.gather()
        self.harvest.close()
        self.execution.finish(Complete(Status.SUCCEEDED), made)
        return events_of(self.execution)[-1 - len(made) : -1]


@pytest.fixture
async def stage(artifacts: Artifacts, workspace: Path, store: Store) -> AsyncIterator[Stage]:
    made = await Stage(artifacts, workspace).begin(store)
    yield made
    made.sandbox.close()


async def test_a_run_has_its_outputs_and_files(stage: Stage) -> None:
    stage.execution.execution_count = 7
    (stage.workspace / "a.txt").write_text("hello")
    stage.emit(Stdout("text"))
    stage.emit(Display({"image/png": PNG}, {}))
    first, second = (event["artifact"] for event in await stage.end())
    assert (first["name"], first["kind"], first["metadata"]) == ("output-1.png", "image", {"source": "output"})
    path = str(stage.workspace / "a.txt")
    assert (second["name"], second["metadata"]) == ("a.txt", {"source": "file", "path": path})
    assert (second["size_bytes"], second["execution_id"], second["execution_count"]) == (5, stage.execution.id, 7)
    assert second["created_at"].endswith("Z")
    row = await stage.artifacts.get(second["id"])
    assert (row.sha256, row.kind, row.context_id) == (second["sha256"], "file", "ctx_1")
    # Nothing is held any longer.
    await stage.artifacts.delete(first["id"])
    await stage.artifacts.delete(second["id"])
    assert stage.artifacts.blobs.hashes() == []


async def test_a_run_that_has_made_nothing_has_none(stage: Stage) -> None:
    stage.emit(Display({"text/plain": "1"}, {}))
    assert await stage.end() == []


async def test_without_artifacts_nothing_is_watched(store: Store, tmp_path: Path, workspace: Path) -> None:
    stage = await Stage(artifacts_of(store, tmp_path, run_artifacts=0), workspace).begin(store)
    assert stage.harvest is NO_HARVESTS
    (workspace / "a.txt").write_text("hello")
    assert await stage.end() == []


async def test_what_does_not_fit_is_told(store: Store, tmp_path: Path, workspace: Path) -> None:
    stage = await Stage(artifacts_of(store, tmp_path, run_artifacts=1), workspace).begin(store)
    for name in "ab":
        (workspace / name).write_text(name)
    made, notice = await stage.end()
    assert (made["artifact"]["name"], notice["type"], notice["dropped_count"]) == ("a", "truncated", 1)


async def test_outputs_that_do_not_fit_are_not_even_read(store: Store, tmp_path: Path, workspace: Path) -> None:
    stage = await Stage(artifacts_of(store, tmp_path, run_artifacts=1), workspace).begin(store)
    for _ in range(4):
        stage.emit(Display({"image/png": PNG}, {}))
    made, notice = await stage.end()
    assert (made["artifact"]["name"], notice["dropped_count"]) == ("output-1.png", 3)


def full(*_: object) -> None:
    raise StorageFull("full")


def broken(*_: object, **__: object) -> None:
    raise ValueError("a defect")


@pytest.mark.parametrize(
    ("what", "failure", "words"),
    [
        ("add", full, "there is no room to keep them"),
        ("add", broken, "execd failed while it gathered them"),
        ("expiry", broken, "execd failed while it gathered them"),
    ],
)
async def test_what_goes_wrong_costs_the_artifacts_only(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, what: str, failure: Callable[..., None], words: str
) -> None:
    monkeypatch.setattr(stage.artifacts, what, failure)
    (stage.workspace / "a.txt").write_text("hello")
    [notice] = await stage.end()
    assert (notice["type"], notice["dropped_count"]) == ("truncated", 1)
    assert words in notice["text"]
    assert stage.artifacts.blobs.hashes() == []
    assert stage.execution.status is Status.SUCCEEDED


async def test_a_run_begins_whatever_is_wrong_with_the_workspace(
    artifacts: Artifacts, workspace: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(artifacts, workspace)
    monkeypatch.setattr(stage.sandbox.changes, "begin", broken)
    assert (await stage.begin(store)).harvest is NO_HARVESTS


async def test_a_store_that_does_not_answer_holds_no_run_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(run_artifacts, "_GRACE_SECONDS", -stage.artifacts.limits.seconds + 0.01)
    monkeypatch.setattr(stage.artifacts, "add", never)
    (stage.workspace / "a.txt").write_text("hello")
    with anyio.fail_after(20):
        [notice] = await stage.end()
    assert "may take" in notice["text"]


async def test_a_symlink_out_of_the_workspace_is_no_artifact(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (stage.workspace / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(stage.workspace / "fifo")
    assert await stage.end() == []


async def test_two_runs_at_once_each_have_what_changed(artifacts: Artifacts, workspace: Path, store: Store) -> None:
    first = await Stage(artifacts, workspace).begin(store)
    second = Stage(artifacts, workspace)
    second.sandbox = first.sandbox
    await second.begin(store)
    (workspace / "a.txt").write_text("hello")
    [one], [other] = await first.end(), await second.end()
    assert one["artifact"]["sha256"] == other["artifact"]["sha256"]
    assert one["artifact"]["execution_id"] != other["artifact"]["execution_id"]
    assert len(artifacts.blobs.hashes()) == 1


async def test_a_run_of_an_earlier_service_has_its_files(artifacts: Artifacts, workspace: Path, store: Store) -> None:
    stage = await Stage(artifacts, workspace).begin(store)
    (workspace / "a.txt").write_text("hello")
    stage.harvest.close()
    stage.sandbox = SandboxArtifacts(artifacts, MACHINE, workspace)
    stage.harvest = await stage.sandbox.begin(stage.execution)
    assert [event["artifact"]["name"] for event in await stage.end()] == ["a.txt"]


async def test_the_event_is_one_line_of_json(stage: Stage) -> None:
    (stage.workspace / "naïve\u2028.txt").write_text("hello")
    [event] = await stage.end()
    assert event["artifact"]["name"] == "naïve\u2028.txt"
    assert json.dumps(event)
