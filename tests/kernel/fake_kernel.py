"""A kernel that replays what ipykernel said: for tests of what happens around a kernel, without one.

Its answers to a stimulus (an interrupt, a nudge, a line of input, its own death) are delivered inside the very call,
so what a test sees depends on no timing.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from execd.kernel.kernelspec import KernelSpec
from execd.kernel.messages import Message
from execd.kernel.request import Emit, ExecuteRequest, PendingRequest
from execd.kernel.trace import KernelTrace, Trace
from execd.waiting import Occasion

SPEC = KernelSpec("python", "Python", ("python",), (), Path("/nowhere"))

_RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())

Step = Message | str


def say(kind: str, **content: Any) -> Message:
    """A message as a kernel sends it; its parent is filled in when it is replayed."""
    return Message(kind, "", json.dumps(content).encode())


def recorded(name: str) -> list[Step]:
    """A recorded cell: messages, and a word where the kernel waited for a stimulus."""
    traffic = _RECORDED[name]["traffic"]
    return [found["on"] if "on" in found else say(found["type"], **found["content"]) for found in traffic]


def printed(text: str) -> Message:
    """What print() makes a kernel say."""
    return say("stream", name="stdout", text=text)


def code_of(name: str) -> str:
    """The code of a recorded cell."""
    return str(_RECORDED[name]["code"])


STARTED = recorded("silent")[:2]
ENDED = recorded("silent")[2:]
INTERRUPTED = recorded("sleep")[recorded("sleep").index("interrupt") + 1 :]


def until(stimulus: str) -> list[Step]:
    """A cell that runs until this stimulus, and ends in a KeyboardInterrupt."""
    return [*STARTED, stimulus, *INTERRUPTED]


SCRIPTS: dict[str, list[Step]] = {
    **{code_of(name): recorded(name) for name in _RECORDED},
    "hold": [*STARTED, "release", *ENDED],
    "hang": [*STARTED, "never"],
    "die": [*STARTED, printed("so far\n"), "death", printed("last words\n")],
    **{f"until {stimulus}": until(stimulus) for stimulus in ("interrupt", "nudge", "interrupt_again")},
}


class FakeProcess:
    """The process of a fake kernel."""

    def __init__(self) -> None:
        self.dead = Occasion()
        self.exit_code: int | None = None
        self.oom = False

    @property
    def pid(self) -> int | None:
        return None

    @property
    def alive(self) -> bool:
        return not self.dead.is_set()

    async def kill(self) -> None:
        self.die(-9)

    def die(self, code: int) -> None:
        """End it, with this exit code."""
        if self.alive:
            self.exit_code = code
            self.dead.set()

    def cpu_seconds(self) -> float | None:
        return 1.5 if self.alive else None

    def reset_peak_memory(self) -> None:
        """Nothing to reset."""

    def peak_memory(self) -> int | None:
        return 4096 if self.alive else None


class FakeKernel:
    """Fulfils execd.kernel.interpreter.Interpreter. `ran` is the code that it was given, `heard` what else it was."""

    def __init__(self, spec: KernelSpec = SPEC) -> None:
        self.spec = spec
        self.process = FakeProcess()
        self.ran: list[str] = []
        self.heard: list[str] = []
        self.shut_down = False
        self.request: PendingRequest | None = None
        self._steps: deque[Step] = deque()
        self._stimuli: set[str] = set()
        self._executed = anyio.Event()

    @property
    def alive(self) -> bool:
        return self.process.alive

    def execute(
        self, wanted: ExecuteRequest, emit: Emit, changed: Callable[[], None], request: str = ""
    ) -> PendingRequest:
        """Replay the script of this code; code without one runs and prints nothing."""
        self.ran.append(wanted.code)
        self.request = PendingRequest(request or f"m{len(self.ran)}", emit, changed)
        self._steps = deque(SCRIPTS.get(wanted.code) or recorded("silent"))
        self._stimuli.clear()
        self._replay()
        self._executed.set()
        self._executed = anyio.Event()
        return self.request

    async def interrupt(self) -> None:
        again = "interrupt" in self.heard and "interrupt_again" in self._steps
        self.stimulate("interrupt_again" if again else "interrupt")

    @property
    def trace(self) -> Trace:
        return KernelTrace("k", "key", "identity")

    def follow(self, emit: Emit, changed: Callable[[], None]) -> PendingRequest:
        """What `execute` was given by somebody else."""
        assert self.request is not None
        self.request.emit, self.request.changed = emit, changed
        return self.request

    def hold(self) -> None:
        self.heard.append("hold")

    def go_on(self) -> None:
        self.heard.append("go_on")

    def nudge(self) -> None:
        self.stimulate("nudge")

    def answer_input(self, value: str) -> None:
        self.heard.append(value)
        self.stimulate("input")

    def stimulate(self, stimulus: str) -> None:
        """Whatever waits for this goes on; by default that is the cell that runs."""
        self.heard.append(stimulus)
        if self._steps and self._steps[0] == stimulus:
            self._steps.popleft()
            self._replay()

    def die(self, code: int = -9) -> None:
        """The process ends; what it had still written comes with `last_words`."""
        self.process.die(code)

    async def last_words(self) -> None:
        self.stimulate("death")

    def leave(self) -> None:
        self.heard.append("leave")

    async def shutdown(self) -> None:
        self.shut_down = True
        await self.process.kill()

    def late(self, message: Message) -> None:
        """Something that the cell run last still says after its end."""
        assert self.request is not None
        self.request.receive(message)

    def _replay(self) -> None:
        assert self.request is not None
        while self._steps and isinstance(self._steps[0], Message):
            message = self._steps.popleft()
            assert isinstance(message, Message)
            self.request.receive(message)


class FakeKernels:
    """Starts fake kernels, as a context asks: `made` are all so far. `gate`, when set, holds a start back."""

    def __init__(self, *failures: Exception) -> None:
        self.made: list[FakeKernel] = []
        self.folders: list[Path] = []
        self.starting = anyio.Event()
        self.gate: anyio.Event | None = None
        self._failures = deque(failures)

    async def __call__(self, spec: KernelSpec, cwd: Path) -> FakeKernel:
        kernel = FakeKernel(spec)
        self.folders.append(cwd)
        self.starting.set()
        try:
            if self.gate is not None:
                await self.gate.wait()
        except BaseException:
            await kernel.shutdown()
            raise
        if self._failures:
            raise self._failures.popleft()
        self.made.append(kernel)
        return kernel

    @property
    def last(self) -> FakeKernel:
        return self.made[-1]

    @property
    def ran(self) -> list[str]:
        """What all of them ran, in order."""
        return [code for kernel in self.made for code in kernel.ran]

    @property
    def living(self) -> int:
        """How many of them still live."""
        return sum(kernel.alive for kernel in self.made)

    def fail_next(self, failure: Exception) -> None:
        """Let the next start fail."""
        self._failures.append(failure)
