"""A kernel's process: signalled through its provisioner, and its death seen at once through a pidfd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
from jupyter_client.kernelspec import KernelSpec as JupyterKernelSpec
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase

from execd.kernel.connection import Connection
from execd.kernel.kernelspec import KernelSpec

_STDERR_TAIL_BYTES = 4096


class StderrTail:
    """The end of what a kernel writes to its own stderr, kept so that a failed start can be explained.

    It is read all the time: what ipykernel captures from file descriptor 2 is also echoed there, and a pipe that
    nobody reads would stop the kernel.
    """

    def __init__(self, read_end: int) -> None:
        self._fd = read_end
        self._tail = b""
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
    """A running kernel's process. `dead` is set as soon as the kernel of the machine knows that it ended.

    This is the seam behind which kernels come from: a `KernelProvisioner` of jupyter_client, found by its entry
    point, that offers a `pid`.
    """

    def __init__(self, provisioner: KernelProvisionerBase, pid: int, stderr: StderrTail) -> None:
        self.pid = pid
        self._stderr = stderr
        self.dead = anyio.Event()
        self.exit_code: int | None = None
        self._provisioner = provisioner
        self._pidfd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    @classmethod
    async def launch(cls, spec: KernelSpec, connection: Connection, cwd: Path, env: dict[str, str]) -> KernelProcess:
        """Start a kernel in `cwd` with exactly `env`. Raises OSError when it cannot be started at all."""
        jupyter_spec = JupyterKernelSpec(argv=list(spec.argv), display_name=spec.display_name, language=spec.language)
        provisioner = KernelProvisionerFactory.instance().create_provisioner_instance(
            connection.folder.name, jupyter_spec, parent=None
        )
        options = await provisioner.pre_launch(env=env, cwd=str(cwd))
        options["cmd"] = spec.command(connection.file)
        with StderrTail.opened() as (stderr, write_end):
            await provisioner.launch_kernel(**options, stdout=subprocess.DEVNULL, stderr=write_end)
        await provisioner.post_launch()
        return cls(provisioner, provisioner.pid, stderr)  # type: ignore[attr-defined]

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return not self.dead.is_set()

    async def signal(self, signum: signal.Signals) -> None:
        """Send a signal to the kernel and the processes it started in its group; nothing once it is dead."""
        if self.alive:
            await self._provisioner.send_signal(signum)

    async def kill(self) -> None:
        """End the kernel's process group, and return when the kernel is gone."""
        await self.signal(signal.SIGKILL)
        await self.dead.wait()

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

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._kill_group()
        self.exit_code = self._reap()
        self._stderr.close()
        self.dead.set()

    def _kill_group(self) -> None:
        # Before the leader is reaped: until then no other group can have its number.
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)

    def _reap(self) -> int | None:
        process = getattr(self._provisioner, "process", None)
        return None if process is None else process.wait()


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a process and its ended children, or None when it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system + times.children_user + times.children_system)


def started_at(pid: int) -> float | None:
    """When a process started, in seconds of CLOCK_BOOTTIME, or None when it is gone. Late by up to a clock tick."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
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
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory(pid: int) -> int | None:
    """A process's largest resident size in bytes (VmHWM, proc(5)), or None when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0]) * 1024 if peaks else None


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
