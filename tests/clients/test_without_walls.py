"""A service in process mode, as it is in somebody else's container: paths, users and rights are the machine's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from opensandbox.exceptions import SandboxApiException
from opensandbox.models.execd import RunCommandOpts

from tests.clients.filesystems import OPENERS as FILES
from tests.clients.interpreters import OPENERS as INTERPRETERS
from tests.clients.sandboxes import SANDBOXES
from tests.running_service import RunningService, running_service

ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service whose sandboxes are folders of the machine."""
    with running_service(tmp_path_factory.mktemp("bare"), isolation="process") as running:
        yield running


@pytest.fixture
def bare_domain(bare: RunningService) -> str:
    """Where it speaks OpenSandbox's lifecycle API."""
    return f"{bare.authority}/opensandbox"


async def test_code_runs(bare_domain: str, variant: str) -> None:
    async with INTERPRETERS[variant](bare_domain) as interpreter:
        assert (await interpreter.run("6 * 7")).text == "42"


async def test_commands_run_as_users_of_the_machine(bare_domain: str, variant: str, public_folder: Path) -> None:
    uid, gid = (54321, 54322) if ROOT else (os.geteuid(), os.getegid())
    options = RunCommandOpts(uid=uid, gid=gid, working_directory=str(public_folder))
    async with SANDBOXES[variant](bare_domain) as sandbox:
        execution = await sandbox.call("commands", "run", "pwd; id -u; id -g", opts=options)
        assert [line.text for line in execution.logs.stdout] == [str(public_folder), str(uid), str(gid)]
        with pytest.raises(SandboxApiException) as caught:
            await sandbox.call("sandbox", "pause")
        assert caught.value.status_code == 501


async def test_files_are_those_of_the_machine(bare: RunningService, variant: str, public_folder: Path) -> None:
    public_folder.chmod(0o777)
    uid, gid = (54321, 54322) if ROOT else (os.geteuid(), os.getegid())
    async with FILES[variant](bare.authority) as machine:
        await machine.files("write_file", str(public_folder / "ours"), "ours")
        assert (public_folder / "ours").read_text() == "ours"
        await machine.files_as(uid, gid)("write_file", str(public_folder / "a/b"), "x")
        assert ((public_folder / "a/b").stat().st_uid, (public_folder / "a").stat().st_gid) == (uid, gid)
