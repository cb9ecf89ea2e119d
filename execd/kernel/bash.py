r"""A persistent bash, driven like a kernel.

    ┌─ service ─┐  { . run-17 …; __execd_end TOKEN; }   ┌───────── bash -s ─────────┐
    │           │ ──────────────── stdin ─────────────▶ │ reads line after line;    │
    │           │ ◀──── stdout, stderr, report pipe ─── │ its state is the session's │
    └───────────┘                                       └───────────────────────────┘

The shell reads its program from a pipe, and each run is a file that it sources, so variables, functions, aliases,
options and the folder stay, as at a prompt. What ends the shell itself (`exit 7`, `set -e`, an interrupt) first writes
its state down in an EXIT trap (kernels/bash/session.sh), and the next shell reads that back: the exit code is
reported, and the session goes on. Only a shell that is killed, or replaced by `exec`, loses its state.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import anyio
import psutil
from anyio import to_thread

from execd.errors import KernelStartFailed
from execd.events import Error, StatusChanged, Stderr, Stdout
from execd.kernel.child import ChildProcess, ChildSpec
from execd.kernel.kernelspec import KernelSpec
from execd.kernel.lines import LineAssembler
from execd.kernel.process import cpu_seconds, peak_memory, reset_peak_memory
from execd.kernel.request import Emit, ExecuteRequest, PendingRequest

ENAME = "CommandExecError"


class BashProcess:
    """The session's present shell, as contexts see it: `dead` only when its state is lost."""

    def __init__(self) -> None:
        self.dead = anyio.Event()
        self.exit_code: int | None = None
        self.child: ChildProcess | None = None

    @property
    def alive(self) -> bool:
        """Whether the state still lives, in a shell or written down."""
        return not self.dead.is_set()

    async def kill(self) -> None:
        """Kill the shell and everything that was started in the session."""
        child = self.child
        self.dead.set()
        if child is not None:
            await to_thread.run_sync(child.kill_tree)
            await child.exited.wait()
            child.close()

    @property
    def pid(self) -> int | None:
        """The number of the bash that runs something now, None between runs."""
        return None if self.child is None else self.child.pid

    def cpu_seconds(self) -> float | None:
        """CPU time of the present shell and its ended children."""
        return None if self.child is None else cpu_seconds(self.child.pid)

    def reset_peak_memory(self) -> None:
        """Let `peak_memory` count from now."""
        if self.child is not None:
            reset_peak_memory(self.child.pid)

    def peak_memory(self) -> int | None:
        """The largest resident size of the shell itself."""
        return None if self.child is None else peak_memory(self.child.pid)


class BashKernel:
    """A bash session. Made by `start`; `shutdown` must be called once it is no longer wanted."""

    def __init__(self, spec: KernelSpec, folder: Path, cwd: Path, env: Mapping[str, str]) -> None:
        self.spec = spec
        self.process = BashProcess()
        self._folder = folder
        self._cwd = cwd
        self._env = env
        self._marker = secrets.token_hex(8)
        self._lines = {"stdout": LineAssembler(), "stderr": LineAssembler()}
        self._stdin = -1
        self._report = -1
        self._report_tail = b""
        self._token = ""
        self._request: PendingRequest | None = None
        self._interrupts = 0

    @classmethod
    async def start(cls, spec: KernelSpec, runtime_dir: Path, cwd: Path, env: Mapping[str, str]) -> BashKernel:
        """A shell that is ready to run code. Raises KernelStartFailed."""
        kernel = cls(spec, Path(tempfile.mkdtemp(prefix="b", dir=runtime_dir)), cwd, env)
        try:
            kernel._open_shell()
        except OSError as error:
            shutil.rmtree(kernel._folder, ignore_errors=True)
            raise KernelStartFailed(spec.language, f"{spec.argv[0]}: {error.strerror or error}") from error
        return kernel

    @property
    def alive(self) -> bool:
        """Whether it can run code."""
        return self.process.alive

    def execute(self, wanted: ExecuteRequest, emit: Emit, changed: Callable[[], None]) -> PendingRequest:
        """Run code in the shell, in `wanted.cwd` if there is one. Its stdin is empty, whatever is allowed."""
        if self.process.child is None:
            self._open_shell()
        self._token = secrets.token_hex(8)
        self._interrupts = 0
        script = self._folder / "run"
        script.write_text(wanted.code + "\n", "utf-8")
        self._request = PendingRequest(self._token, emit, changed, begun=True)
        go = f"cd -- {shlex.quote(wanted.cwd)} && " if wanted.cwd else ""
        run = f'{go}. {shlex.quote(str(script))} </dev/null 2>&"$__execd_stderr"'
        # The group keeps `set -x` from tracing what is not the user's.
        self._say(f"{{ {run}; __execd_end {self._token}; }} 2>/dev/null")
        return self._request

    async def interrupt(self) -> None:
        """SIGINT to the shell and what it runs in the foreground; the second time, kill what the shell waits for."""
        child = self.process.child
        if child is None:
            return
        self._interrupts += 1
        child.signal_group(signal.SIGINT)
        if self._interrupts > 1:
            await to_thread.run_sync(_kill_children, child.pid)

    def nudge(self) -> None:
        """Nothing: a shell notices a signal as soon as what it waits for has ended."""

    def answer_input(self, value: str) -> None:
        """Nothing: a run's stdin is empty."""

    async def last_words(self) -> None:
        """Nothing to wait for: what was written has been read when the shell's end was seen."""

    async def shutdown(self) -> None:
        """Kill everything in the session and remove its folder."""
        with anyio.CancelScope(shield=True):
            await self.process.kill()
            self._close_pipes()
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _state(self) -> Path:
        return self._folder / "state"

    def _open_shell(self) -> None:
        stdin, self._stdin = os.pipe()
        self._report, report = os.pipe()
        try:
            self.process.child = ChildProcess(
                ChildSpec(self.spec.argv, self._cwd, self._env, self._marker, stdin=stdin, pass_fds=(report,)),
                self._output,
                self._shell_ended,
            )
        except OSError:
            self._close_pipes()
            raise
        finally:
            os.close(stdin)
            os.close(report)
        os.set_blocking(self._report, False)
        asyncio.get_running_loop().add_reader(self._report, self._read_report)
        self._say(f". {shlex.quote(str(self.spec.prelude))} {report} {shlex.quote(str(self._state))}")
        if self._state.exists():
            saved = shlex.quote(str(self._state.rename(self._folder / "restored")))
            self._say(f". {saved} >/dev/null 2>&1")

    def _say(self, line: str) -> None:
        # A line is far smaller than a pipe, and the shell has read the one before: this never blocks.
        with suppress(BrokenPipeError):
            os.write(self._stdin, line.encode("utf-8", "surrogateescape") + b"\n")

    def _read_report(self) -> None:
        try:
            data = os.read(self._report, 4096)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(self._report)
            return
        *reports, self._report_tail = (self._report_tail + data).split(b"\n")
        for report in reports:
            token, _, code = report.decode("ascii", "replace").partition(" ")
            if token == self._token and code.isdigit():
                self._run_ended(int(code))

    def _shell_ended(self) -> None:
        child = self.process.child
        assert child is not None
        code = child.exit_code or 0
        self._close_pipes()
        self.process.child = None
        if self._state.exists():
            self._run_ended(code)
            return
        self.process.exit_code = code
        self.process.dead.set()

    def _run_ended(self, code: int) -> None:
        request, self._token = self._request, ""
        if request is None or request.ended:
            return
        if self.process.child is not None:
            self.process.child.drain()
        for stream, lines in self._lines.items():
            self._emit(stream, lines.finish())
        request.exit_code = code
        request.idle = True
        if code == 0:
            request.reply = {"status": "ok"}
        else:
            request.reply = {"status": "error"}
            request.emit(StatusChanged("error"))
            request.emit(Error(ENAME, str(code), (f"exit status {code}",)))
        request.changed()

    def _output(self, stream: str, data: bytes) -> None:
        lines = self._lines[stream]
        self._emit(stream, lines.feed(data) if data else lines.finish())

    def _emit(self, stream: str, text: str) -> None:
        if text and self._request is not None:
            self._request.emit(Stdout(text) if stream == "stdout" else Stderr(text))

    def _close_pipes(self) -> None:
        for fd in (self._stdin, self._report):
            if fd >= 0:
                asyncio.get_running_loop().remove_reader(fd)
                os.close(fd)
        self._stdin = self._report = -1


def _kill_children(pid: int) -> None:
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
