"""A living kernel: its process and its channels, and what can be asked of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from signal import SIGKILL

import anyio
import structlog
import zmq

from execd.errors import KernelStartFailed
from execd.isolation.launch import Launcher, what_failed
from execd.kernel.adopting import Claim
from execd.kernel.channels import Channels
from execd.kernel.connection import Connection, Runtime
from execd.kernel.inquiry import Inquiry
from execd.kernel.kernelspec import KernelSpec
from execd.kernel.messages import Message
from execd.kernel.process import KernelProcess
from execd.kernel.request import Emit, ExecuteRequest, Followed, PendingRequest
from execd.kernel.trace import KernelTrace
from execd.waiting import Occasion, first_of

log = structlog.get_logger(__name__)

_REMEMBERED_REQUESTS = 256
_ASK_AGAIN_SECONDS = 0.5
_QUIET_SECONDS = 0.05
_LAST_WORDS_SECONDS = 0.5
_ENTER_SECONDS = 2.0
_LAST_DRAINS = 16
_ENTER, _ENTERED = "execd_enter_request", "execd_enter_reply"
_ENVS = "execd_envs"
_INPUT = "execd_input"


@dataclass(frozen=True, slots=True)
class KernelStart:
    """What starting kernels in one sandbox takes. `timeout` in seconds."""

    context: zmq.Context[zmq.Socket[bytes]]
    launcher: Launcher
    runtime: Runtime
    timeout: float


class Kernel:
    """One kernel process with its channels: made by `start`, or by `adopt` for one that an earlier service has started;
    `shutdown` must be called once it is no longer wanted."""

    def __init__(
        self,
        spec: KernelSpec,
        process: KernelProcess,
        connection: Connection,
        context: zmq.Context[zmq.Socket[bytes]],
    ) -> None:
        self.spec = spec
        self.process = process
        self._connection = connection
        self._channels = Channels(context, connection, self._receive)
        self._requests: OrderedDict[str, PendingRequest] = OrderedDict()
        self._heard = Occasion()
        self._entering: Callable[[bool], None] | None = None
        self._followed: Followed | None = None
        self._inquiry: Inquiry | None = None

    @classmethod
    async def start(cls, starting: KernelStart, spec: KernelSpec, cwd: PurePath, env: Mapping[str, str]) -> Kernel:
        """A kernel that is ready to run code, or KernelStartFailed after at most `starting.timeout` seconds."""
        try:
            connection = Connection.make(starting.runtime)
        except OSError as error:
            raise KernelStartFailed(spec.language, str(error)) from error
        try:
            process = await KernelProcess.launch(starting.launcher, spec, connection, cwd, {**env, **dict(spec.env)})
        except OSError as error:
            connection.remove()
            raise KernelStartFailed(spec.language, what_failed(error)) from error
        try:
            with anyio.fail_after(starting.timeout):
                return await cls._connect(starting.context, spec, process, connection)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await process.kill()
            connection.remove()
            if isinstance(error, TimeoutError):
                why = f"it was not ready after {starting.timeout:g} s"
                raise KernelStartFailed(spec.language, why) from None
            raise

    @classmethod
    async def adopt(
        cls, starting: KernelStart, spec: KernelSpec, trace: KernelTrace, claim: Claim, request: str = ""
    ) -> Kernel:
        """The kernel that an earlier service has left. It may be carrying out `request`: then `follow` tells of that.
        It may stand still, and is not waited for. Raises KernelStartFailed where it is gone."""
        connection = trace.connection(starting.runtime)
        found = [child for child in claim(connection.label) if child.exit is None]
        if not found:
            raise KernelStartFailed(spec.language, "its process is gone")
        try:
            kernel = cls(spec, KernelProcess.adopt(found[0]), connection, starting.context)
        except OSError as error:
            found[0].signal_group(SIGKILL)
            found[0].release()
            raise KernelStartFailed(spec.language, str(error)) from error
        if request:
            kernel._go_on(request)
        return kernel

    @property
    def trace(self) -> KernelTrace:
        """What `adopt` needs."""
        connection = self._connection
        return KernelTrace(connection.label, connection.key.decode(), connection.identity.decode())

    @classmethod
    async def _connect(
        cls,
        context: zmq.Context[zmq.Socket[bytes]],
        spec: KernelSpec,
        process: KernelProcess,
        connection: Connection,
    ) -> Kernel:
        await process.bound(connection)
        try:
            kernel = cls(spec, process, connection, context)
        except OSError as error:
            raise KernelStartFailed(spec.language, process.why_dead() or str(error)) from error
        try:
            await kernel._wait_until_heard()
        except BaseException:
            kernel._channels.close()
            raise
        return kernel

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.alive

    def execute(
        self, wanted: ExecuteRequest, emit: Emit, changed: Callable[[], None], request: str = ""
    ) -> PendingRequest:
        """Send code to run. `emit` and `changed` as in PendingRequest; `request` is what the request is called, unlike
        any other. The caller sends one at a time."""
        content: dict[str, object] = {
            "code": wanted.code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": wanted.allow_stdin,
            # One at a time is sent: what stock would abort is the next run, whose turn has come.
            "stop_on_error": False,
        }
        # Not in the content, which a kernel tells its debug log.
        metadata: dict[str, object] = {_ENVS: dict(wanted.envs)} if wanted.envs else {}
        if wanted.given is not None:
            metadata[_INPUT] = dict(wanted.given)
        msg_id = self._channels.shell.send("execute_request", content, request, metadata)
        pending = self._requests[msg_id] = PendingRequest(msg_id, emit, changed)
        while len(self._requests) > _REMEMBERED_REQUESTS:
            self._requests.popitem(last=False)
        return pending

    def follow(self, emit: Emit, changed: Callable[[], None]) -> PendingRequest:
        """The request that it was adopted with, as if executed now."""
        assert self._followed is not None
        return self._followed.handed_to(emit, changed)

    def hold(self) -> None:
        """Read no more of what the code says until `go_on`."""
        self._channels.iopub.hold()

    def go_on(self) -> None:
        """Read what it says."""
        self._channels.iopub.go_on()

    async def interrupt(self) -> None:
        """Interrupt what runs, in the way that the kernelspec asks for."""
        if self.spec.interrupt_mode == "message":
            self._channels.control.send("interrupt_request", {})
        else:
            self.process.interrupt()

    async def enter(self, cwd: PurePath, *, warm: bool = False) -> bool:
        """Take a kernel of ours that has run nothing to another folder; with `warm`, have it run something that nobody
        sees. Returns whether it is there, and what a new one would be."""
        answered, entered = Occasion(), False

        def answer(told: bool) -> None:
            nonlocal entered
            entered = told
            answered.set()

        self._entering = answer
        self._channels.shell.send(_ENTER, {"cwd": str(cwd), "warm": warm})
        with anyio.move_on_after(_ENTER_SECONDS):
            await first_of(answered, self.process.dead)
        self._entering = None
        return entered and self.alive

    def nudge(self) -> None:
        """Wake the kernel's loop, which makes it notice an interrupt that came during an `await`."""
        self._channels.shell.send("kernel_info_request", {})

    def answer_input(self, value: str) -> None:
        """Give `input()` its line."""
        self._channels.stdin.send("input_reply", {"value": value})

    async def last_words(self) -> None:
        """After the process died: wait until what it had still sent has been delivered, for half a second at most."""
        self.go_on()
        deadline = anyio.current_time() + _LAST_WORDS_SECONDS
        heard = True
        while heard and anyio.current_time() < deadline:
            await anyio.sleep(_QUIET_SECONDS)
            heard = self._channels.drain()

    def leave(self) -> None:
        """Listen to it no more, and leave it to a later service. What it says from then on it keeps for that one."""
        self.go_on()
        drains = _LAST_DRAINS
        while drains and self._channels.drain():
            drains -= 1
        self._channels.close()
        self.process.leave()

    async def shutdown(self) -> None:
        """End the process and everything in its group, close the channels, remove the folder."""
        with anyio.CancelScope(shield=True):
            await self.process.kill()
            self._channels.close()
            self._connection.remove()

    async def _wait_until_heard(self) -> None:
        # A first message on iopub (the welcome, or the status that a question causes) proves that no later one
        # can be missed. The question is asked again for kernels that know no welcome and were not yet subscribed to.
        while not self._heard.is_set():
            with anyio.move_on_after(_ASK_AGAIN_SECONDS):
                await first_of(self._heard, self.process.dead)
            if not self.alive:
                raise KernelStartFailed(self.spec.language, self.process.why_dead())
            if not self._heard.is_set():
                self.nudge()

    def _go_on(self, msg_id: str) -> None:
        self._requests[msg_id] = self._followed = Followed(msg_id)
        self._inquiry = Inquiry(self._followed, self._ask, ours=self.spec.engine == "zygote")
        self._inquiry.begin()

    def _ask(self, channel: str, msg_type: str, content: dict[str, object]) -> str:
        to = self._channels.control if channel == "control" else self._channels.shell
        return to.send(msg_type, content)

    def _receive(self, message: Message) -> None:
        if message.type in ("iopub_welcome", "status"):
            self._heard.set()
        if message.type == _ENTERED and self._entering is not None:
            self._entering(bool(message.content.get("entered")))
        request = self._requests.get(message.parent_id)
        if request is not None:
            request.receive(message)
        if self._inquiry is not None:
            self._inquiry.receive(message)
