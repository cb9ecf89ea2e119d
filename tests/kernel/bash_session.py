"""A real bash session, its kernel driven without a service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from execd.events import Event, Output
from execd.isolation.launch import Launcher
from execd.kernel.bash import BashKernel, BashStart
from execd.kernel.kernelspec import Kernelspecs, bundled_kernels
from execd.kernel.request import ExecuteRequest, PendingRequest

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "GIVEN": "from outside"}


@dataclass
class Ran:
    """What became of a run. `code` is None when the session was lost with it."""

    events: list[Event] = field(default_factory=list)
    code: int | None = None

    @property
    def stdout(self) -> str:
        """Everything on stdout."""
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        """Everything on stderr."""
        return self._text("stderr")

    def _text(self, stream: str) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Output) and event.type == stream)


class Running:
    """A run under way."""

    def __init__(self, session: Session, wanted: ExecuteRequest) -> None:
        self.ran = Ran()
        self._session = session
        self._listener: Callable[[Event], None] = self.ran.events.append
        self._heard = anyio.Event()
        self._request: PendingRequest = session.kernel.execute(wanted, self._emit, self._wake)

    async def until(self, condition: Callable[[], object]) -> None:
        """Return as soon as the condition holds, which an event or an end must bring about."""
        with anyio.fail_after(60):
            while not condition():
                self._heard = anyio.Event()
                await self._heard.wait()

    async def begun(self) -> None:
        """Return once the shell has begun it."""
        await self.until(lambda: self._request.begun)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Give the events to somebody else, who need not keep them."""
        self._listener = listener

    async def says(self, text: str) -> None:
        """Return once this is on stdout."""
        await self.until(lambda: text in self.ran.stdout)

    async def end(self) -> Ran:
        """What became of it."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._hear_of_death)
            await self.until(lambda: self._request.ended or not self._session.kernel.alive)
            group.cancel_scope.cancel()
        self.ran.code = self._request.exit_code
        return self.ran

    async def _hear_of_death(self) -> None:
        await self._session.kernel.process.dead.wait()
        self._wake()

    def _wake(self) -> None:
        self._heard.set()

    def _emit(self, event: Event) -> None:
        self._listener(event)
        self._wake()


class Session:
    """A session; `run` is one run to its end."""

    def __init__(self, kernel: BashKernel) -> None:
        self.kernel = kernel

    @property
    def pid(self) -> int:
        """The present shell."""
        assert self.kernel.process.pid is not None
        return self.kernel.process.pid

    def begin(self, code: str, cwd: str | None = None, **envs: str) -> Running:
        """Start a run, with variables of its own."""
        return Running(self, ExecuteRequest(code, cwd=cwd, envs=envs))

    async def run(self, code: str, cwd: str | None = None, **envs: str) -> Ran:
        """Run code to its end."""
        return await self.begin(code, cwd, **envs).end()

    async def says(self, code: str, **envs: str) -> str:
        """What a run that succeeds in silence on stderr has on stdout."""
        ran = await self.run(code, **envs)
        assert (ran.code, ran.stderr) == (0, ""), ran
        return ran.stdout


@asynccontextmanager
async def bash_session(launcher: Launcher, cwd: Path, env: Mapping[str, str] = ENVIRONMENT) -> AsyncIterator[Session]:
    """A session in this folder; nothing of it is left afterwards."""
    spec = Kernelspecs.read(bundled_kernels(), Path("python")).get("bash")
    kernel = await BashKernel.start(BashStart(launcher, cwd, env), spec)
    try:
        yield Session(kernel)
    finally:
        await kernel.shutdown()
