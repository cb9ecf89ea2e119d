"""Real processes: how they end, what they write, and that nothing of them stays."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import psutil
import pytest

from execd.isolation.launch import Launcher
from execd.kernel.child import ChildProcess, ChildSpec, Listener
from execd.kernel.tree import MARKER, kill_marked
from tests.live.waiting import eventually

pytestmark = pytest.mark.anyio

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes as other users")


class Heard:
    """What a process wrote, and waiting for it."""

    def __init__(self) -> None:
        self.output = {"stdout": b"", "stderr": b""}
        self.ended: set[str] = set()
        self._news = anyio.Event()

    def __call__(self, stream: str, data: bytes) -> None:
        assert stream not in self.ended
        self.output[stream] += data
        if not data:
            self.ended.add(stream)
        self._news.set()
        self._news = anyio.Event()

    @property
    def stdout(self) -> bytes:
        return self.output["stdout"]

    async def until(self, text: bytes) -> None:
        """Return once the text has been written to stdout."""
        while text not in self.stdout:
            await self._news.wait()

    async def until_ended(self, streams: int = 2) -> None:
        """Return once so many streams have ended."""
        while len(self.ended) < streams:
            await self._news.wait()


class Starter:
    """Starts processes of one test."""

    def __init__(self, launcher: Launcher, folder: Path) -> None:
        self.launcher = launcher
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.heard = Heard()

    def __call__(
        self, *argv: str, merge_stderr: bool = False, uid: int | None = None, gid: int | None = None
    ) -> ChildProcess:
        return ChildProcess.start(
            self.launcher, self.spec(*argv, merge_stderr=merge_stderr, uid=uid, gid=gid), Listener(self.heard)
        )

    def spec(self, *argv: str, merge_stderr: bool = False, uid: int | None = None, gid: int | None = None) -> ChildSpec:
        """What is started."""
        return ChildSpec(argv, self.folder, {"PATH": os.environ["PATH"]}, self.mark, uid, gid, merge_stderr)

    def shell(self, line: str, merge_stderr: bool = False) -> ChildProcess:
        """A shell line."""
        return self("sh", "-c", line, merge_stderr=merge_stderr)

    def python(self, code: str) -> ChildProcess:
        """A Python program."""
        return self(sys.executable, "-c", code)


@pytest.fixture
def start(launcher: Launcher, tmp_path: Path) -> Iterator[Starter]:
    """Starts processes that end with the test."""
    starter = Starter(launcher, tmp_path)
    yield starter
    kill_marked(starter.mark)


def left(mark: str) -> list[psutil.Process]:
    """The living processes that were started with this mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARKER) == mark:
                found.append(process)
    return found


def names(mark: str) -> list[str]:
    """What the living processes with this mark are called."""
    found = []
    for process in left(mark):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(process.name())
    return found


def descriptors() -> list[str]:
    """What this process has open."""
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


async def test_output_that_is_held_is_read_later_and_whole(start: Starter) -> None:
    child = start.python("import sys; print('first', flush=True); sys.stdout.write('x' * 3_000_000); print('last')")
    await start.heard.until(b"first\n")
    child.hold()
    child.hold()
    so_far = len(start.heard.stdout)
    await anyio.sleep(0.05)
    assert len(start.heard.stdout) == so_far
    assert not child.exited.is_set()
    child.go_on()
    await start.heard.until_ended()
    assert start.heard.stdout == b"first\n" + b"x" * 3_000_000 + b"last\n"


class TestTheEnd:
    @pytest.mark.parametrize("code", [0, 1, 77, 255])
    async def test_the_exit_code(self, start: Starter, code: int) -> None:
        child = start.shell(f"exit {code}")
        await child.exited.wait()
        assert child.exit_code == code

    @pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
    async def test_a_signal_is_a_negative_exit_code(self, start: Starter, signum: signal.Signals) -> None:
        child = start.shell(f"kill -{signum.value} $$")
        await child.exited.wait()
        assert child.exit_code == -signum

    async def test_on_exit_is_called_when_all_output_is_in(self, tmp_path: Path, start: Starter) -> None:
        seen: list[int] = []
        spec = ChildSpec(["sh", "-c", "head -c 500000 /dev/zero"], tmp_path, dict(os.environ), start.mark)
        child = ChildProcess.start(
            start.launcher, spec, Listener(start.heard, lambda: seen.append(len(start.heard.stdout)))
        )
        await child.exited.wait()
        assert seen == [500000]

    async def test_what_it_used_is_told(self, start: Starter) -> None:
        size = 200 * 2**20
        child = start.python(f"import time\nheld = b'x' * {size}\nwhile time.process_time() < 0.05: pass")
        await child.exited.wait()
        assert child.exit is not None
        assert (child.exit.cpu_seconds or 0) >= 0.05
        assert size < (child.exit.peak_memory or 0) < 2 * size


class TestOutput:
    async def test_both_streams(self, start: Starter) -> None:
        child = start.shell("echo out; echo err >&2")
        await child.exited.wait()
        assert start.heard.output == {"stdout": b"out\n", "stderr": b"err\n"}

    async def test_merged_streams_keep_their_order(self, start: Starter) -> None:
        child = start.shell("for i in 1 2 3; do echo out $i; echo err $i >&2; done", merge_stderr=True)
        await child.exited.wait()
        assert start.heard.stdout == b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"
        assert start.heard.output["stderr"] == b""

    async def test_thousands_of_lines_on_both_streams_at_once(self, start: Starter) -> None:
        child = start.shell("seq 1 60000 & seq 60001 120000 >&2; wait")
        await child.exited.wait()
        assert start.heard.stdout.split() == [b"%d" % number for number in range(1, 60001)]
        assert start.heard.output["stderr"].split() == [b"%d" % number for number in range(60001, 120001)]

    async def test_a_closed_stream_ends_before_the_process(self, start: Starter) -> None:
        child = start.shell("exec >&-; exec sleep 600")
        await start.heard.until_ended(1)
        assert start.heard.ended == {"stdout"}
        assert not child.exited.is_set()
        child.kill_tree()
        await child.exited.wait()

    async def test_stdin_is_empty(self, start: Starter) -> None:
        child = start.shell("cat; echo end")
        await child.exited.wait()
        assert start.heard.stdout == b"end\n"

    async def test_it_inherits_nothing_but_its_streams(self, start: Starter) -> None:
        child = start.shell("ls /proc/$$/fd")
        await child.exited.wait()
        assert start.heard.stdout.split() == [b"0", b"1", b"2"]


class TestDescendants:
    async def test_one_that_holds_the_pipes_does_not_hold_up_the_end(self, start: Starter) -> None:
        child = start.shell("sleep 600 & echo here")
        await child.exited.wait()
        assert (child.exit_code, start.heard.stdout, start.heard.ended) == (0, b"here\n", set())
        child.kill_tree()
        await start.heard.until_ended()

    async def test_what_one_writes_after_the_end_comes_too(self, start: Starter) -> None:
        os.mkfifo(start.folder / "go")
        child = start.shell("(cat go; echo late) & echo early")
        await child.exited.wait()
        assert start.heard.stdout == b"early\n"
        await anyio.to_thread.run_sync((start.folder / "go").write_bytes, b"")
        await start.heard.until_ended()
        assert start.heard.stdout == b"early\nlate\n"

    async def test_one_that_is_about_to_execute_its_program_is_found(self, start: Starter) -> None:
        for _ in range(30):
            heard = start.heard = Heard()
            child = start.shell("sleep 600 & sleep 600 & sleep 600 & exit 0")
            await child.exited.wait()
            child.kill_tree()
            await heard.until_ended()

    async def test_close_stops_listening(self, start: Starter) -> None:
        child = start.shell("sleep 600 & echo here")
        await child.exited.wait()
        child.close()
        child.close()
        child.kill_tree()
        eventually(lambda: not left(start.mark))
        assert start.heard.ended == set()

    @pytest.mark.parametrize(
        "line",
        [
            "sleep 600 & sleep 600",
            "setsid sleep 600 & sleep 600",
            "(setsid sh -c 'sleep 600 & sleep 600' &) ; exec sleep 600",
            "nohup setsid sh -c '(setsid sleep 600 &)' >/dev/null 2>&1 & sleep 600",
        ],
    )
    async def test_all_of_them_end_with_the_tree(self, start: Starter, line: str) -> None:
        child = start.shell(f"echo here; {line}")
        await start.heard.until(b"here")
        eventually(lambda: "sleep" in names(start.mark))
        child.kill_tree()
        await child.exited.wait()
        assert child.exit_code == -signal.SIGKILL
        eventually(lambda: not left(start.mark))

    async def test_a_daemon_that_outlived_its_leader_still_ends_with_the_tree(self, start: Starter) -> None:
        child = start.shell("setsid sleep 600 >/dev/null 2>&1 & exit 0")
        await child.exited.wait()
        eventually(lambda: names(start.mark) == ["sleep"])
        child.kill_tree()
        eventually(lambda: not left(start.mark))
        assert child.exit_code == 0


class TestSignals:
    async def test_the_whole_group_gets_a_signal(self, start: Starter) -> None:
        child = start.shell("trap 'echo caught; exit 3' TERM; echo ready; sleep 600 & wait")
        await start.heard.until(b"ready")
        eventually(lambda: "sleep" in names(start.mark))
        child.signal_group(signal.SIGTERM)
        await child.exited.wait()
        assert (child.exit_code, start.heard.stdout) == (3, b"ready\ncaught\n")
        await start.heard.until_ended()

    async def test_one_that_ignores_the_signal_is_killed_with_the_tree(self, start: Starter) -> None:
        child = start.shell("trap '' TERM; echo ready; while :; do sleep 600; done")
        await start.heard.until(b"ready")
        child.signal_group(signal.SIGTERM)
        child.kill_tree()
        await child.exited.wait()
        assert child.exit_code == -signal.SIGKILL

    async def test_a_stopped_one_is_killed_with_the_tree(self, start: Starter) -> None:
        child = start.shell("echo ready; kill -STOP $$")
        await start.heard.until(b"ready")
        eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
        child.kill_tree()
        await child.exited.wait()
        assert child.exit_code == -signal.SIGKILL

    async def test_after_the_end_there_is_nobody_to_signal(self, start: Starter) -> None:
        child = start("true")
        await child.exited.wait()
        child.signal_group(signal.SIGKILL)
        child.kill_tree()
        assert child.exit_code == 0


class TestStarting:
    @pytest.mark.parametrize(
        ("argv", "error"),
        [
            (["no-such-program"], FileNotFoundError),
            (["/etc/passwd"], PermissionError),
            (["true", "x" * 200_000], OSError),
        ],
    )
    async def test_what_cannot_be_started_leaves_nothing_open(
        self, start: Starter, argv: list[str], error: type[OSError]
    ) -> None:
        before = descriptors()
        with pytest.raises(error):
            start(*argv)
        with pytest.raises(error):
            await ChildProcess.begin(start.launcher, start.spec(*argv), Listener(start.heard))
        assert descriptors() == before

    async def test_one_that_is_begun_while_others_go_on(self, start: Starter) -> None:
        child = await ChildProcess.begin(
            start.launcher, start.spec("sh", "-c", "echo begun; exit 3"), Listener(start.heard)
        )
        await start.heard.until_ended()
        await child.exited.wait()
        assert (start.heard.stdout, child.exit_code) == (b"begun\n", 3)

    async def test_of_one_that_nobody_waits_for_any_more_nothing_is_left(self, start: Starter) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(ChildProcess.begin, start.launcher, start.spec("sleep", "600"), Listener(start.heard))
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        # The warden answers in order: what it was asked before has been started by then.
        await (await ChildProcess.begin(start.launcher, start.spec("true"), Listener(start.heard))).exited.wait()
        with anyio.fail_after(30):
            while left(start.mark):  # noqa: ASYNC110 - other processes tell nothing
                await anyio.sleep(0.01)

    async def test_a_folder_that_is_gone(self, start: Starter) -> None:
        start.folder /= "gone"
        with pytest.raises(FileNotFoundError):
            start("true")

    async def test_no_descriptor_is_kept(self, start: Starter) -> None:
        await start("true").exited.wait()
        before = len(descriptors())
        for number in range(20):
            heard = start.heard = Heard()
            child = start.shell(f"echo {number}; echo {number} >&2", merge_stderr=number % 2 == 0)
            await child.exited.wait()
            await heard.until_ended(1 if number % 2 == 0 else 2)
            child.close()
        assert len(descriptors()) == before

    @as_root
    @pytest.mark.parametrize(
        ("uid", "gid", "identity"),
        [
            (65534, None, "65534 65534 65534"),
            (65534, 4321, "65534 4321 4321"),
            (54321, None, "54321 54321 54321"),
            (54321, 4321, "54321 4321 4321"),
            (0, None, None),
            (0, 0, None),
        ],
    )
    async def test_as_somebody_else(self, start: Starter, uid: int, gid: int | None, identity: str | None) -> None:
        child = start("sh", "-c", "echo $(id -u) $(id -g) $(id -G)", uid=uid, gid=gid)
        await child.exited.wait()
        ours = " ".join(map(str, [os.getuid(), os.getgid(), *sorted({os.getgid(), *os.getgroups()})]))
        assert start.heard.stdout.decode().strip() == (ours if identity is None else identity)


async def test_what_it_is_given_to_read_it_reads_to_the_end_and_cannot_change(
    launcher: Launcher, tmp_path: Path
) -> None:
    given = b"x" * (3 << 20)
    code = (
        "import os, sys\nread = sys.stdin.buffer.read()\n"
        "try: os.write(os.open('/proc/self/fd/0', os.O_RDWR), b'y')\nexcept OSError as e: print(len(read), e.errno)"
    )
    heard = Heard()
    argv = (sys.executable, "-c", code)
    child = ChildProcess.start(launcher, ChildSpec(argv, tmp_path, {}, uuid.uuid4().hex, stdin=given), Listener(heard))
    await child.exited.wait()
    await heard.until_ended()
    assert heard.stdout == b"%d %d\n" % (len(given), errno.EPERM)
