"""A kernel that is built before the process is forked that it will live in: of its own it gets then what no two kernels
share, and what depends on where it is.

Built before: the application, the kernel and its shell with magics, formatters and start-up files. Nothing of that
opens a file or a socket, starts a thread, or reads anything that belongs to a sandbox. After the fork come identities,
folders, environment, sockets, streams and threads, and whatever stock runs then of the user's, in stock's order.
"""

import atexit
import os
import sys
import uuid
from collections.abc import Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from ipykernel.kernelbase import Kernel
from jupyter_client.session import new_id
from traitlets import Type

from execd_kernel import startup
from execd_kernel.app import KernelApp, PythonKernel
from execd_kernel.interrupts import Interrupts

CONNECTION = "-f"


class PreparedKernel(PythonKernel):
    """A kernel that gets its channels when it has been built already."""

    @classmethod
    def instance(cls, *args: Any, **given: Any) -> Any:
        """The kernel; where there is one, with the channels that it is given now."""
        built: Any = cls._instance
        if built is None:
            return super().instance(*args, **given)
        built.connect(given)
        return built

    def connect(self, given: dict[str, Any]) -> None:
        """Take what `__init__` would have had."""
        for name in CHANNELS & given.keys():
            setattr(self, name, given[name])
        shell: Any = self.shell
        shell.displayhook.pub_socket = shell.display_pub.pub_socket = self.iopub_socket
        self._stdout, self._stderr = sys.stdout, sys.stderr
        debugger = getattr(self, "debugger", None)
        if debugger is not None:
            debugger.debugpy_client.debugpy_stream = self.debugpy_stream
            debugger.shell_socket = self.debug_shell_socket

    def renew(self) -> None:
        """Be nobody else's copy."""
        self.ident = str(uuid.uuid4())
        session: Any = self.session
        session.session, session.pid = new_id(), os.getpid()
        shell: Any = self.shell
        shell.displayhook.topic = self._topic("execute_result")  # type: ignore[no-untyped-call]
        name = os.environ.get("JPY_SESSION_NAME")
        if name:
            shell.user_ns["__session__"] = name


CHANNELS = {
    "control_stream",
    "debugpy_stream",
    "debug_shell_socket",
    "shell_stream",
    "control_thread",
    "shell_channel_thread",
    "iopub_thread",
    "iopub_socket",
    "stdin_socket",
}


CONFIGURATION = tuple(
    stem + ending for stem in ("ipython_config", "ipython_kernel_config") for ending in (".py", ".json")
)
"""The names that a configuration of IPython's has for a kernel."""


class PreparedApp(KernelApp):
    """The application, in two halves: `prepare` before the fork, and `initialize` after it. It is what
    `KernelApp.instance()` gives from then on."""

    kernel_class = Type(PreparedKernel, klass=Kernel)
    failed: Sequence[str] = ()
    imported: set[str]

    def prepare(self) -> None:
        """Build what can be built without a place, an environment and threads."""
        self.parse_command_line([])
        self.init_crash_handler()  # type: ignore[no-untyped-call]
        self.init_config_files()  # type: ignore[no-untyped-call]
        self.init_pdb()  # type: ignore[no-untyped-call]
        self.kernel = self.kernel_class.instance(
            parent=self, session=self.session, log=self.log, profile_dir=self.profile_dir, user_ns=self.user_ns
        )
        self.init_shell()
        self.init_extensions()  # type: ignore[no-untyped-call]
        warm(self.shell, self.session)
        self.imported = set(sys.modules)

    def init_shell(self) -> None:
        """Take the shell from the kernel, and install the start-up files that need no environment."""
        super(KernelApp, self).init_shell()  # type: ignore[no-untyped-call]
        self.failed = startup.install(self.shell, startup.ANYWHERE)

    def initialize(self, argv: Any = None) -> None:
        """Do the rest. A kernel that is configured in some other way than by default starts anew."""
        arguments = sys.argv[1:] if argv is None else argv
        if not self.fits(arguments):
            os.execv(sys.executable, [sys.executable, *sys.argv])
        self.config.KernelApp.connection_file = self.connection_file = arguments[1]
        self.settle()
        self.open()
        self.announce()

    def init_code(self) -> None:
        """Run the user's start-up files. Stock then goes through all modules, which writes to memory that forks share:
        those of before are known, and the others are the last."""
        shell: Any = self.shell
        self._run_startup_files()  # type: ignore[no-untyped-call]
        shell.user_ns_hidden.update(shell.user_ns)
        self.imported.update(islice(reversed(sys.modules), max(len(sys.modules) - len(self.imported), 0)))
        shell._sys_modules_keys = self.imported

    def fits(self, arguments: Sequence[str]) -> bool:
        """Whether there is a kernel, and these arguments, the machine's and the user's configuration lead to it."""
        profile = str(Path(self._ipython_dir_default(), f"profile_{self.profile}"))
        folders = [*self.config_file_paths, str(Path(sys.prefix, "etc", "ipython")), profile]
        return (
            self.shell is not None
            and len(arguments) == 2
            and arguments[0] == CONNECTION
            and not any(Path(folder, name).exists() for folder in folders for name in CONFIGURATION)
        )

    def settle(self) -> None:
        """Be in this folder, this home and this environment, and nobody else's copy."""
        shell: Any = self.shell
        profile: Any = self.profile_dir
        self.kernel.renew()
        self.ipython_dir = shell.ipython_dir = self._ipython_dir_default()
        profile.location = str(Path(self.ipython_dir, f"profile_{self.profile}"))
        shell.interrupts = Interrupts(shell)
        shell.init_environment()
        shell.init_virtualenv()
        shell.begin_here()
        shell.init_pushd_popd_magic()

    def open(self) -> None:
        """Open the channels, and take over from Python: stock's `initialize`, without what has been done."""
        self.init_blackhole()  # type: ignore[no-untyped-call]
        self.init_connection_file()  # type: ignore[no-untyped-call]
        self.init_poller()  # type: ignore[no-untyped-call]
        self.init_sockets()
        self.init_heartbeat()
        self.write_connection_file()
        self.log_connection_info()  # type: ignore[no-untyped-call]
        self.init_io()  # type: ignore[no-untyped-call]
        self.init_signal()  # type: ignore[no-untyped-call]
        self.init_kernel()  # type: ignore[no-untyped-call]
        self.init_path()  # type: ignore[no-untyped-call]
        # As stock has it, the shell's end comes before that of the channels.
        shell: Any = self.shell
        atexit.unregister(shell.atexit_operations)
        atexit.register(shell.atexit_operations)
        # What has failed does so once more, and says so where it is heard of.
        startup.install(self.shell, (*self.failed, *startup.HERE))
        self.init_gui_pylab()  # type: ignore[no-untyped-call]
        self.init_code()
        sys.stdout.flush()
        sys.stderr.flush()


def warm(shell: Any, session: Any) -> None:
    """Do once what a cell does, and what comes of it."""
    if "matplotlib" in sys.modules:
        # It looks for the shell when it is imported, and only then.
        import_module("matplotlib_inline.backend_inline")
    shell.run_silently()
    shell.display_formatter.format(2)
    session.serialize(session.msg("status", {"execution_state": "idle"}))
