"""A kernel's process: started by a provisioner of jupyter_client, and its end told at once by who started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

import anyio
from jupyter_client.kernelspec import KernelSpec as JupyterKernelSpec
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from execd.isolation.launch import Exit, Launcher, Started
from execd.kernel.adopting import Adopted, close_all
from execd.kernel.connection import Connection
from execd.kernel.kernelspec import KernelSpec
from execd.kernel.provisioner import PROVISIONER_NAME, LauncherProvisioner
from execd.waiting import Occasion, first_of

# Where a kernel of ours writes a byte once it has bound its sockets, and the variable that tells it so.
_ANNOUNCING_FD = 3
_ANNOUNCING = "EXECD_READY_FD"

_LOOK_AGAIN_SECONDS = 0.005
_STDERR_TAIL_BYTES = 4096
# More than any of these files has.
_PROC_BYTES = 16384


class StderrTail:
    """The end of what a kernel writes to its own stderr, kept so that a failed start can be explained.

    It is read all the time: what ipykernel captures from file descriptor 2 is also echoed there, and a pipe that
    nobody reads would stop the kernel.
    """

    def __init__(self, read_end: int) -> None:
        """`read_end` -1: it has closed its own end."""
        self._fd = read_end
        self._tail = b""
        if read_end >= 0:
            os.set_blocking(read_end, False)
            asyncio.get_running_loop().add_reader(read_end, self._read)

    @classmethod
    @contextlib.contextmanager
    def opened(cls) -> Iterator[tuple[StderrTail, int]]:
        """A tail and the write end of its pipe, which is closed on leaving: the kernel has its own by then."""
        read_end, write_end = os.pipe()
        tail = cls(read_end)
        try:
            yield tail, write_end
        except BaseException:
            tail.close()
            raise
        finally:
            os.close(write_end)

    @property
    def fd(self) -> int:
        """The end that is read; -1 once it is closed."""
        return self._fd

    def text(self) -> str:
        """The last lines, trimmed."""
        return self._tail.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """Read what is left and close the pipe. Safe to call twice."""
        if self._fd >= 0:
            self._read()
        if self._fd >= 0:
            self._shut()

    def _read(self) -> None:
        try:
            chunk = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        self._tail = (self._tail + chunk)[-_STDERR_TAIL_BYTES:]
        if not chunk:
            self._shut()

    def _shut(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1


class KernelProcess:
    """A running kernel's process. `dead` is set as soon as whoever started it tells of its end.

    This is the seam behind which kernels come from: a `KernelProvisioner` of jupyter_client, found by its entry
    point, that starts processes through a Launcher.
    """

    def __init__(self, started: Started, stderr: StderrTail, announcement: int) -> None:
        """`announcement` is the read end of a pipe that the kernel writes to when it has bound its sockets, -1 where
        it does not do that."""
        self.pid = started.pid
        self.dead = Occasion()
        self.exit_code: int | None = None
        self.oom = False
        self._started = started
        self._stderr = stderr
        self._announcement = announcement
        started.on_exit(self._ended)

    @classmethod
    async def launch(
        cls, launcher: Launcher, spec: KernelSpec, connection: Connection, cwd: PurePath, env: Mapping[str, str]
    ) -> KernelProcess:
        """Start a kernel in `cwd` with exactly `env`. Raises OSError when it cannot be started at all."""
        provisioner = _provisioner(launcher, spec, connection)
        with StderrTail.opened() as (stderr, write_end), _announcements(spec) as (announcement, announcing):
            fds, told = {2: write_end}, dict(env)
            if announcing >= 0:
                fds[_ANNOUNCING_FD], told[_ANNOUNCING] = announcing, str(_ANNOUNCING_FD)
            options = await provisioner.pre_launch(env=told, cwd=str(cwd))
            options["cmd"] = spec.command(connection.file)
            try:
                await provisioner.launch_kernel(**options, fds=fds, keep={"stderr": stderr.fd}, label=connection.label)
            except BaseException:
                if announcement >= 0:
                    os.close(announcement)
                raise
        assert provisioner.started is not None
        return cls(provisioner.started, stderr, announcement)

    @classmethod
    def adopt(cls, child: Adopted) -> KernelProcess:
        """One that an earlier service has started. Raises OSError where what was kept for it is not to be had."""
        kept = child.take()
        stderr = StderrTail(kept.pop("stderr", -1))
        close_all(kept)
        return cls(child, stderr, -1)

    async def bound(self, connection: Connection) -> None:
        """Return once the kernel has bound its sockets, or is dead."""
        if self._announcement >= 0:
            announced = Occasion()
            loop = asyncio.get_running_loop()
            loop.add_reader(self._announcement, announced.set)
            try:
                await first_of(announced, self.dead)
            finally:
                loop.remove_reader(self._announcement)
                os.close(self._announcement)
                self._announcement = -1
        while self.alive and not connection.bound:
            with anyio.move_on_after(_LOOK_AGAIN_SECONDS):
                await self.dead.wait()

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return not self.dead.is_set()

    def interrupt(self) -> None:
        """SIGINT to the kernel and the processes that it started in its group; nothing once it is dead."""
        self._started.signal_group(signal.SIGINT)

    async def kill(self) -> None:
        """End the kernel's process group, and return when the kernel is gone."""
        self._started.signal_group(signal.SIGKILL)
        await self.dead.wait()

    def leave(self) -> None:
        """Listen to it no more, and leave it as it is."""
        self._stderr.close()

    def why_dead(self) -> str:
        """How a kernel that did not come up ended, and what it had to say."""
        return f"its process ended {describe_exit(self.exit_code)}. {self.complaint()}".strip()

    def complaint(self) -> str:
        """The last lines that the process wrote to its own stderr, which no run's output is."""
        return self._stderr.text()

    def cpu_seconds(self) -> float | None:
        """CPU time of the kernel and its ended children so far, or None when it is gone."""
        return cpu_seconds(self.pid)

    def reset_peak_memory(self) -> None:
        """Let `peak_memory` count from now; where that is refused it counts from the kernel's start."""
        reset_peak_memory(self.pid)

    def peak_memory(self) -> int | None:
        """The largest resident size in bytes, or None when the kernel is gone."""
        return peak_memory(self.pid)

    def _ended(self, how: Exit) -> None:
        # It is held: until it is released no other group can have its number.
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self._started.release()
        self.exit_code, self.oom = how.code, how.oom
        self._stderr.close()
        self.dead.set()


def _provisioner(launcher: Launcher, spec: KernelSpec, connection: Connection) -> LauncherProvisioner:
    through = {"launcher": launcher, "zygote": spec.forks}
    metadata = {"kernel_provisioner": {"provisioner_name": PROVISIONER_NAME, "config": through}}
    jupyter_spec = JupyterKernelSpec(
        argv=list(spec.argv), display_name=spec.display_name, language=spec.language, metadata=metadata
    )
    factory = KernelProvisionerFactory.instance()
    provisioner = factory.create_provisioner_instance(connection.folder.name, jupyter_spec, parent=None)
    assert isinstance(provisioner, LauncherProvisioner)
    return provisioner


@contextlib.contextmanager
def _announcements(spec: KernelSpec) -> Iterator[tuple[int, int]]:
    """The ends of the pipe on which a kernel of ours says that it can be reached, -1 for another; the write end is
    closed on leaving: the kernel has its own by then."""
    if spec.engine != "zygote":
        yield -1, -1
        return
    announcement, announcing = os.pipe()
    try:
        yield announcement, announcing
    finally:
        os.close(announcing)


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a process and its ended children, or None when it is gone."""
    try:
        fields = _stat_fields(pid)
    except OSError:
        return None
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def started_at(pid: int) -> float | None:
    """When a process started, in seconds of CLOCK_BOOTTIME, or None when it is gone. Late by up to a clock tick."""
    try:
        fields = _stat_fields(pid)
    except OSError:
        return None
    return (int(fields[19]) + 1) / os.sysconf("SC_CLK_TCK")


def children_of(pid: int) -> frozenset[int]:
    """The processes that this one has started and that have not been waited for; none when it is gone."""
    try:
        return frozenset(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return frozenset()


def reset_peak_memory(pid: int) -> None:
    """Let `peak_memory` count from now (writing 5 to clear_refs, proc(5)), where that is allowed."""
    with contextlib.suppress(OSError), Path(f"/proc/{pid}/clear_refs").open("wb", buffering=0) as file:
        file.write(b"5")


def peak_memory(pid: int) -> int | None:
    """A process's largest resident size in bytes (VmHWM, proc(5)), or None when it is gone."""
    try:
        peak = _read(pid, "status").partition(b"VmHWM:")[2]
    except OSError:
        return None
    return int(peak.split(maxsplit=1)[0]) * 1024 if peak else None


def _stat_fields(pid: int) -> list[bytes]:
    """What proc(5) numbers from 3 on: the name before may have blanks in it."""
    return _read(pid, "stat").rpartition(b")")[2].split()


def _read(pid: int, name: str) -> bytes:
    # Each run asks several times: psutil takes ten times as long.
    with Path(f"/proc/{pid}/{name}").open("rb", buffering=0) as file:
        return file.read(_PROC_BYTES)


def describe_exit(code: int | None) -> str:
    """How a process ended, for a person: `signal 9 (SIGKILL)`, `exit code 7`."""
    if code is None:
        return "in an unknown way"
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"by signal {-code}"
