"""A terminal: its shell, its holders, its output and its input, without a wire."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import signal
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from execd.errors import InputRefused, TerminalGone, TerminalInUse, TerminalStartFailed, TerminalTakenOver
from execd.isolation.launch import Launcher
from execd.service.attachment import HIGH_WATER, Exited
from execd.service.line import Mode
from execd.service.shell import ShellCommand
from execd.service.terminal import INPUT_LIMIT, Terminal
from tests.service.terminal_probe import ENVIRONMENT, Probe, attach, eventually, open_terminal

PROMPT = rb"bash-[\d.]+[#$] "
# A trap runs between two commands: one that waits in a command of its own could miss the signal.
TIDY = "trap 'echo bye >tidied; exit' HUP; echo ready; while :; do sleep 0.01; done"


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or only waits for its parent to take notice."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def last_words_of_command_lines(processes: list[psutil.Process]) -> set[str]:
    """What each was told last."""
    words = set()
    for process in processes:
        with contextlib.suppress(psutil.Error):
            words.update(process.cmdline()[-1:])
    return words


async def test_no_shell_runs_before_somebody_attaches(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path) as terminal:
        assert (terminal.running, terminal.attached) == (False, False)
        attach(terminal)
        assert (terminal.running, terminal.attached) == (True, True)


async def test_a_command_runs_in_its_folder_and_gives_its_exit_code(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path, 'pwd; echo "$PWD" "$0"; exit 7') as terminal:
        probe = attach(terminal)
        assert (await probe.rest()).decode() == f"{tmp_path}\r\n{tmp_path} bash\r\n"
        assert probe.attachment.ending == Exited(7)
        assert (terminal.running, terminal.exit_code) == (False, 7)


async def test_a_shell_that_a_signal_ends_has_the_exit_code_that_shells_give_it(
    launcher: Launcher, tmp_path: Path
) -> None:
    async with open_terminal(launcher, tmp_path, "kill -KILL $$") as terminal:
        probe = attach(terminal)
        await probe.rest()
        assert probe.attachment.ending == Exited(128 + signal.SIGKILL)


async def test_the_shell_has_a_terminal_of_80_by_24_and_job_control(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path) as terminal:
        probe = attach(terminal)
        await probe.say("stty size; ps -o sid= -o tpgid= -p $$; echo $-=")
        assert (await probe.until(rb"\r\n(24 80)\r\n"))[1] == b"24 80"
        found = await probe.until(rb" *(\d+) +(\d+)\r\n(\w*)=")
        assert int(found[1]) > 0
        assert int(found[2]) > 0
        assert b"m" in found[3]  # monitor mode: job control
        assert b"no job control" not in probe.seen


async def test_nothing_of_ours_reaches_the_shell(launcher: Launcher, tmp_path: Path) -> None:
    ours = os.open(tmp_path, os.O_RDONLY)
    inherited = fcntl.fcntl(ours, fcntl.F_DUPFD, 100)  # inheritable, unlike what Python opens
    os.close(ours)
    async with open_terminal(launcher, tmp_path, "env; echo $(echo /proc/$$/fd/*); cat /proc/self/status") as terminal:
        text = (await attach(terminal).rest()).decode()
        os.close(inherited)
        assert "OLDPWD" not in text
        descriptors = {int(found) for found in re.findall(r"/proc/\d+/fd/(\d+)", text)}
        # bash keeps 255 for the terminal and 3 for what it substitutes.
        assert {0, 1, 2} <= descriptors <= {0, 1, 2, 3, 255}
        assert inherited not in descriptors
        # The C library keeps 32 and 33 to itself: nobody can set them back.
        ignored = int(text.partition("SigIgn:\t")[2].split()[0], 16) & ~(0b11 << 31)
        blocked = int(text.partition("SigBlk:\t")[2].split()[0], 16)
        assert (ignored, blocked) == (0, 0)


async def test_a_window_that_changes_its_size_tells_the_programs(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(
        launcher, tmp_path, "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done"
    ) as terminal:
        probe = attach(terminal)
        await probe.until(rb"ready")
        terminal.resize(132, 50)
        await probe.until(rb"50 132")


async def test_whole_characters_are_erased(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path, "read -r line; printf '%s' \"<$line>\"") as terminal:
        probe = attach(terminal)
        await terminal.write("aé\x7fb\n".encode())
        await probe.until(rb"<ab>")


async def test_a_second_client_is_refused_and_may_come_once_the_first_has_gone(
    launcher: Launcher, tmp_path: Path
) -> None:
    async with open_terminal(launcher, tmp_path) as terminal:
        first = attach(terminal)
        with pytest.raises(TerminalInUse):
            terminal.check_free()
        with pytest.raises(TerminalInUse):
            terminal.attach(Mode.PTY)
        first.attachment.detach()
        terminal.check_free()
        attach(terminal)


async def test_a_takeover_ends_the_first_hold_and_loses_nothing(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path) as terminal:
        first = attach(terminal)
        await first.say("echo fir''st")
        await first.until(rb"first\r\n")
        second = attach(terminal, takeover=True)
        assert isinstance(first.attachment.ending, TerminalTakenOver)
        await second.say("echo sec''ond")
        await second.until(rb"first\r\n.*second\r\n")
        # The first one's going changes nothing for the second.
        first.attachment.detach()
        with pytest.raises(TerminalInUse):
            terminal.check_free()


async def test_replay_starts_where_it_is_asked_to(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path, "printf 0123456789; read -r _") as terminal:
        first = attach(terminal)
        await first.until(rb"0123456789")
        first.attachment.detach()
        for since, expected in ((0, (0, b"0123456789")), (4, (4, b"456789")), (10, (10, b"")), (99, (10, b""))):
            probe = attach(terminal, since=since)
            assert probe.attachment.replay == expected
            probe.attachment.detach()


async def test_output_goes_on_while_nobody_is_attached(launcher: Launcher, tmp_path: Path) -> None:
    script = "echo ready; read -r _; seq 1 400000 | tee numbers; touch done; read -r _"
    async with open_terminal(launcher, tmp_path, script) as terminal:
        probe = attach(terminal)
        await probe.until(rb"ready\r\n")
        before = terminal.output_offset
        await probe.say("")
        probe.attachment.detach()
        await eventually((tmp_path / "done").exists)
        whole = b"\r\n" + (tmp_path / "numbers").read_bytes().replace(b"\n", b"\r\n")
        again = attach(terminal, since=before)
        start, missed = again.attachment.replay
        rest = len(whole) - (start - before)
        while len(again.seen) < rest:
            await again._read()
        assert bytes(again.seen) == whole[start - before :]
        assert len(missed) == 1024 * 1024


async def test_a_slow_client_holds_the_shell_up_and_loses_nothing(launcher: Launcher, tmp_path: Path) -> None:
    script = "head -c 3000000 /dev/urandom | base64 -w 100 | tee copy; touch done"
    async with open_terminal(launcher, tmp_path, script) as terminal:
        probe = attach(terminal)
        await eventually(lambda: probe.attachment.behind)
        stuck_at = terminal.output_offset
        assert HIGH_WATER <= stuck_at < HIGH_WATER + 64 * 1024
        assert not (tmp_path / "done").exists()
        whole = await probe.rest()
        expected = (tmp_path / "copy").read_bytes().replace(b"\n", b"\r\n")
        assert hashlib.sha256(whole).digest() == hashlib.sha256(expected).digest()
        assert terminal.output_offset == len(expected)


async def test_what_the_shell_leaves_in_the_line_comes_before_its_exit(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path, "head -c 30000 /dev/zero | tr '\\0' x; printf end") as terminal:
        for _ in range(20):
            probe = attach(terminal, since=terminal.output_offset)
            assert await probe.rest() == b"x" * 30000 + b"end"


async def test_after_an_exit_the_next_client_gets_a_new_shell_and_the_old_output(
    launcher: Launcher, tmp_path: Path
) -> None:
    async with open_terminal(launcher, tmp_path, "echo $$ $(ps -o sid= -p $$); exit 3") as terminal:
        first = (await attach(terminal).rest()).split()
        second = (await attach(terminal).rest()).split()
        assert second[: len(first)] == first
        assert second[len(first)] != first[0]


async def test_pipe_mode_keeps_the_two_outputs_apart(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path) as terminal:
        probe = attach(terminal, Mode.PIPE)
        await probe.say("tty; echo out; echo err >&2; exit 4")
        assert await probe.rest() == b"not a tty\nout\n"
        assert bytes(probe.stderr) == b"err\n"
        assert probe.attachment.ending == Exited(4)
        assert terminal.mode is Mode.PIPE


async def test_a_background_process_does_not_hold_an_exit_up(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path, "(while :; do echo noise; done) & echo $!; exit 0") as terminal:
        probe = attach(terminal, Mode.PIPE)
        await probe.rest()
        assert probe.attachment.ending == Exited(0)


async def test_a_process_that_was_told_to_survives_the_shell_and_ends_with_the_terminal(
    launcher: Launcher, tmp_path: Path
) -> None:
    script = "sleep 1000 </dev/null >/dev/null 2>&1 & echo pid=$!="
    async with open_terminal(launcher, tmp_path, script) as terminal:
        probe = attach(terminal, Mode.PIPE)
        output = await probe.rest()
        survivor = psutil.Process(int(output.split(b"=")[1]))
        await attach(terminal, Mode.PIPE).rest()
        assert not has_ended(survivor)
        await terminal.close()
        assert has_ended(survivor)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
async def test_a_signal_of_the_keyboard_goes_to_the_foreground_and_spares_the_shell(
    launcher: Launcher, tmp_path: Path, signum: signal.Signals
) -> None:
    async with open_terminal(launcher, tmp_path) as terminal:
        probe = attach(terminal)
        # A bash that is about to execute a program may swallow the signal.
        await probe.say("ulimit -c 0; (exec python3 -c 'print(\"ready\", flush=True); import time; time.sleep(1000)')")
        await probe.until(rb"ready\r\n")
        terminal.signal(signum)
        await probe.until(PROMPT)
        await probe.say("echo status=$?=")
        assert int((await probe.until(rb"[\r\n]status=(\d+)="))[1]) == 128 + signum


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGKILL])
async def test_a_signal_that_ends_terminals_ends_the_shell(
    launcher: Launcher, tmp_path: Path, signum: signal.Signals
) -> None:
    async with open_terminal(launcher, tmp_path) as terminal:
        probe = attach(terminal)
        await probe.say("(echo star''ted $BASHPID; exec sleep 1000)")
        sleeper = psutil.Process(int((await probe.until(rb"started (\d+)\r\n"))[1]))
        terminal.signal(signum)
        await probe.rest()
        assert probe.attachment.ending == Exited(128 + signum)
        await terminal.close()
        assert has_ended(sleeper)


async def test_much_input_waits_for_a_shell_that_does_not_read(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path, f"read -r _ <go; head -c {4 * INPUT_LIMIT} | wc -c") as terminal:
        os.mkfifo(tmp_path / "go")
        probe = attach(terminal, Mode.PIPE)
        typed = anyio.Event()

        async def type_it() -> None:
            await terminal.write(bytes(4 * INPUT_LIMIT))
            typed.set()

        async with anyio.create_task_group() as group:
            group.start_soon(type_it)
            await anyio.wait_all_tasks_blocked()
            assert not typed.is_set()
            await anyio.to_thread.run_sync((tmp_path / "go").write_text, "now\n")
            await typed.wait()
            assert int((await probe.rest()).split()[0]) == 4 * INPUT_LIMIT


async def test_input_that_nobody_will_read_is_refused(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path, "exec <&-; echo closed; read -r _ <go") as terminal:
        os.mkfifo(tmp_path / "go")
        probe = attach(terminal, Mode.PIPE)
        await probe.until(rb"closed")
        with pytest.raises(InputRefused, match="Broken pipe"):
            await terminal.write(b"x")


async def test_closing_kills_every_process_group_of_the_session_and_what_left_it(
    launcher: Launcher, tmp_path: Path
) -> None:
    script = """
        trap '' HUP
        (exec sleep 1001) &
        setsid sh -c 'trap "" HUP; sleep 1002' &
        set -m
        (trap '' HUP TERM; sleep 1003) &
        (kill -STOP $BASHPID) &
        sleep 1004 &
        echo ready; sleep 1005
    """
    async with open_terminal(launcher, tmp_path, script) as terminal:
        probe = attach(terminal)
        await probe.until(rb"ready")
        assert terminal._shell is not None
        leader = psutil.Process(terminal._shell.pid)
        wanted = {"1001", "1002", "1003", "1004", "1005"}
        await eventually(lambda: wanted <= last_words_of_command_lines(leader.children(recursive=True)))
        family = [leader, *leader.children(recursive=True)]
        await terminal.close()
        assert isinstance(probe.attachment.ending, TerminalGone)
        assert has_ended(leader)
        await eventually(lambda: all(has_ended(process) for process in family))
        assert not psutil.pid_exists(leader.pid)


async def test_a_program_may_tidy_up_when_its_terminal_is_closed(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path, TIDY) as terminal:
        await attach(terminal).until(rb"ready")
        await terminal.close()
        assert (tmp_path / "tidied").read_text() == "bye\n"


async def test_a_closed_terminal_takes_nobody(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminal(launcher, tmp_path) as terminal:
        await terminal.close()
        with pytest.raises(TerminalGone):
            terminal.attach(Mode.PTY)


async def test_a_shell_that_cannot_start_says_why_and_leaves_the_terminal_free(
    launcher: Launcher, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    terminal = Terminal("pty_1", launcher, lambda _: ShellCommand(folder, ENVIRONMENT, "pty_1"))
    with pytest.raises(TerminalStartFailed, match="gone"):
        terminal.attach(Mode.PTY)
    terminal.check_free()
    folder.mkdir()
    attach(terminal)
    await terminal.close()


async def test_terminals_leave_no_descriptor_behind(launcher: Launcher, tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for mode in Mode:
        async with open_terminal(launcher, tmp_path, "echo hi") as terminal:
            await attach(terminal, mode).rest()
        async with open_terminal(launcher, tmp_path) as terminal:
            Probe(terminal, terminal.attach(mode))
    assert descriptors() == before
