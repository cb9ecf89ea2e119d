"""A living kernel: its process and its channels, and what can be asked of it."""

from __future__ import annotations

import signal
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import anyio
import structlog
import zmq

from execd.errors import KernelStartFailed
from execd.kernel.channels import Channels
from execd.kernel.connection import Connection
from execd.kernel.kernelspec import KernelSpec
from execd.kernel.messages import Message
from execd.kernel.process import KernelProcess, describe_exit
from execd.kernel.request import Emit, ExecuteRequest, PendingRequest
from execd.waiting import first_of

log = structlog.get_logger(__name__)

_REMEMBERED_REQUESTS = 256
_ASK_AGAIN_SECONDS = 0.5
_QUIET_SECONDS = 0.05
_LAST_WORDS_SECONDS = 0.5


class Kernel:
    """One kernel process with its channels. Made by `start`; `shutdown` must be called once it is no longer wanted."""

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
        self._heard = anyio.Event()

    @classmethod
    async def start(
        cls,
        context: zmq.Context[zmq.Socket[bytes]],
        spec: KernelSpec,
        runtime_dir: Path,
        cwd: Path,
        env: dict[str, str],
        timeout: float,
    ) -> Kernel:
        """A kernel that is ready to run code, or KernelStartFailed after at most `timeout` seconds."""
        try:
            connection = Connection.make(runtime_dir)
        except OSError as error:
            raise KernelStartFailed(spec.language, str(error)) from error
        try:
            process = await KernelProcess.launch(spec, connection, cwd, env | dict(spec.env))
        except OSError as error:
            connection.remove()
            raise KernelStartFailed(spec.language, str(error)) from error
        kernel = cls(spec, process, connection, context)
        await kernel._become_ready(timeout)
        return kernel

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.alive

    def execute(self, wanted: ExecuteRequest, emit: Emit, changed: Callable[[], None]) -> PendingRequest:
        """Send code to run. `emit` and `changed` as in PendingRequest. The caller sends one at a time."""
        content: dict[str, object] = {
            "code": wanted.code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": wanted.allow_stdin,
            # One at a time is sent: what stock would abort is the next run, whose turn has come.
            "stop_on_error": False,
        }
        msg_id = self._channels.shell.send("execute_request", content)
        request = self._requests[msg_id] = PendingRequest(msg_id, emit, changed)
        while len(self._requests) > _REMEMBERED_REQUESTS:
            self._requests.popitem(last=False)
        return request

    async def interrupt(self) -> None:
        """Interrupt what runs, in the way that the kernelspec asks for."""
        if self.spec.interrupt_mode == "message":
            self._channels.control.send("interrupt_request", {})
        else:
            await self.process.signal(signal.SIGINT)

    def nudge(self) -> None:
        """Wake the kernel's loop, which makes it notice an interrupt that came during an `await`."""
        self._channels.shell.send("kernel_info_request", {})

    def answer_input(self, value: str) -> None:
        """Give `input()` its line."""
        self._channels.stdin.send("input_reply", {"value": value})

    async def last_words(self) -> None:
        """After the process died: wait until what it had still sent has been delivered, for half a second at most."""
        deadline = anyio.current_time() + _LAST_WORDS_SECONDS
        heard = True
        while heard and anyio.current_time() < deadline:
            await anyio.sleep(_QUIET_SECONDS)
            heard = self._channels.drain()

    async def shutdown(self) -> None:
        """End the process and everything in its group, close the channels, remove the folder."""
        with anyio.CancelScope(shield=True):
            await self.process.kill()
            self._channels.close()
            self._connection.remove()

    async def _become_ready(self, timeout: float) -> None:
        try:
            with anyio.fail_after(timeout):
                await self._wait_until_heard()
        except TimeoutError:
            await self.shutdown()
            raise KernelStartFailed(self.spec.language, f"it was not ready after {timeout:g} s") from None
        except BaseException:
            await self.shutdown()
            raise

    async def _wait_until_heard(self) -> None:
        # A first message on iopub (the welcome, or the status that a question causes) proves that no later one
        # can be missed. The question is asked again for kernels that know no welcome and were not yet subscribed to.
        while not self._heard.is_set():
            with anyio.move_on_after(_ASK_AGAIN_SECONDS):
                await first_of(self._heard, self.process.dead)
            if not self.alive:
                why = f"its process ended {describe_exit(self.process.exit_code)}. {self.process.complaint()}".strip()
                raise KernelStartFailed(self.spec.language, why)
            if not self._heard.is_set():
                self.nudge()

    def _receive(self, message: Message) -> None:
        if message.type in ("iopub_welcome", "status"):
            self._heard.set()
        request = self._requests.get(message.parent_id)
        if request is not None:
            request.receive(message)
