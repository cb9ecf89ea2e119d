"""Programs: one at a time in a thread, not too many of a tenant, and nothing left of them but what is to be kept."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from execd.errors import ExecutionNotFound, NotRunning, SandboxFailed, ThreadBusy, ThreadNotFound, TooManyPrograms
from execd.events import Complete, Reason, Status
from execd.identifiers import new_id
from execd.service import programs as module
from execd.service.caller import Caller, calling
from execd.service.execution import Execution, Origin
from execd.service.meters import Meters
from execd.service.opening import open_sandboxes
from execd.service.program import Program, passing_sandbox, thread_sandbox_id
from execd.service.programs import Programs, open_programs, say_alive
from execd.service.sandboxes import Sandboxes
from execd.service.transcript import transcript
from execd.settings import Settings
from tests.service.stage import new_execution, types_of


class Stage:
    """Sandboxes, their programs, and a pipe that programs wait at."""

    def __init__(self, sandboxes: Sandboxes, programs: Programs, folder: Path) -> None:
        self.sandboxes = sandboxes
        self.programs = programs
        self.gate = folder / "gate"
        os.mkfifo(self.gate)

    async def start(self, code: str, thread: str | None = None, tenant: str = "default", **wanted: Any) -> Execution:
        """A program in bash."""
        origin = Origin(new_id("trc"), None, "bash", dialect="baponi")
        with calling(Caller(tenant)):
            return await self.programs.start(Program("bash", code, 60, thread=thread), origin, **wanted)

    async def wait(self, thread: str | None = None, tenant: str = "default") -> Execution:
        """One that waits at the gate."""
        return await self.start(f"read < {self.gate}", thread, tenant)

    async def open_gate(self) -> None:
        """Let one pass that waits."""
        await anyio.to_thread.run_sync(self.gate.write_text, "\n")

    async def run(self, code: str, thread: str | None = None) -> str:
        """What a program prints."""
        execution = await self.start(code, thread)
        await execution.ended.wait()
        return (await transcript(execution)).output


@asynccontextmanager
async def staged(folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    """A stage whose data is in `folder`."""
    chosen = Settings(data_dir=folder / "data", isolation="process", **settings)
    async with open_sandboxes(chosen, Meters()) as sandboxes, open_programs(sandboxes) as programs:
        yield Stage(sandboxes, programs, folder)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage on which two programs may run at once."""
    async with staged(tmp_path, max_programs=2) as made:
        yield made


async def test_a_thread_takes_one_program_at_a_time(stage: Stage) -> None:
    first = await stage.wait("t")
    with pytest.raises(ThreadBusy, match=r"^thread_busy: t$"):
        await stage.start("true", "t")
    await stage.open_gate()
    # Free as soon as anybody can be told of the end.
    async for found in first.follow():
        if first.journal.end_seq is not None and found.last >= first.journal.end_seq:
            assert await stage.run("echo next", "t") == "next\n"


async def test_a_thread_is_busy_while_it_is_being_made(stage: Stage) -> None:
    refused: list[str] = []

    async def start() -> None:
        try:
            await stage.start("true", "t")
        except ThreadBusy as busy:
            refused.append(str(busy))

    async with anyio.create_task_group() as group:
        group.start_soon(start)
        group.start_soon(start)
    assert refused == ["thread_busy: t"]


async def test_a_tenant_s_programs_are_bounded(stage: Stage) -> None:
    running = [await stage.wait(), await stage.wait("t")]
    with pytest.raises(TooManyPrograms, match=r"\(2/2\)"):
        await stage.start("true")
    await (await stage.start("true", tenant="other")).ended.wait()
    # A gate that is opened lets all pass, or one: nobody can tell.
    for execution in running:
        stage.programs.cancel(execution)
        await execution.ended.wait()
    assert await stage.run("echo again") == "again\n"


async def test_a_refusal_takes_no_place(tmp_path: Path) -> None:
    async with staged(tmp_path, max_programs=1, max_sandboxes=1) as stage:
        for _ in range(3):
            assert await stage.run("echo x", "t") == "x\n"
        with pytest.raises(Exception, match="already 1 sandboxes"):
            await stage.start("true")
        assert await stage.run("echo y", "t") == "y\n"


async def test_what_a_thread_keeps(stage: Stage) -> None:
    await stage.run("echo kept > ~/file; echo thrown > file", "t")
    assert await stage.run("cat ~/file; ls", "t") == "kept\n"
    assert await stage.run("cat ~/file 2>&1 >/dev/null | wc -l; ls", "other") == "1\n"
    assert await stage.run("cat ~/file 2>&1 >/dev/null | wc -l; ls") == "1\n"


async def test_a_thread_ends_with_its_sandbox_and_begins_anew(stage: Stage) -> None:
    await stage.run("echo kept > ~/file", "t")
    await stage.sandboxes.delete(thread_sandbox_id("default", "t"))
    with pytest.raises(ThreadNotFound, match="'t'"):
        await stage.programs.thread("t")
    assert await stage.run("ls ~", "t") == ""


async def test_of_a_program_without_a_thread_nothing_is_left(stage: Stage) -> None:
    execution = await stage.wait()
    sandbox = await stage.sandboxes.enter(execution.sandbox_id)
    await stage.open_gate()
    await sandbox.gone.wait()
    assert stage.sandboxes.records() == []


async def test_what_a_program_leaves_running_ends_with_it(stage: Stage) -> None:
    pid = await stage.run("sleep 1000 & echo $!", "t")
    assert not Path(f"/proc/{int(pid)}").exists() or "sleep" not in Path(f"/proc/{int(pid)}/cmdline").read_text()


async def test_a_cancelled_program_is_killed_at_once(stage: Stage) -> None:
    execution = await stage.start(f"trap '' TERM; echo > {stage.gate}; while true; do sleep 0.1; done", "t")
    await anyio.to_thread.run_sync(stage.gate.read_text)
    stage.programs.cancel(execution)
    await execution.ended.wait()
    assert execution.complete is not None
    assert (execution.complete.status, execution.complete.exit_code) == (Status.CANCELLED, -9)
    assert execution.complete.interruption is not None
    assert execution.complete.interruption.rung == "kill"
    with pytest.raises(NotRunning):
        stage.programs.cancel(execution)


async def test_whose_executions_are_seen(stage: Stage) -> None:
    execution = await stage.start("true")
    assert await stage.programs.get(execution.id, "baponi") is execution
    for tenant, dialect in (("other", "baponi"), ("default", "execd")):
        with calling(Caller(tenant)), pytest.raises(ExecutionNotFound):
            await stage.programs.get(execution.id, dialect)


async def test_each_tenant_has_threads_of_its_own(stage: Stage) -> None:
    waiting = await stage.wait("t")
    other = await stage.start("ls ~", "t", tenant="other")
    await other.ended.wait()
    assert other.origin.tenant == "other"
    assert other.sandbox_id != waiting.sandbox_id
    stage.programs.cancel(waiting)


async def test_a_thread_that_cannot_be_cleared_runs_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module, "clear", fail)
    with pytest.raises(SandboxFailed, match=r"cleared: .*Input/output error"):
        await stage.start("true", "t")
    monkeypatch.undo()
    assert await stage.run("echo x", "t") == "x\n"


async def test_programs_that_others_have_started_are_looked_after(stage: Stage) -> None:
    # As if the service had been started anew: nobody attends to the program.
    origin = Origin("trc_left", None, "bash", dialect="baponi", detail={"kept": False})
    record = await stage.sandboxes.create(passing_sandbox(60))
    sandbox = await stage.sandboxes.enter(record.id)
    execution = await sandbox.commands.start(Program("bash", f"read < {stage.gate}", 60).command, origin)
    async with open_programs(stage.sandboxes) as later:
        assert await later.get("trc_left", "baponi") is execution
        await stage.open_gate()
        await sandbox.gone.wait()


async def test_silence_is_broken(tmp_path: Path) -> None:
    execution = new_execution(tmp_path)
    execution.start()
    async with anyio.create_task_group() as group:
        group.start_soon(say_alive, execution, 0.001)
        async for _ in execution.follow(2):
            # Init, and two of them.
            break
        execution.finish(Complete(Status.FAILED, Reason.ERROR))
        execution.told()
    assert types_of(execution)[:3] == ["init", "keepalive", "keepalive"]
    assert types_of(execution)[-1] == "execution_complete"
