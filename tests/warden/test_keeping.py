"""What the warden keeps of a service's for the next one: ends of pipes, and how processes have ended."""

from __future__ import annotations

import os
from pathlib import Path
from signal import SIGKILL

import pytest

from execd.isolation.launch import Launch
from execd.isolation.plan import Mode, Plan
from execd.warden import client as client_module
from execd.warden.client import Child, Enclosure, Warden
from execd.warden.protocol import VERSION
from tests.warden.conftest import alive
from tests.warden.tools import Cases, ended, members, until

HOLD = "dd if=/dev/zero bs=1000 count=300 2>/dev/null; exit 3"


def keeping(cases: Cases, line: str, *, held: bool = False, stdin: bool = False) -> tuple[Child, int, int]:
    """A shell line whose output's end is kept, with our own copy of that, and with that of its input."""
    ours, theirs = os.pipe()
    their_input, our_input = os.pipe() if stdin else (cases.nothing, -1)
    keep = {"stdout": ours, "stdin": our_input} if stdin else {"stdout": ours}
    started = cases.start("sh", "-c", line, fds={0: their_input, 1: theirs}, keep=keep, held=held, label="x")
    os.close(theirs)
    if stdin:
        os.close(their_input)
    assert isinstance(started, Child)
    return started, ours, our_input


async def next_one(warden: Warden, enclosure: Enclosure, folder: Path) -> tuple[Warden, Enclosure]:
    """The next service, after this one has gone."""
    warden.hang_up()
    os.close(enclosure.root)
    following = await Warden.reach(folder, 60)
    return following, following.enclosures[enclosure.plan.id]


async def opened(folder: Path) -> tuple[Warden, Enclosure]:
    """A warden with a sandbox."""
    warden = await Warden.reach(folder, 60)
    return warden, await warden.open(Plan("sb_1", Mode.PROCESS, None, "/", "/"))


def read_all(fd: int) -> bytes:
    """Everything until the end."""
    with os.fdopen(fd, "rb") as file:
        return file.read()


@pytest.mark.parametrize("held", [False, True])
async def test_a_pipe_without_a_service_is_not_broken_and_nothing_is_lost(folder: Path, held: bool) -> None:
    warden, enclosure = await opened(folder)
    with Cases(enclosure, "/") as cases:
        _, ours, _ = keeping(cases, HOLD, held=held)
        os.close(ours)
        warden, enclosure = await next_one(warden, enclosure, folder)
    [child] = enclosure.claim("x")
    kept = child.take()
    assert list(kept) == ["stdout"]
    assert len(read_all(kept["stdout"])) == 300_000
    assert (await ended(child)).code == 3
    child.release()
    await enclosure.close()
    await warden.end()


async def test_how_it_ended_is_told_to_each_service_until_it_is_released(folder: Path) -> None:
    warden, enclosure = await opened(folder)
    with Cases(enclosure, "/") as cases:
        started, ours, _ = keeping(cases, "exit 5")
        os.close(ours)
        assert (await ended(started)).code == 5
        for _ in range(2):
            warden, enclosure = await next_one(warden, enclosure, folder)
            [child] = enclosure.claim("x")
            assert child.exit is not None
            assert child.exit.code == 5
            started = child
        started.release()
        warden, enclosure = await next_one(warden, enclosure, folder)
        assert enclosure.children == []
    await enclosure.close()
    await warden.end()


async def test_an_input_ends_when_what_is_kept_of_it_is_dropped(warden: Warden, cases: Cases) -> None:
    started, ours, our_input = keeping(cases, "cat; echo over", stdin=True)
    os.write(our_input, b"a line\n")
    os.close(our_input)
    started.drop("stdin")
    assert (await ended(started)).code == 0
    started.release()
    assert read_all(ours) == b"a line\nover\n"


async def test_a_pipe_is_broken_once_nobody_wants_it_any_more(warden: Warden, cases: Cases) -> None:
    started, ours, _ = keeping(cases, "sleep 1000 & while :; do echo y; done")
    os.close(ours)
    started.release()
    assert (await ended(started)).code == -13


async def test_nothing_that_is_kept_gets_into_a_process(warden: Warden, cases: Cases) -> None:
    first, ours, _ = keeping(cases, "sleep 1000")
    _, listed = await cases.run("sh", "-c", "ls /proc/self/fd | wc -l")
    # Without a pipe, of which the shell would have its ends until it has started both commands.
    _, own = await cases.run("sh", "-c", "ls /proc/$$/fd; true")
    assert (listed, own.split()) == ("4\n", ["0", "1", "2"])
    os.close(ours)
    first.signal_group(SIGKILL)
    await ended(first)
    first.release()


async def test_the_warden_keeps_no_descriptor_for_long(warden: Warden, cases: Cases, enclosure: Enclosure) -> None:
    before = len(list(Path(f"/proc/{warden.pid}/fd").iterdir()))
    ours, theirs = os.pipe()
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            cases.start("no-such-program", keep={"stdout": ours})
        started = cases.start("true", keep={"stdout": ours})
        await ended(started)
        started.release()
    left = cases.start("sleep", "1000", keep={"stdout": ours})
    os.close(ours)
    os.close(theirs)
    await enclosure.close()
    assert (await ended(left)).code == -SIGKILL
    await until(lambda: len(list(Path(f"/proc/{warden.pid}/fd").iterdir())) <= before)


async def test_what_nobody_claims_is_ended(folder: Path) -> None:
    warden, enclosure = await opened(folder)
    with Cases(enclosure, "/") as cases:
        started = cases.start("sleep", "1000", label="a")
        held = cases.start("sh", "-c", "sleep 1000 & wait", held=True, label="b")
        wanted = cases.start("sleep", "1000", label="c")
    warden, enclosure = await next_one(warden, enclosure, folder)
    assert [child.pid for child in enclosure.claim("c")] == [wanted.pid]
    assert enclosure.claim("c") == []
    assert enclosure.disown() == ["a", "b"]
    await until(lambda: not alive(started.pid) and not alive(held.pid))
    await until(lambda: members(warden.pid) == [wanted.pid])
    await enclosure.close()
    await warden.end()


async def test_a_warden_of_another_version_is_ended_and_not_misread(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warden, enclosure = await opened(folder)
    with Cases(enclosure, "/") as cases:
        left = cases.start("sleep", "1000")
    first = warden.pid
    warden.hang_up()
    os.close(enclosure.root)
    monkeypatch.setattr(client_module, "VERSION", VERSION + 1)
    with pytest.raises(OSError, match="does not listen"):
        await Warden.reach(folder, 60)
    await until(lambda: not alive(first) and not alive(left.pid))
    monkeypatch.undo()
    again = await Warden.reach(folder, 60)
    assert again.enclosures == {}
    await again.end()


def test_what_is_kept_is_nothing_unless_it_is_asked_for() -> None:
    assert Launch(("true",), "/", {}, {}).keep == {}
