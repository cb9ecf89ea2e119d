"""Commands through OpenSandbox's Python SDK, async and sync."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import pytest
from opensandbox.exceptions import SandboxApiException, SandboxException
from opensandbox.models.execd import Execution, RunCommandOpts

from tests.clients.heard import Heard
from tests.clients.sandboxes import SANDBOXES, AnySandbox
from tests.live.waiting import eventually_found


@pytest.fixture
async def sandbox(domain: str, variant: str) -> AsyncIterator[AnySandbox]:
    """A new sandbox of either variant."""
    async with SANDBOXES[variant](domain) as opened:
        yield opened


async def run(sandbox: AnySandbox, command: str | list[str], handlers: Any = None, **options: Any) -> Execution:
    """`commands.run`."""
    execution = await sandbox.call("commands", "run", command, opts=RunCommandOpts(**options), handlers=handlers)
    assert isinstance(execution, Execution)
    return execution


def lines(execution: Execution) -> list[str]:
    """What was printed, line by line."""
    return [message.text for message in execution.logs.stdout]


async def test_a_command_that_succeeds(sandbox: AnySandbox) -> None:
    execution = await run(sandbox, "echo out; echo; echo err >&2; printf 'ü\\u2028 end'")
    assert lines(execution) == ["out", "\n", "ü\u2028 end"]
    assert [message.text for message in execution.logs.stderr] == ["err"]
    assert (execution.exit_code, execution.error) == (0, None)
    assert execution.complete is not None
    assert execution.id


@pytest.mark.parametrize(("line", "code"), [("exit 3", 3), ("no-such-program", 127), ("kill -9 $$", -1)])
async def test_a_command_that_fails(sandbox: AnySandbox, line: str, code: int) -> None:
    execution = await run(sandbox, line)
    assert execution.exit_code == code
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("CommandExecError", str(code))
    assert execution.complete is None


async def test_argv_is_taken_literally(sandbox: AnySandbox) -> None:
    assert lines(await run(sandbox, ["printf", "%s\n", "$HOME", "a  b", "*"])) == ["$HOME", "a  b", "*"]


async def test_what_cannot_be_started(sandbox: AnySandbox) -> None:
    execution = await run(sandbox, ["no-such-program"])
    assert execution.exit_code is None
    assert execution.error is not None
    assert execution.error.value == "no-such-program: No such file or directory"


async def test_folder_variables_and_identity(sandbox: AnySandbox) -> None:
    line = "pwd; echo $A; id -u; id -g; id -un"
    execution = await run(sandbox, line, working_directory="/tmp", envs={"A": "x y"}, uid=1000, gid=1000)
    assert lines(execution) == ["/tmp", "x y", "1000", "1000", "user"]


@pytest.mark.parametrize("identity", [{"uid": 0}, {"uid": 1001}, {"uid": 1000, "gid": 0}])
async def test_there_is_nobody_else_to_be(sandbox: AnySandbox, identity: dict[str, int]) -> None:
    with pytest.raises(SandboxApiException, match="this sandbox has one user, uid 1000, gid 1000") as caught:
        await run(sandbox, "id", **identity)
    assert (caught.value.status_code, caught.value.error.code) == (400, "INVALID_REQUEST_BODY")


async def test_a_folder_that_is_not_there(sandbox: AnySandbox) -> None:
    with pytest.raises(SandboxApiException, match="there is none") as caught:
        await run(sandbox, "pwd", working_directory="/no/such/folder")
    assert (caught.value.status_code, caught.value.error.code) == (400, "INVALID_REQUEST_BODY")


async def test_a_time_limit(sandbox: AnySandbox) -> None:
    execution = await run(sandbox, "echo before; sleep 600", timeout=timedelta(milliseconds=1500))
    assert (lines(execution), execution.exit_code) == (["before"], -1)


async def test_many_lines(sandbox: AnySandbox) -> None:
    assert lines(await run(sandbox, "seq 1 20000")) == [str(number) for number in range(1, 20001)]


async def test_handlers_hear_everything_as_it_happens(sandbox: AnySandbox) -> None:
    heard = Heard()
    execution = await run(sandbox, "echo a; echo b; exit 2", handlers=sandbox.handlers(heard))
    assert heard.kinds == ["init", "stdout", "error"]
    assert [given.text for given in heard.all("stdout")] == ["a", "b"]
    assert heard.calls[0][1].id == execution.id


class TestSetEnv:
    @pytest.mark.parametrize("value", ["plain", "", "two\nlines\t\r end ", "'single' \"double\" \\n", "$HOME ü🙂"])
    async def test_a_variable_that_lasts(self, sandbox: AnySandbox, value: str) -> None:
        await sandbox.call("commands", "set_env", "LASTING", value)
        execution = await run(sandbox, ["python3", "-c", "import os; print(ascii(os.environ['LASTING']))"])
        assert lines(execution) == [ascii(value)]

    async def test_a_request_s_own_counts_more(self, sandbox: AnySandbox) -> None:
        await sandbox.call("commands", "set_env", "LASTING", "kept")
        assert lines(await run(sandbox, "echo $LASTING", envs={"LASTING": "mine"})) == ["mine"]

    async def test_where_it_cannot_be_written_it_fails(self, sandbox: AnySandbox) -> None:
        # The SDK gives `run` no variables here, so the file itself becomes something else.
        await run(sandbox, "rm -f $EXECD_ENVS && mkdir $EXECD_ENVS")
        with pytest.raises(SandboxException, match="set_env failed"):
            await sandbox.call("commands", "set_env", "LASTING", "lost")


class TestInTheBackground:
    async def test_status_and_logs(self, sandbox: AnySandbox) -> None:
        line = "echo begun; until [ -e go ]; do sleep 0.02; done; echo ended >&2; exit 5"
        started = await run(sandbox, line, background=True, working_directory="/tmp")
        assert started.exit_code is None
        ask = partial(sandbox.call, "commands", "get_background_command_logs", started.id)
        logs = await eventually_found(ask, lambda found: bool(found.content))
        assert (logs.content, logs.cursor) == ("begun\n", 6)
        status = await sandbox.call("commands", "get_command_status", started.id)
        assert (status.id, status.content, status.running, status.exit_code) == (started.id, line, True, None)
        await run(sandbox, "touch /tmp/go")
        ask = partial(sandbox.call, "commands", "get_command_status", started.id)
        status = await eventually_found(ask, lambda found: not found.running)
        assert (status.exit_code, status.error) == (5, "exit status 5")
        assert status.started_at < status.finished_at
        logs = await sandbox.call("commands", "get_background_command_logs", started.id, cursor=logs.cursor)
        assert (logs.content, logs.cursor) == ("ended\n", 12)

    async def test_interrupt(self, sandbox: AnySandbox) -> None:
        started = await run(sandbox, "sleep 600", background=True)
        await sandbox.call("commands", "interrupt", started.id)
        status = await sandbox.call("commands", "get_command_status", started.id)
        assert (status.running, status.exit_code) == (False, -1)
        with pytest.raises(SandboxApiException, match="ended already") as caught:
            await sandbox.call("commands", "interrupt", started.id)
        assert (caught.value.status_code, caught.value.error.code) == (500, "RUNTIME_ERROR")

    async def test_what_is_not_there(self, sandbox: AnySandbox) -> None:
        with pytest.raises(SandboxApiException) as caught:
            await sandbox.call("commands", "get_command_status", "nobody")
        assert caught.value.status_code == 404
        with pytest.raises(SandboxApiException) as caught:
            await sandbox.call("commands", "get_background_command_logs", "nobody")
        assert caught.value.status_code == 400


async def test_a_command_in_the_foreground_is_interrupted(sandbox: AnySandbox) -> None:
    heard = Heard()

    async def interrupt() -> None:
        init = await heard.first("init")
        await heard.first("stdout")
        await sandbox.call("commands", "interrupt", init.id)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(interrupt)
        execution = await run(sandbox, "echo ready; sleep 600", handlers=sandbox.handlers(heard))
    assert (lines(execution), execution.exit_code) == (["ready"], -1)
