"""What ends a session's shell: the exit code is told and the state is kept, or its loss is told."""

from __future__ import annotations

import os
import signal

import pytest

from tests.kernel.bash_session import Session

# How a run ends its shell, and the exit code.
EXITS = {
    "exit": ("exit 7", 7),
    "exit of the last status": ("(exit 4); exit", 4),
    "exit in a function": ("g() { exit 6; }; g", 6),
    "exit in a function of a function": ("g() { h; }; h() { exit 6; }; g", 6),
    "exit in a loop": ("while :; do exit 8; done", 8),
    "exit in eval": ("eval 'eval \"exit 9\"'", 9),
    "errexit": ("set -e; false; echo not reached", 1),
    "errexit in a function": ("set -e; g() { false; }; g", 1),
    "nounset": ("set -u; echo $nothing", 1),
    "error in an expansion": (": ${nothing:?gone}", 1),
    "posix mode": ("set -o posix; unset -f x; shift 99", 1),
    "SIGTERM": ("kill $$; while :; do :; done", 143),
    "SIGHUP": ("kill -HUP $$; while :; do :; done", 129),
    "onecmd": ("set -t; exit 5", 5),
}

STATE = "x=kept; export y='it''s'; a=(1 2); f() { echo $x; }; cd /usr; alias hi='echo hi'"
QUESTION = "f; echo $y ${a[1]}; pwd; hi"
ANSWER = "kept\nits 2\n/usr\nhi\n"


@pytest.mark.parametrize("how", EXITS)
async def test_the_code_is_told_and_the_state_is_kept(session: Session, how: str) -> None:
    deed, code = EXITS[how]
    await session.says(STATE)
    ran = await session.run(f"echo before; {deed}")
    assert (ran.code, ran.stdout) == (code, "before\n")
    assert await session.says(QUESTION) == ANSWER
    assert (await session.run(deed)).code == code
    assert await session.says(QUESTION) == ANSWER


async def test_what_does_not_end_the_shell_is_only_a_code(session: Session) -> None:
    await session.says(STATE)
    pid = session.pid
    codes = {"return 3": 3, "(exit 4)": 4, "false": 1, "nosuch": 127, "g() { return 5; }; g": 5}
    for code, status in codes.items():
        assert (await session.run(code)).code == status
    assert session.pid == pid
    assert await session.says(QUESTION) == ANSWER


LOSSES = {
    "SIGKILL": ("kill -9 $$", -9),
    "exec": ("exec true", 0),
    "exec of a command that fails": ("exec false", 1),
    "exec of what is not there": ("exec /proc/nonexistent", 127),
}


@pytest.mark.parametrize("how", LOSSES)
async def test_a_state_that_is_lost_is_not_passed_over(session: Session, how: str) -> None:
    deed, code = LOSSES[how]
    await session.says(STATE)
    await session.run("exit 1")
    ran = await session.run(f"echo before; {deed}")
    assert ran.stdout == "before\n"
    assert ran.code is None
    assert not session.kernel.alive
    assert session.kernel.process.exit_code == code


async def test_a_shell_that_no_longer_carries_out_commands_is_not_waited_for(session: Session) -> None:
    ran = await session.run("echo before; set -n; echo after")
    assert (ran.code, ran.stdout) == (None, "before\n")
    assert "no longer carries them out" in ran.stderr
    assert not session.kernel.alive


async def test_a_shell_that_ends_between_two_runs_keeps_its_state(session: Session) -> None:
    await session.says(STATE)
    os.kill(session.pid, signal.SIGTERM)
    assert await session.says(QUESTION) == ANSWER
    await session.says("set -t")
    assert await session.says(QUESTION) == ANSWER


async def test_local_variables_do_not_become_global_ones(session: Session) -> None:
    await session.says("x=global a=(g1 g2); declare -A m=([k]=global); declare -i n=7; export e=out; declare -r r=5")
    functions = """
        outer() { local x=outer y=outer a=(l) n=3 e=in; local -A m=([k]=local); local -n ref=x; inner; }
        inner() { local x=inner z; local -r fixed=1; exit 3; }"""
    assert (await session.run(f"{functions}\nTEMPORARY=1 outer")).code == 3
    asked = "n+=1; echo $x ${a[*]} ${m[k]} $n $r $(printenv e); echo [$y$z$ref$fixed$TEMPORARY]"
    assert await session.says(asked) == "global g1 g2 global 8 5 out\n[]\n"


async def test_positional_parameters_are_the_sessions_not_the_functions(session: Session) -> None:
    await session.says("set -- a b")
    await session.run("f() { exit 1; }; f x y z")
    assert await session.says('echo "$@"') == "a b\n"


async def test_fifty_exits_leave_no_descriptor_and_no_process(session: Session) -> None:
    await session.run("x=0; exit 1")
    before = await session.says(LEFT)
    for number in range(50):
        assert (await session.run(f"x=$((x + 1)); exit {number}")).code == number
    assert await session.says(LEFT) == before
    assert await session.says("echo $x") == "50\n"


async def test_two_hundred_runs_leave_no_descriptor_and_no_process(session: Session) -> None:
    before = await session.says(LEFT)
    for number in range(200):
        ran = await session.run(f"echo {number}; true | (exit {number % 3})")
        assert (ran.code, ran.stdout) == (number % 3, f"{number}\n")
    assert await session.says(LEFT) == before


# The shell's descriptors, and those and the children of the process that serves it.
LEFT = """
ours=(/proc/$$/fd/*) theirs=(/proc/$PPID/fd/*)
echo ${#ours[@]} ${#theirs[@]} "$(< /proc/$$/task/$$/children)" $(wc -w < /proc/$PPID/task/$PPID/children)"""
