"""Programs behind walls: the folders that they have been promised, and what is left in them."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import execd
from tests.live.agent import Agent
from tests.running_service import RunningService, running_service
from tests.walled.worlds import MIB, WORLDS, world_of


@pytest.fixture
def agent(service: RunningService) -> Iterator[Agent]:
    """An agent."""
    with service.client() as client:
        yield Agent(client)


@pytest.fixture
def thread() -> str:
    """A thread of the test's own."""
    return uuid.uuid4().hex


def bash(agent: Agent, code: str, thread: str | None = None) -> str:
    """What a program in bash prints."""
    found = agent.run(code, language="bash", thread_id=thread)
    assert found["stderr"] == "", found
    return str(found["stdout"])


def made(found: str) -> list[str]:
    """Of the lines that `find` has printed those that name something that no sandbox is shown of the machine: where the
    checkout is in /tmp, that is there too."""
    shown = [Path(execd.__file__).parent.parent, Path(sys.prefix)]
    return [
        line
        for line in found.splitlines()
        if not any(each.is_relative_to(line) or Path(line).is_relative_to(each) for each in shown)
    ]


def test_the_folders(agent: Agent, thread: str) -> None:
    for wanted in (thread, None):
        where = bash(agent, "pwd; echo $HOME; cd /home/baponi && pwd -P", wanted)
        assert where.splitlines() == ["/data", "/home/baponi", "/home/baponi"]
        # Nothing is in the folders before them.
        assert made(bash(agent, "find /data /tmp /dev/shm -mindepth 1", wanted)) == []
        programs = bash(agent, "which python3 grep rm", wanted).splitlines()
        assert [program.rpartition("/")[2] for program in programs] == ["python3", "grep", "rm"]


def test_only_the_home_of_a_thread_stays(agent: Agent, thread: str) -> None:
    places = "/home/baponi /data /tmp /dev/shm"
    bash(agent, f"for place in {places}; do mkdir -p $place/a/b; touch $place/a/b/c; chmod 0 $place/a/b; done", thread)
    left = f"chmod 700 ~/a/b; for place in {places}; do find $place -name c; done"
    assert bash(agent, left, thread) == "/home/baponi/a/b/c\n"
    assert bash(agent, f"find {places} -name c", "other") == ""
    assert bash(agent, f"find {places} -name c") == ""
    found = agent.run("import os; print(os.path.exists('/home/baponi/a/b/c'))", thread_id=thread)
    assert found["stdout"] == "True\n"


def test_files_of_a_thread(agent: Agent, thread: str) -> None:
    bash(agent, "echo tea > /home/baponi/made; ln -s /etc/passwd /home/baponi/link", thread)
    found = agent.files("list", id=thread).json()["files"]
    assert {each["path"]: each["size"] for each in found if each["path"] != "link"} == {"made": 4}


@pytest.mark.parametrize("kind", WORLDS)
def test_whatever_the_walls_are_the_home_alone_stays(kind: str) -> None:
    with world_of(kind) as service, service.client() as client:
        agent = Agent(client)
        places = '"$HOME" "$PWD" "$TMPDIR"'
        bash(agent, f'for place in {places}; do mkdir -p "$place/a/b"; echo x > "$place/a/b/c"; done', "t")
        bash(agent, 'chmod 0 "$PWD"; chmod 500 "$TMPDIR"; mkdir "$HOME/of-it"', "t")
        left = 'cat "$HOME/a/b/c"; find "$PWD" "$TMPDIR" -mindepth 1; echo y > b; echo y > "$TMPDIR/b"'
        assert made(bash(agent, left, "t")) == ["x"]
        # Where TMPDIR is in the home, something else can be put there.
        bash(agent, 'rm -rf "$TMPDIR" 2>&1; ln -s "$HOME/a" "$TMPDIR" 2>&1', "t")
        assert made(bash(agent, left, "t")) == ["x"]
        found = agent.files("list", id="t").json()["files"]
        assert {each["path"] for each in found} == {"a", "of-it"}


def test_a_program_that_takes_too_much_memory(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("memory")
    with running_service(folder, isolation="bwrap", sandbox_memory=200 * MIB) as service, service.client() as client:
        agent = Agent(client)
        found = agent.run("print('so far')\nb = bytearray(600 * 2**20)\nimport time; time.sleep(30)")
        assert (found["success"], found["stdout"], found["exit_code"]) == (False, "so far\n", 137)
        assert found["error"] == "memory_limit_exceeded"
        assert agent.record(found["trace_id"])["status"] == "oom"
