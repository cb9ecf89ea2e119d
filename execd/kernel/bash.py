"""A persistent bash, driven like a kernel. kernels/bash/README.md has the picture.

Each run is a file that the session's shell sources, so its state stays as at a prompt. What ends the shell itself
(`exit 7`, `set -e`, an interrupt) first writes the state down, and the next shell reads it back: the exit code is
reported, and the session goes on. Only a shell that is killed, or replaced by `exec`, loses its state.
"""

from __future__ import annotations

import secrets
import shlex
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType

import anyio
import anyio.lowlevel
import psutil
from anyio import to_thread

from execd.errors import KernelStartFailed
from execd.events import Error, StatusChanged, Stderr, Stdout
from execd.isolation.launch import Exit, Launcher, what_failed
from execd.kernel.adopting import Adopted, Claim, close_all
from execd.kernel.kernelspec import KernelSpec
from execd.kernel.process import children_of, cpu_seconds, peak_memory, reset_peak_memory
from execd.kernel.request import Emit, ExecuteRequest, Followed, PendingRequest
from execd.kernel.shell import CODE, STATE, STDERR, STDOUT, VARIABLES, MemoryFile, Shell, ShellHooks, ShellSpec
from execd.kernel.trace import BashTrace
from execd.kernel.tree import kill_marked
from execd.waiting import Occasion

ENAME = "CommandExecError"
# What shells have these as; `told` says which run was told last, and is none of theirs.
_FILES = {"code": CODE, "state": STATE, "variables": VARIABLES, "told": -1}
_LONGEST_NAME = 256
_NOTHING: Mapping[str, int] = MappingProxyType({})

# Nobody but us uses it: a shell that ignores SIGINT still ends on it, and writes its state down.
_INSIST = signal.SIGRTMAX

_UNRESPONSIVE = "execd: the shell reads commands and no longer carries them out (set -n?); it is replaced\n"


@dataclass(frozen=True, slots=True)
class BashStart:
    """Where the shells of a session start, and with what environment."""

    launcher: Launcher
    cwd: PurePath
    env: Mapping[str, str]


class BashProcess:
    """The session's present shell, as contexts see it: `dead` only when its state is lost."""

    def __init__(self, marker: str) -> None:
        self.dead = Occasion()
        self.exit_code: int | None = None
        self.oom = False
        self.shells: list[Shell] = []
        self._marker = marker

    @property
    def shell(self) -> Shell | None:
        """The shell that runs the next code; None when the last one has written its state down and ended."""
        last = self.shells[-1] if self.shells else None
        return None if last is None or last.child.exited.is_set() else last

    def adopt(self, shell: Shell) -> None:
        """Make this the present shell. Former ones are kept as long as something they started may still write."""
        for former in [former for former in self.shells if former.child.silent]:
            former.close()
            self.shells.remove(former)
        self.shells.append(shell)

    @property
    def pid(self) -> int | None:
        """The shell's process id."""
        return None if self.shell is None else self.shell.child.pid

    @property
    def alive(self) -> bool:
        """Whether the state still lives, in a shell or written down."""
        return not self.dead.is_set()

    async def kill(self) -> None:
        """Kill everything that was started in the session, by shells that have ended too."""
        self.dead.set()
        await to_thread.run_sync(kill_marked, self._marker)
        for shell in self.shells:
            await shell.child.exited.wait()
            shell.close()
        self.shells.clear()

    def cpu_seconds(self) -> float | None:
        """CPU time of the present shell and its ended children."""
        return None if self.pid is None else cpu_seconds(self.pid)

    def reset_peak_memory(self) -> None:
        """Let `peak_memory` count from now."""
        if self.pid is not None:
            reset_peak_memory(self.pid)

    def peak_memory(self) -> int | None:
        """The largest resident size of the shell itself."""
        return None if self.pid is None else peak_memory(self.pid)


class BashKernel:
    """A bash session. Made by `start`; `shutdown` must be called once it is no longer wanted."""

    def __init__(
        self, starting: BashStart, spec: KernelSpec, marker: str = "", files: Mapping[str, int] = _NOTHING
    ) -> None:
        """`marker` and `files` are those of one that an earlier service has started."""
        self.spec = spec
        self._launcher = starting.launcher
        self._cwd = starting.cwd
        self._env = starting.env
        self._marker = marker or secrets.token_hex(8)
        self.process = BashProcess(self._marker)
        made = {name: MemoryFile(number, files.get(name)) for name, number in _FILES.items()}
        self._code, self._state, self._variables, self._told = made.values()
        self._hooks = ShellHooks(self._emit, self._reported, self._shell_idle, self._shell_ended)
        self._token = ""
        self._status = 0
        self._request: PendingRequest | None = None
        self._followed: Followed | None = None
        self._folder: str | None = None
        self._has_variables = False
        self._told_again = False
        self._jobs: frozenset[int] = frozenset()
        self._interrupts = 0
        self._former = ""
        self._may_have_reported = False

    @classmethod
    async def start(cls, starting: BashStart, spec: KernelSpec) -> BashKernel:
        """A shell that is ready to run code. Raises KernelStartFailed."""
        kernel = cls(starting, spec)
        try:
            kernel._open_shell()
        except OSError as error:
            await kernel.shutdown()
            raise KernelStartFailed(spec.language, what_failed(error)) from error
        return kernel

    @classmethod
    async def adopt(
        cls, starting: BashStart, spec: KernelSpec, trace: BashTrace, claim: Claim, request: str = ""
    ) -> BashKernel:
        """The session that an earlier service has left. It may be carrying out `request`: then `follow` tells of that.
        Raises KernelStartFailed where its state is lost."""
        shells = _taken(trace.marker, claim)
        if not shells or not _FILES.keys() <= shells[-1][1].keys():
            for child, kept in shells:
                close_all(kept)
                child.release()
            raise KernelStartFailed(spec.language, "its shell is gone")
        files = {name: shells[-1][1].pop(name) for name in _FILES}
        kernel = cls(starting, spec, trace.marker, files)
        kernel._go_on(trace, request)
        for child, kept in shells:
            kernel.process.adopt(Shell.adopt(child, kept, trace.marker, kernel._hooks))
            close_all(kept)
        # In the loop's next turn those that have ended say so.
        await anyio.lowlevel.checkpoint()
        return kernel

    @property
    def trace(self) -> BashTrace:
        """What `adopt` needs; it changes with every run."""
        return BashTrace(self._marker, self._status, tuple(sorted(self._jobs)))

    @property
    def alive(self) -> bool:
        """Whether it can run code."""
        return self.process.alive

    def follow(self, emit: Emit, changed: Callable[[], None]) -> PendingRequest:
        """The request that it was adopted with, as if executed now."""
        assert self._followed is not None
        return self._followed.handed_to(emit, changed)

    def execute(
        self, wanted: ExecuteRequest, emit: Emit, changed: Callable[[], None], request: str = ""
    ) -> PendingRequest:
        """Run code in the shell, in `wanted.cwd` if there is one, with `wanted.envs`. Its stdin is empty, whatever is
        allowed. `request` is what the request is called: letters, digits, hyphens and underscores."""
        # What has come since the last run, an unfinished line too, is that one's.
        for shell in self.process.shells:
            shell.flush()
        self._token = request or secrets.token_hex(8)
        self._interrupts = 0
        self._request = PendingRequest(self._token, emit, changed)
        self._code.write(wanted.code.encode("utf-8", "replace") + b"\n")
        self._variables.write(b"".join(f"{name}={value}\0".encode() for name, value in wanted.envs.items()))
        self._has_variables = bool(wanted.envs)
        self._told.write(self._token.encode())
        self._folder = wanted.cwd
        self._told_again = self._may_have_reported = False
        self._tell_run()
        return self._request

    async def interrupt(self) -> None:
        """SIGINT to the shell and what it runs in the foreground. The second time, end the shell, its state kept, and
        kill what has been started since the run began."""
        shell = self.process.shell
        if shell is None or not self._token:
            return
        self._interrupts += 1
        if self._interrupts == 1:
            shell.child.signal_group(signal.SIGINT)
            return
        # Stopped meanwhile, or what it starts to write its state down would be killed too.
        shell.child.signal_leader(signal.SIGSTOP)
        shell.child.signal_leader(_INSIST)
        try:
            await to_thread.run_sync(_kill_children, shell.child.pid, self._jobs)
        finally:
            shell.child.signal_leader(signal.SIGCONT)

    def hold(self) -> None:
        """Read no more of what the code writes until `go_on`."""
        for shell in self.process.shells:
            shell.child.hold()

    def go_on(self) -> None:
        """Read what it writes."""
        for shell in self.process.shells:
            shell.child.go_on()

    def nudge(self) -> None:
        """Nothing: a shell notices a signal as soon as what it waits for has ended."""

    def answer_input(self, value: str) -> None:
        """Nothing: a run's stdin is empty."""

    async def last_words(self) -> None:
        """Nothing to wait for: what was written has been read when the shell's end was seen."""

    def leave(self) -> None:
        """Listen to it no more, and leave it to a later service."""
        for shell in self.process.shells:
            shell.flush()
            shell.leave()
        self._close_files()

    async def shutdown(self) -> None:
        """Kill everything in the session and give its descriptors back."""
        with anyio.CancelScope(shield=True):
            await self.process.kill()
            self._close_files()

    def _close_files(self) -> None:
        for file in (self._code, self._state, self._variables, self._told):
            file.close()

    def _go_on(self, trace: BashTrace, request: str) -> None:
        self._status, self._jobs = trace.status, frozenset(trace.jobs)
        self._former = self._told.tail(_LONGEST_NAME).decode("ascii", "replace")
        if request:
            self._request = self._followed = Followed(request)
            self._followed.known, self._followed.never = True, request != self._former
            self._token = "" if self._followed.never else request
            self._may_have_reported = True

    def _tell_run(self) -> None:
        try:
            shell = self.process.shell or self._open_shell()
        except OSError:
            self.process.dead.set()
            return
        self._jobs = children_of(shell.child.pid)
        output = f">&{STDOUT} 2>&{STDERR}"
        folder = f"\\builtin cd -- {shlex.quote(self._folder)} {output} && " if self._folder else ""
        # In a list like this, a status that is not 0 neither ends a shell with `set -e` nor is an ERR trap's business.
        begin = f'\\__execd_begin {self._token} {self._status} "$@" && [[ 1 ]]'
        give, end = "", f"\\__execd_end {self._token}"
        if self._has_variables:
            give, end = f"\\__execd_give {output} && ", f'{end} || \\builtin exit "$__execd_status"'
        shell.say(f"{begin}; {give}{folder}\\. {self._code.path} </dev/null {output}; {end}")

    def _open_shell(self) -> Shell:
        try:
            shell = self._shell_in(self._cwd)
        except (FileNotFoundError, NotADirectoryError):
            # Its folder may be gone by now.
            shell = self._shell_in(PurePath("/"))
        self.process.adopt(shell)
        if self._state.tail(1):
            shell.say(f"\\. {self._state.path} </dev/null")
        return shell

    def _shell_in(self, cwd: PurePath) -> Shell:
        assert self.spec.prelude is not None
        files = (self._code, self._state, self._variables, self._told)
        keep = {name: file.fd for name, file in zip(_FILES, files, strict=True)}
        spec = ShellSpec(self.spec.argv, self.spec.prelude, cwd, self._env, self._marker, keep)
        return Shell.start(self._launcher, spec, self._hooks)

    def _reported(self, token: str, word: str) -> None:
        if not token or token != self._token or self._request is None:
            return
        if word == "begun":
            self._request.begun = True
            self._request.changed()
        elif word.isdigit():
            self._run_ended(int(word))

    def _shell_idle(self) -> None:
        shell = self.process.shell
        if not self._token or shell is None:
            return
        if self._may_have_reported:
            # To the service before this one.
            self._may_have_reported = False
            shell.say(f'\\__execd_say "{self._token} $__execd_status"')
        else:
            self._emit("stderr", _UNRESPONSIVE)
            shell.child.signal_group(signal.SIGKILL)

    def _shell_ended(self) -> None:
        if self.process.shell is not None:  # It is one before the present one, of an adopted session.
            return
        how = self.process.shells[-1].child.exit or Exit(0)
        code = how.code
        if self._state_is_of(self._token):
            if self._token:
                self._run_ended(code if code >= 0 else 128 - code)
        elif self._state_is_of("") and not self._told_again:
            # It ended just before it could read what to run.
            self._told_again = True
            self._tell_run()
        elif self._token or not self._state_is_of(self._former):
            self.process.exit_code, self.process.oom = code, how.oom
            self.process.dead.set()

    def _state_is_of(self, token: str) -> bool:
        """Whether a whole state is there, written down during this run, or between runs if there is none."""
        return self._state.tail(64).endswith(f"\n# left {token}\n".encode())

    def _run_ended(self, code: int) -> None:
        request, self._token, self._status = self._request, "", code
        # While the session is being killed, how its code ends is our doing and not the code's.
        if request is None or request.ended or not self.alive:
            return
        for shell in self.process.shells:
            shell.flush()
        request.exit_code = code
        request.idle = True
        if code == 0:
            request.reply = {"status": "ok"}
        else:
            request.reply = {"status": "error"}
            request.emit(StatusChanged("error"))
            request.emit(Error(ENAME, str(code), (f"exit status {code}",)))
        request.changed()

    def _emit(self, stream: str, text: str) -> None:
        if self._request is not None:
            self._request.emit(Stdout(text) if stream == "stdout" else Stderr(text))


def _taken(marker: str, claim: Claim) -> list[tuple[Adopted, dict[str, int]]]:
    found = claim(marker)
    try:
        return [(child, child.take()) for child in found]
    except OSError:  # the warden has ended
        return []


def _kill_children(pid: int, jobs: frozenset[int]) -> None:
    # What an earlier run has left running in the background is none of this run's.
    for child in children_of(pid) - jobs:
        with suppress(psutil.Error):
            process = psutil.Process(child)
            for each in (*process.children(recursive=True), process):
                with suppress(psutil.Error):
                    each.kill()
