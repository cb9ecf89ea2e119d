"""The kernel application: sockets that lose nothing, a profile that is only read, start-up files in place."""

import os
import time
from asyncio import Future
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq
from ipykernel import kernelapp
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel
from traitlets import DottedObjectName, Type, default

from execd_kernel import entering, run, startup, variables
from execd_kernel.interrupts import Interrupts
from execd_kernel.iopub import IOPubThread
from execd_kernel.outcomes import Outcomes
from execd_kernel.profile import ReadOnlyProfile
from execd_kernel.session import KernelSession
from execd_kernel.shell import ZMQInteractiveShell

READY = "EXECD_READY_FD"
"""The variable that names the descriptor on which a service waits for the kernel; the service watches the process."""

ENTER, ENTERED = "execd_enter_request", "execd_enter_reply"
OUTCOME, OUTCOME_TOLD = "execd_outcome_request", "execd_outcome_reply"

ASK_AGAIN_SECONDS = 0.05

SEND_QUEUE = 32
"""How many iopub messages may wait for the subscriber before the kernel waits with them."""


@contextmanager
def default_sockopts(context: zmq.Context[Any], options: Mapping[int, int]) -> Iterator[None]:
    """Give `options` to every socket that `context` makes inside the block and can take them."""
    before = dict(context.sockopts)
    context.sockopts.update(options)
    try:
        yield
    finally:
        context.sockopts.clear()
        context.sockopts.update(before)


class PythonKernel(IPythonKernel):
    """ipykernel's kernel with the shell of this package, whose interrupts are the cells' alone."""

    shell_class = Type(ZMQInteractiveShell)
    msg_types = [*IPythonKernel.msg_types, ENTER, OUTCOME]  # noqa: RUF012 - as stock has it
    control_msg_types = [*IPythonKernel.control_msg_types, OUTCOME]  # noqa: RUF012 - as stock has it

    def __init__(self, **options: Any) -> None:
        self._outcomes = Outcomes()
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def execd_enter_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Be a kernel that was started in another folder, now, before it has run anything. `entered` in the reply says
        whether it is what a new one would be."""
        entered = entering.enter(self, parent["content"])
        session: Any = self.session
        session.send(stream, ENTERED, {"status": "ok", "entered": entered}, parent, ident)

    def execd_outcome_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Say what has become of the request `msg_id`, on the control channel also while code runs."""
        session: Any = self.session
        told = self._outcomes.of(str(parent["content"].get("msg_id")))
        session.send(stream, OUTCOME_TOLD, {"status": "ok", **told}, parent, ident)

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Run a cell, with the environment variables that came for it, and remember what becomes of it."""
        self._outcomes.begin(parent["header"]["msg_id"])
        run.begin(parent)
        with variables.set_for_a_run(variables.taken_from(parent)):
            await super().execute_request(stream, ident, parent)  # type: ignore[no-untyped-call]

    def finish_metadata(self, parent: Any, metadata: Any, reply_content: Any) -> Any:
        """Complete a reply that is about to be sent."""
        self._outcomes.end(parent["header"]["msg_id"], reply_content)
        return super().finish_metadata(parent, metadata, reply_content)  # type: ignore[no-untyped-call]

    def _input_request(self, *args: Any, **options: Any) -> str:
        """Ask for a line, as soon as there is somebody to ask."""
        while True:
            try:
                return str(super()._input_request(*args, **options))
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
            time.sleep(ASK_AGAIN_SECONDS)

    def pre_handler_hook(self) -> None:
        """Handle SIGINT, whatever the last cell has made of it."""
        self._interrupts.install()

    def post_handler_hook(self) -> None:
        """Go on handling it: between two requests an interrupt does nothing."""
        self._interrupts.install()

    @contextmanager
    def _cancel_on_sigint(self, future: Future[Any]) -> Iterator[None]:
        with self._interrupts.cancelling(future):
            yield

    @property
    def _interrupts(self) -> Interrupts:
        shell: Any = self.shell
        interrupts: Interrupts = shell.interrupts
        return interrupts


class KernelApp(IPKernelApp):
    """ipykernel's application, for a kernel that one service listens to.

    Every message on iopub arrives, in order: a subscriber that reads slowly slows the kernel down, and one that
    never reads stops it. Nothing is written into the home folder, which may be read-only or missing.
    """

    kernel_class = Type(PythonKernel, klass=Kernel)
    outstream_class = DottedObjectName("execd_kernel.output.OutStream")

    @default("session")
    def _session_default(self) -> KernelSession:
        return KernelSession(parent=self, username="kernel")

    @default("ipython_dir")
    def _ipython_dir_default(self) -> str:
        home = os.path.expanduser("~")  # noqa: PTH111 - Path raises where the user has no name and no HOME
        return os.environ.get("IPYTHONDIR") or str(Path(home, ".ipython"))

    @default("profile_dir")
    def _profile_dir_default(self) -> ReadOnlyProfile:
        usual = str(Path(self.ipython_dir, f"profile_{self.profile}"))
        return ReadOnlyProfile(parent=self, location=self.config.ProfileDir.get("location", usual))

    def initialize(self, argv: Any = None) -> None:
        """Prepare everything, and say so on the descriptor that `EXECD_READY_FD` names."""
        super().initialize(argv)  # type: ignore[no-untyped-call]
        self.announce()

    def announce(self) -> None:
        """Say that the sockets are bound."""
        descriptor = os.environ.pop(READY, None)
        if descriptor is not None:
            os.write(int(descriptor), b"R")
            os.close(int(descriptor))

    def init_sockets(self) -> None:
        """Open the sockets; that for input says so when whom it asks is not there."""
        super().init_sockets()  # type: ignore[no-untyped-call]
        self.stdin_socket.setsockopt(zmq.ROUTER_MANDATORY, 1)

    def init_heartbeat(self) -> None:
        """Answer heartbeats, unless whoever started us says that it hears of our end in another way."""
        if READY not in os.environ:
            super().init_heartbeat()  # type: ignore[no-untyped-call]

    def init_profile_dir(self) -> None:
        """Read the profile where IPython would look for it, without making one."""
        profile: Any = self.profile_dir
        self.config_file_paths.append(profile.location)

    def init_iopub(self, context: zmq.Context[Any]) -> None:
        """Open iopub as a channel that blocks where stock ipykernel drops.

        The options are the context's defaults while the socket is made: the iopub thread owns the socket from
        its first moment on, and no other thread may touch it.
        """
        kernelapp.IOPubThread = IOPubThread  # type: ignore[attr-defined]
        with default_sockopts(context, {zmq.XPUB_NODROP: 1, zmq.SNDHWM: SEND_QUEUE}):
            super().init_iopub(context)  # type: ignore[no-untyped-call]

    def init_shell(self) -> None:
        """Take the shell from the kernel, and install the start-up files in it."""
        super().init_shell()  # type: ignore[no-untyped-call]
        startup.install(self.shell)
