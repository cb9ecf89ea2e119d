"""Interpreters whose service was killed, as the next service has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from execd.errors import KernelStartFailed
from execd.events import Event, InputRequest, Output
from execd.kernel.bash import BashKernel, BashStart
from execd.kernel.interpreter import Interpreter
from execd.kernel.kernel import Kernel, KernelStart
from execd.kernel.request import ExecuteRequest, PendingRequest
from execd.kernel.trace import BashTrace, KernelTrace
from execd.warden.client import Enclosure, Warden
from tests.kernel import left_behind
from tests.launching import warden_folder

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a warden is, which ends with the test."""
    with warden_folder() as made:
        yield made


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder for the sockets of kernels."""
    with tempfile.TemporaryDirectory(prefix="execd-runtime-", dir="/tmp") as name:
        yield Path(name)


@contextmanager
def gone(folder: Path, runtime: Path, language: str, before: str, then: str = "", until: str = "") -> Iterator[Any]:
    """What a service has saved of an interpreter before it was killed, which it is when the block begins."""
    command = [sys.executable, "-m", "tests.kernel.left_behind", str(folder), str(runtime)]
    with subprocess.Popen([*command, language, before, then, until], stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        told = service.stdout.readline()
        service.kill()
    yield json.loads(told)


class Next:
    """The next service, with the interpreter that it has adopted."""

    def __init__(self, kernel: Interpreter, enclosure: Enclosure) -> None:
        self.kernel = kernel
        self.enclosure = enclosure
        self._news = anyio.Event()

    async def run(self, code: str) -> str:
        """What code says on stdout, which must succeed."""
        events: list[Event] = []
        request = self.kernel.execute(ExecuteRequest(code), events.append, self.wake)
        await self.ended(request)
        assert (request.reply or {}).get("status") == "ok", events
        return said(events)

    async def followed(self) -> tuple[PendingRequest, list[Event]]:
        """What was running, once it has ended."""
        events: list[Event] = []
        request = self.kernel.follow(events.append, self.wake)
        await self.ended(request)
        return request, events

    async def ended(self, request: PendingRequest) -> None:
        """Return once it has."""
        with anyio.fail_after(30):
            while not request.ended:
                self._news = anyio.Event()
                await self._news.wait()

    def wake(self) -> None:
        """Something has changed."""
        self._news.set()


def said(events: list[Event]) -> str:
    """What stands on stdout."""
    return "".join(event.text for event in events if isinstance(event, Output) and event.type == "stdout")


@asynccontextmanager
async def adopted(folder: Path, runtime: Path, saved: Mapping[str, Any], request: str = "") -> AsyncIterator[Next]:
    """The next service, for as long as the block runs."""
    warden = await Warden.reach(folder, 60)
    enclosure = warden.enclosures[left_behind.SANDBOX]
    starting = left_behind.starting(enclosure, runtime)
    try:
        kernel = await _adopt(starting, enclosure, saved, request)
        try:
            yield Next(kernel, enclosure)
        finally:
            await kernel.shutdown()
    finally:
        with anyio.CancelScope(shield=True):
            await enclosure.close()
            warden.hang_up()
            starting.context.destroy(linger=0)


async def _adopt(starting: KernelStart, enclosure: Enclosure, saved: Mapping[str, Any], request: str) -> Interpreter:
    if "marker" not in saved:
        spec = left_behind.kernelspecs().get("python")
        return await Kernel.adopt(starting, spec, KernelTrace.from_json(saved), enclosure.claim, request)
    spec, start = left_behind.kernelspecs().get("bash"), BashStart(enclosure, Path("/tmp"), left_behind.environment())
    return await BashKernel.adopt(start, spec, BashTrace.from_json(saved), enclosure.claim, request)


@pytest.mark.parametrize(
    ("language", "before", "then"),
    [("python", "kept = 'variable'", "print(kept)"), ("bash", "kept=variable; f() { echo $kept; }", "f")],
)
async def test_its_state_is_there(folder: Path, runtime: Path, language: str, before: str, then: str) -> None:
    with gone(folder, runtime, language, before) as saved:
        async with adopted(folder, runtime, saved) as service:
            assert await service.run(then) == "variable\n"
            assert await service.run(then) == "variable\n"


RELEASED = "import time, os\nprint('begun', flush=True)\nwhile not os.path.exists({gate!r}): time.sleep(0.01)\n"
SHELL_RELEASED = "echo begun; until [ -e {gate} ]; do sleep 0.01; done; "


@pytest.mark.parametrize(
    ("language", "code"),
    [("python", RELEASED + "print('x' * 300_000)\nprint('done')"), ("bash", SHELL_RELEASED + "echo done; (exit 3)")],
)
async def test_what_it_runs_goes_on(folder: Path, runtime: Path, tmp_path: Path, language: str, code: str) -> None:
    gate = tmp_path / "gate"
    with gone(
        folder, runtime, language, "1" if language == "python" else ":", code.format(gate=str(gate)), "begun"
    ) as saved:
        async with adopted(folder, runtime, saved, "run_2") as service, anyio.create_task_group() as group:
            group.start_soon(anyio.Path(gate).touch)
            request, events = await service.followed()
            assert said(events).endswith("done\n")
            assert request.exit_code == (3 if language == "bash" else None)
            assert (request.reply or {})["status"] == ("error" if language == "bash" else "ok")


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", RELEASED + "print('x' * 300_000)\nprint('done', flush=True)\nopen({end!r}, 'w').close()\n1/0"),
        ("bash", SHELL_RELEASED + "printf '%300000s\\n' y | tr ' ' x & wait; echo done; : > {end}; (exit 3)"),
    ],
)
async def test_what_ended_while_nobody_was_there_is_known(
    folder: Path, runtime: Path, tmp_path: Path, language: str, code: str
) -> None:
    gate, end = tmp_path / "gate", tmp_path / "end"
    text = code.format(gate=str(gate), end=str(end))
    with gone(folder, runtime, language, "1" if language == "python" else ":", text, "begun") as saved:
        gate.touch()
        if language == "python":
            with anyio.fail_after(30):
                while not end.exists():  # noqa: ASYNC110 - nobody tells it
                    await anyio.sleep(0.01)
        async with adopted(folder, runtime, saved, "run_2") as service:
            request, events = await service.followed()
            assert said(events).count("x") in (299_999, 300_000)
            assert said(events).endswith("done\n")
            assert (request.reply or {})["status"] == "error"


async def test_a_shell_that_has_ended_meanwhile_has_written_its_state_down(
    folder: Path, runtime: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = SHELL_RELEASED.format(gate=gate) + "kept=late; exit 7"
    with gone(folder, runtime, "bash", ":", code, "begun") as saved:
        gate.touch()
        async with adopted(folder, runtime, saved, "run_2") as service:
            request, _ = await service.followed()
            assert request.exit_code == 7
            assert await service.run("echo $kept $?") == "late 7\n"


async def test_a_shell_that_had_ended_before_goes_on_as_well(folder: Path, runtime: Path) -> None:
    with gone(folder, runtime, "bash", "kept=early; exit 7") as saved:
        async with adopted(folder, runtime, saved) as service:
            assert await service.run("echo $kept $?") == "early 7\n"
            assert await service.run("echo $kept") == "early\n"


async def test_one_that_was_killed_meanwhile_is_lost(folder: Path, runtime: Path) -> None:
    for language in ("bash", "python"):
        with gone(folder, runtime, language, "echo=1") as saved:
            warden = await Warden.reach(folder, 60)
            enclosure = warden.enclosures[left_behind.SANDBOX]
            [child] = enclosure.claim(saved["marker"] if language == "bash" else saved["folder"])
            os.kill(child.pid, 9)
            ended = anyio.Event()
            child.on_exit(lambda _, ended=ended: ended.set())  # type: ignore[misc]
            await ended.wait()
            os.close(enclosure.root)
            warden.hang_up()
            if language == "python":
                with pytest.raises(KernelStartFailed):
                    async with adopted(folder, runtime, saved):
                        pass
            else:
                async with adopted(folder, runtime, saved) as service:
                    with anyio.fail_after(30):
                        await service.kernel.process.dead.wait()
        await _closed(folder)


@pytest.mark.parametrize("until", ["a line?", "begun"])
async def test_input_is_asked_for_and_given_by_different_services(
    folder: Path, runtime: Path, tmp_path: Path, until: str
) -> None:
    gate = tmp_path / "gate"
    if until == "a line?":
        gate.touch()
    code = RELEASED.format(gate=str(gate)) + "print(input('a line?'))"
    with gone(folder, runtime, "python", "1", code, until) as saved:
        gate.touch()
        async with adopted(folder, runtime, saved, "run_2") as service:
            asked, events = anyio.Event(), list[Event]()

            def emit(event: Event) -> None:
                events.append(event)
                if isinstance(event, InputRequest):
                    asked.set()

            request = service.kernel.follow(emit, service.wake)
            if until == "begun":
                with anyio.fail_after(30):
                    await asked.wait()
            service.kernel.answer_input("a line")
            await service.ended(request)
            assert said(events).endswith("a line\n")


async def test_an_interrupt_reaches_what_was_running(folder: Path, runtime: Path) -> None:
    with gone(folder, runtime, "python", "kept = 5", "print('begun', flush=True)\nwhile True: pass", "begun") as saved:
        async with adopted(folder, runtime, saved, "run_2") as service:
            await service.kernel.interrupt()
            request, _ = await service.followed()
            assert (request.reply or {})["ename"] == "KeyboardInterrupt"
            assert await service.run("print(kept)") == "5\n"


@pytest.mark.parametrize("language", ["python", "bash"])
async def test_what_it_has_never_got_it_says_that_it_has_not(folder: Path, runtime: Path, language: str) -> None:
    with gone(folder, runtime, language, "kept=1") as saved:
        async with adopted(folder, runtime, saved, "run_2") as service:
            request, events = await service.followed()
            assert (request.never, request.unknown, events) == (True, False, [])
            assert await service.run("print(kept)" if language == "python" else "echo $kept") == "1\n"


@pytest.mark.parametrize("language", ["python", "bash"])
async def test_no_run_is_carried_out_twice(folder: Path, runtime: Path, tmp_path: Path, language: str) -> None:
    file = tmp_path / "file"
    code = f"open({str(file)!r}, 'a').write('x'); 1/0" if language == "python" else f"printf x >> {file}; (exit 9)"
    with gone(folder, runtime, language, code) as saved:
        # The next service may not know that its end has come.
        async with adopted(folder, runtime, saved, "run_1") as service:
            request, _ = await service.followed()
            assert not request.never
            assert (request.reply or {})["status"] == "error"
            assert request.exit_code == (9 if language == "bash" else None)
        assert file.read_text() == "x"


async def _closed(folder: Path) -> None:
    warden = await Warden.reach(folder, 60)
    for enclosure in list(warden.enclosures.values()):
        await enclosure.close()
    warden.hang_up()
