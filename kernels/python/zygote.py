"""What Python kernels are forked from: `python zygote.py ENTRANCE BIRTH PROTOCOL`, with a socket as descriptor 3.

It has imported what kernels need and has done nothing else: no thread of its own, no event loop, no ZMQ context, and
nothing in its memory or environment that a user might not see. The three files belong to execd, which is not
installed here: the way into a sandbox, how a process gets there, and the language that is spoken on the socket.
"""

import gc
import os
import socket
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).resolve().parent

KERNEL = (
    "debugpy",
    "ipykernel.debugger",
    "IPython.core.logger",
    "IPython.core.magics",
    "IPython.core.pylabtools",
    "IPython.extensions.storemagic",
    "encodings.utf_16_be",
    "execd_kernel.chart.figure",
    "execd_kernel.output",
    "faulthandler",
    "pygments.formatters.terminal256",
    "pygments.styles",
    "resource",
    "sqlite3",
    "stack_data",
    "zmq.asyncio",
    "tornado.platform.asyncio",
)
"""What a kernel imports while it starts and in its first cells, besides what its own modules import."""

DATA = ("numpy", "pandas", "matplotlib.pyplot")
"""Libraries that are shared by all kernels if they are installed. Their import must start no thread of Python's, and
must not depend on the environment in ways that execd_kernel.forked does not set right."""

NOBODY = 3
"""How a fork ends that has waited for a request in vain."""

Program = Callable[[], None]
Message = dict[str, Any]


def load(path: str, name: str) -> ModuleType:
    """A module from a file, which does not become one that user code could import."""
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def preload() -> dict[str, str]:
    """Import what kernels share. Returns the variables that this has set in the environment."""
    before = dict(os.environ)
    for name in ("execd_kernel.prepared", "execd_kernel.forked"):
        import_module(name)
    from execd_kernel.startup import MODULES

    for name in (*KERNEL, *(f"execd_kernel.startup.{module}" for module in MODULES), *DATA):
        try:
            import_module(name)
        except Exception:  # noqa: BLE001 - whatever a library does when it is imported; a kernel finds out by itself
            continue
    return {name: value for name, value in os.environ.items() if before.get(name) != value}


def prepare() -> None:
    """Build the kernel as far as it can be before it is known where it will live. Where there is not the ipykernel for
    it, its forks start anew."""
    choice: Any = import_module("execd_kernel.choice")
    if not choice.is_made_for(import_module("ipykernel").__version__):
        return
    app: Any = import_module("execd_kernel.prepared").PreparedApp.instance()
    app.prepare()


def forget_missing() -> None:
    """Look again, in a fork, for folders of modules that are not here, or are elsewhere from elsewhere. A folder that
    is here is read again once it has changed; to forget them all, in a fork, writes to memory that it shares."""
    for path, finder in list(sys.path_importer_cache.items()):
        if finder is None or not os.path.isabs(path):  # noqa: PTH117 - as Python has it
            del sys.path_importer_cache[path]


def serve(modules: Sequence[Any], warden: socket.socket, imported: dict[str, str]) -> Program | None:
    """Fork a kernel whenever one is asked for. Returns its program in the fork, and None when the warden is gone.

    There is always a fork that waits for the next request, so that only the second of the two that lead into a sandbox
    is made while somebody waits. It does not wait in the sandbox: it may not be known yet.
    """
    entrance, birth, protocol = modules
    while True:
        waiting = os.fork()
        if not waiting:
            message, report = take_up(protocol.receive(warden), entrance, birth)
            return lambda: become(message, imported, report)
        _, status = os.waitpid(waiting, 0)
        if os.waitstatus_to_exitcode(status) == NOBODY:
            return None


def take_up(received: tuple[Message, list[int]] | None, entrance: Any, birth: Any) -> tuple[Message, int]:
    """Be the way into the sandbox for what is asked for. Returns, in the process that is in there, that and the
    report's descriptor."""
    if received is None:
        os._exit(NOBODY)
    message, fds = received
    return message, birth.go(birth_of(message, fds, entrance, birth), entrance, shim=True)


def birth_of(message: Message, fds: list[int], entrance: Any, birth: Any) -> Any:
    """What is asked for. The descriptors come in the order that warden/zygotes.py sends them in."""
    given = iter(fds)
    return birth.Birth(
        cwd=message["cwd"],
        terminal=message["terminal"],
        report=next(given),
        how=entrance.Entrance.from_json(message["how"]),
        cgroups=[next(given) for _ in range(message["cgroups"])],
        holder=next(given) if message["holder"] else None,
        ruleset=next(given) if message["ruleset"] else None,
        fds={number: next(given) for number in message["fds"]},
    )


def become(message: Message, imported: dict[str, str], report: int) -> None:
    """Be the kernel, until it is shut down."""
    from execd_kernel import forked

    argv = message["argv"]
    forked.set_right(argv, message["env"], imported)
    os.close(report)
    kernel: Any = load(argv[0], "kernel")
    if not sys.flags.safe_path:
        sys.path.insert(0, str(FOLDER))  # as Python does with the folder of a program; the kernel takes it away
    kernel.main()


def main() -> Program | None:
    """Prepare, and wait for requests."""
    gc.disable()
    warden = socket.socket(fileno=3)
    warden.set_inheritable(False)
    modules = [load(path, Path(path).stem) for path in sys.argv[1:4]]
    if not sys.flags.safe_path:
        del sys.path[0]
    sys.path.insert(0, str(FOLDER))
    imported = preload()
    prepare()
    sys.path.remove(str(FOLDER))
    forget_missing()
    gc.collect()
    gc.freeze()
    program = serve(modules, warden, imported)
    warden.detach()
    gc.enable()
    return program


if __name__ == "__main__":
    # A kernel leaves the way that any program does, with this as all that is below it on the stack.
    (main() or sys.exit)()
