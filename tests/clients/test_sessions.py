"""Bash sessions through the public SDK, in both of its variants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from opensandbox.exceptions import SandboxApiException
from opensandbox.models.execd import Execution

from tests.clients.heard import Heard
from tests.clients.sandboxes import SANDBOXES, AnySandbox


class Sessions:
    """The session calls of a sandbox of either variant."""

    def __init__(self, sandbox: AnySandbox) -> None:
        self._sandbox = sandbox

    async def create(self, folder: str | None = None) -> str:
        """`commands.create_session`."""
        return str(await self._sandbox.call("commands", "create_session", working_directory=folder))

    async def run(
        self,
        session_id: str,
        command: str,
        *,
        folder: str | None = None,
        heard: Heard | None = None,
        **limit: timedelta,
    ) -> Execution:
        """`commands.run_in_session`."""
        handlers = self._sandbox.handlers(heard) if heard else None
        options = {"working_directory": folder, "handlers": handlers, **limit}
        execution = await self._sandbox.call("commands", "run_in_session", session_id, command, **options)
        assert isinstance(execution, Execution)
        return execution

    async def interrupt(self, session_id: str) -> None:
        """`commands.interrupt`."""
        await self._sandbox.call("commands", "interrupt", session_id)

    async def delete(self, session_id: str) -> None:
        """`commands.delete_session`."""
        await self._sandbox.call("commands", "delete_session", session_id)


@pytest.fixture
async def sessions(domain: str, variant: str) -> AsyncIterator[Sessions]:
    """The session calls of a new sandbox."""
    async with SANDBOXES[variant](domain) as opened:
        yield Sessions(opened)


@pytest.fixture
async def session_id(sessions: Sessions) -> AsyncIterator[str]:
    """A session."""
    created = await sessions.create()
    yield created
    await sessions.delete(created)


def stdout(execution: Execution) -> list[str]:
    return [message.text for message in execution.logs.stdout]


def stderr(execution: Execution) -> list[str]:
    return [message.text for message in execution.logs.stderr]


async def test_a_run_brings_its_lines_and_its_exit_code(sessions: Sessions, session_id: str) -> None:
    execution = await sessions.run(session_id, "echo out; echo err >&2; printf 'no end'")
    assert (stdout(execution), stderr(execution)) == (["out", "no end"], ["err"])
    assert (execution.exit_code, execution.error) == (0, None)
    assert execution.complete is not None


async def test_state_lasts_from_run_to_run_and_over_an_exit(sessions: Sessions, session_id: str) -> None:
    await sessions.run(session_id, "x=5; export y=6; f() { echo $x$y; }; alias g=f; cd /usr; a=(1 2)")
    assert stdout(await sessions.run(session_id, "g; pwd; echo ${a[1]}")) == ["56", "/usr", "2"]
    failed = await sessions.run(session_id, "exit 7")
    assert failed.exit_code == 7
    assert failed.error is not None
    assert (failed.error.name, failed.error.value) == ("CommandExecError", "7")
    assert stdout(await sessions.run(session_id, "g; pwd; echo ${a[1]}")) == ["56", "/usr", "2"]


async def test_a_session_and_a_run_have_their_folders(sessions: Sessions, tmp_path: Path) -> None:
    session_id = await sessions.create(str(tmp_path))
    assert stdout(await sessions.run(session_id, "pwd")) == [str(tmp_path)]
    assert stdout(await sessions.run(session_id, "pwd", folder="/usr")) == ["/usr"]
    assert stdout(await sessions.run(session_id, "pwd")) == ["/usr"]
    with pytest.raises(SandboxApiException) as caught:
        await sessions.run(session_id, "pwd", folder="/proc/nonexistent")
    assert (caught.value.status_code, caught.value.error.code) == (400, "INVALID_REQUEST_BODY")
    await sessions.delete(session_id)


async def test_handlers_hear_each_line_as_it_comes(sessions: Sessions, session_id: str) -> None:
    heard = Heard()
    async with anyio.create_task_group() as group:

        async def interrupt() -> None:
            assert (await heard.first("init")).id == session_id
            assert (await heard.first("stdout")).text == "on"
            await sessions.interrupt(session_id)

        group.start_soon(interrupt)
        execution = await sessions.run(session_id, "x=5; echo on; sleep 600", heard=heard)
    assert execution.exit_code not in (0, None)
    assert stdout(await sessions.run(session_id, "echo $x")) == ["5"]


async def test_a_time_limit_ends_a_run_and_not_the_session(sessions: Sessions, session_id: str) -> None:
    execution = await sessions.run(session_id, "x=5; echo on; sleep 600", timeout=timedelta(milliseconds=1500))
    assert (stdout(execution), execution.exit_code) == (["on"], -1)
    assert stdout(await sessions.run(session_id, "echo $x")) == ["5"]


async def test_a_lost_state_does_not_end_the_session(sessions: Sessions, session_id: str) -> None:
    assert (await sessions.run(session_id, "x=5; kill -9 $$")).exit_code == -1
    after = await sessions.run(session_id, "echo [$x]")
    assert (stdout(after), after.exit_code) == (["[]"], 0)


async def test_sessions_do_not_see_each_other(sessions: Sessions, session_id: str) -> None:
    await sessions.run(session_id, "export x=5")
    other = await sessions.create()
    assert stdout(await sessions.run(other, "echo [$x]")) == ["[]"]
    await sessions.delete(other)
    assert stdout(await sessions.run(session_id, "echo [$x]")) == ["[5]"]


async def test_a_deleted_session_is_gone(sessions: Sessions) -> None:
    session_id = await sessions.create()
    await sessions.delete(session_id)
    with pytest.raises(SandboxApiException) as caught:
        await sessions.delete(session_id)
    assert (caught.value.status_code, caught.value.error.code) == (404, "CONTEXT_NOT_FOUND")
    with pytest.raises(SandboxApiException) as caught:
        await sessions.run(session_id, "true")
    assert (caught.value.status_code, caught.value.error.code) == (500, "RUNTIME_ERROR")
