"""The warden's zygotes: one for each Python that kernels run in, started when it is needed."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
from collections.abc import Mapping, Sequence

from execd.isolation import entrance
from execd.warden import birth as birth_module
from execd.warden import protocol
from execd.warden.birth import Birth
from execd.warden.processes import Processes
from execd.warden.protocol import make_pair, send

_SOCKET = 3
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
"""All that a zygote knows of the service: nothing."""

_Key = tuple[str, str]


class Zygotes:
    """Those that live. One that has ended is replaced when a kernel is asked for; its kernels live on. In `cache` they
    keep what is costly to find out, as which fonts there are."""

    def __init__(self, processes: Processes, cache: str) -> None:
        self._processes = processes
        self._environment = {**_ENVIRONMENT, "MPLCONFIGDIR": cache}
        self._living: dict[_Key, tuple[int, socket.socket]] = {}

    def prepare(self, argv: Sequence[str]) -> None:
        """Have the zygote for kernels with such a command started. Raises OSError."""
        self._find(argv)

    def fork(self, argv: Sequence[str], env: Mapping[str, str], birth: Birth) -> None:
        """Ask for a kernel, which reports to `birth.report`. Raises OSError."""
        numbers = list(birth.fds)
        fds = [birth.report, *birth.cgroups, *(fd for fd in (birth.holder, birth.ruleset) if fd is not None)]
        message = {
            "argv": list(argv[1:]),
            "env": dict(env),
            "cwd": birth.cwd,
            "terminal": birth.terminal,
            "how": birth.how.to_json(),
            "cgroups": len(birth.cgroups),
            "holder": birth.holder is not None,
            "ruleset": birth.ruleset is not None,
            "fds": numbers,
        }
        try:
            send(self._find(argv), message, [*fds, *birth.fds.values()])
        except BlockingIOError as error:
            raise OSError(errno.EAGAIN, "the zygote has too much to do") from error
        except (BrokenPipeError, ConnectionResetError):
            # It has ended, and its end has not been seen yet.
            self._living.pop(_key(argv))[1].close()
            send(self._find(argv), message, [*fds, *birth.fds.values()])

    def end(self) -> None:
        """End all of them."""
        for pid, sock in self._living.values():
            os.kill(pid, signal.SIGKILL)
            sock.close()
        self._living.clear()

    def _find(self, argv: Sequence[str]) -> socket.socket:
        key = _key(argv)
        if key not in self._living:
            self._living[key] = self._start(key)
        return self._living[key][1]

    def _start(self, key: _Key) -> tuple[int, socket.socket]:
        python, folder = key
        ours, theirs = make_pair()
        script = os.path.join(folder, "zygote.py")
        os.stat(script)
        # Not isolated (-I): what the processes of user code inherit from the kernel's flags is as in any kernel.
        argv = [python, script, *(str(module.__file__) for module in (entrance, birth_module, protocol))]
        with theirs:
            pid = os.fork()
            if pid == 0:
                _execute(argv, self._environment, theirs.fileno())
        ours.setblocking(False)
        self._processes.serve(pid, lambda: self._ended(key, ours))
        return pid, ours

    def _ended(self, key: _Key, sock: socket.socket) -> None:
        if key in self._living and self._living[key][1] is sock:
            del self._living[key]
        sock.close()


def _key(argv: Sequence[str]) -> _Key:
    return argv[0], os.path.dirname(argv[1])


def _execute(argv: Sequence[str], env: Mapping[str, str], sock: int) -> None:
    # In the fork, which never returns. Everything but these descriptors closes when the program runs.
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        high = fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, _SOCKET + 1)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.dup2(high, _SOCKET)
        for signum in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, signal.SIG_DFL)
        os.chdir("/")
        os.execve(argv[0], list(argv), env)
    finally:
        os._exit(127)
