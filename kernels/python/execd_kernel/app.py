"""The lean kernel: ipykernel's, of one minor version, whose output path is our own; a profile that is only read.

What ipykernel has for the sake of others is left out: the thread that passes on what comes on the shell channel, for
kernels with several shells; pauses in which output could catch up; the database of the history.
"""

import os
import threading
import time
from asyncio import Future
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq
from ipykernel.kernelbase import Kernel
from traitlets import DottedObjectName, Float, Type, default

from execd_kernel import startup
from execd_kernel.interrupts import Interrupts
from execd_kernel.iopub import IOPub
from execd_kernel.profile import ReadOnlyProfile
from execd_kernel.served import ServedApp, ServedKernel
from execd_kernel.session import KernelSession
from execd_kernel.shell import ZMQInteractiveShell

ASK_AGAIN_SECONDS = 0.05

SEND_QUEUE = 32
"""How many iopub messages may wait for the subscriber before the kernel waits with them."""


class NoShellChannelThread:
    """What stands in for the thread of the shell channel: it is asked which thread code runs in."""

    def __init__(self) -> None:
        self.parent_thread = threading.current_thread()

    def __bool__(self) -> bool:
        return False


class PythonKernel(ServedKernel):
    """The kernel with the shell of this package, whose interrupts are the cells' alone."""

    shell_class = Type(ZMQInteractiveShell)
    _execute_sleep = Float(0.0)
    _supports_kernel_subshells = False

    def start(self) -> None:
        """Start. The threads that live by now are the kernel's own."""
        super().start()  # type: ignore[no-untyped-call]
        shell: Any = self.shell
        shell.threads_of_our_own = threading.active_count()

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


class KernelApp(ServedApp):
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

    def init_sockets(self) -> None:
        """Open the sockets; that for input says so when whom it asks is not there."""
        super().init_sockets()  # type: ignore[no-untyped-call]
        self.stdin_socket.setsockopt(zmq.ROUTER_MANDATORY, 1)

    def init_profile_dir(self) -> None:
        """Read the profile where IPython would look for it, without making one."""
        profile: Any = self.profile_dir
        self.config_file_paths.append(profile.location)

    def init_control(self, context: zmq.Context[Any]) -> None:
        """Open the control channel. The shell channel is read where code runs."""
        super().init_control(context)  # type: ignore[no-untyped-call]
        self.shell_channel_thread = NoShellChannelThread()

    def init_iopub(self, context: zmq.Context[Any]) -> None:
        """Open iopub as a channel that blocks where stock ipykernel drops."""
        socket = context.socket(zmq.XPUB)
        socket.linger = 1000
        socket.sndhwm = SEND_QUEUE
        socket.setsockopt(zmq.XPUB_NODROP, 1)
        self._apply_curve_server_options(socket)
        self.iopub_port = self._bind_socket(socket, self.iopub_port)  # type: ignore[no-untyped-call]
        self.configure_tornado_logger()  # type: ignore[no-untyped-call]
        self.iopub_thread = IOPub(socket, self.session)
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket

    def init_shell(self) -> None:
        """Take the shell from the kernel, and install the start-up files in it."""
        super().init_shell()  # type: ignore[no-untyped-call]
        startup.install(self.shell)
