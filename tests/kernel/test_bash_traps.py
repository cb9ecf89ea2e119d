"""The user's traps in a session, and options that trace: what a script prints by itself, it prints here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kernel.bash_session import ENVIRONMENT, Session

# Whole scripts. A session does with them what bash does, exit code and stdout and stderr.
SCRIPTS = {
    "EXIT": "trap 'echo bye $?' EXIT; echo on; exit 3",
    "EXIT that decides": "trap 'echo bye; exit 9' EXIT; exit 3",
    "EXIT after errexit": "set -euo pipefail; trap 'echo cleanup $?' EXIT; false | true; echo no",
    "EXIT after errexit in a function": "set -e; main() { trap 'echo cleanup' 0; false; }; main; echo no",
    "EXIT that sees local variables": "main() { local t=T; trap 'echo rm $t; echo err >&2' EXIT; exit 2; }; main",
    "EXIT taken back": "trap 'echo no' EXIT; trap - EXIT; exit 1",
    "EXIT taken back by its name alone": "trap 'echo no' EXIT; trap EXIT; exit 1",
    "EXIT ignored": "trap 'echo no' EXIT; trap '' EXIT; exit 1",
    "EXIT replaced": "trap 'echo one' EXIT; trap 'echo two' EXIT; exit",
    "EXIT of a subshell": "trap 'echo outer' EXIT; (trap 'echo inner' EXIT; echo in); echo out; exit",
    "EXIT of a substitution": "x=$(trap 'echo inner' EXIT; echo in); echo $x; exit 2",
    "EXIT and others": "trap 'echo sig' EXIT USR1; kill -USR1 $$; exit 4",
    "EXIT with a signal": "trap 'echo bye' EXIT; trap 'echo term; exit 5' TERM; kill $$; sleep 60",
    "saved and put back": "trap 'echo one' EXIT; old=$(trap -p EXIT); trap 'echo two' EXIT; eval \"$old\"; exit 1",
    "listed": "trap 'echo e' EXIT; trap 'echo u' USR1; trap '' USR2; trap; trap -p USR1; trap - EXIT",
    "listed in a substitution": "trap 'echo e' EXIT; x=$(trap -p EXIT; trap -p INT); echo \"$x\"; trap - EXIT",
    "listed ones of functions": "trap 'a=1' DEBUG; trap 'echo e' ERR; trap -p ERR; trap -p DEBUG; trap - 10",
    "bad signal": "trap 'x' NOSUCH 2>/dev/null; echo $?; trap 'echo u' USR1 NOSUCH 2>/dev/null; kill -USR1 $$",
    "double dash": "trap -- 'echo u' USR1; kill -USR1 $$; trap -- - USR1; trap",
    "number first": "trap 'echo u' USR1; trap 10 12; trap",
    "ERR": "trap 'echo err $?' ERR; false; if false; then :; fi; false || :; (exit 3); trap - ERR; false; :",
    "ERR in functions": "f() { false; :; }; trap 'echo err' ERR; f; set -E; f; set +E; f",
    "ERR set twice": "trap 'echo 1' ERR; false; trap 'echo 2' ERR; false; trap - ERR; false; :",
    "DEBUG": "trap 'echo \"> $BASH_COMMAND\"' DEBUG; echo a; f() { echo b; }; f",
    "DEBUG taken back": "trap 'n=$((n+1))' DEBUG; :; :; trap 'echo two' DEBUG; :; trap - DEBUG; echo $n",
    "RETURN in a function": "f() { trap 'echo back $FUNCNAME' RETURN; echo body; }; f; echo after; g() { :; }; g",
    "RETURN of a sourced file": "echo 'echo in' >lib; trap 'echo back' RETURN; . ./lib; echo after",
    "RETURN taken back": "f() { trap 'echo no' RETURN; trap - RETURN; }; f; echo after",
    "status in a trap": "trap 'echo $?' USR1; (exit 6); kill -USR1 $$; echo $?",
    "xtrace": "x=1; set -x; echo $x; f() { trap 'echo u' USR1; }; f; trap 'echo bye' EXIT; set +x; trap - EXIT",
    "nounset and traps": "set -u; trap 'echo bye' EXIT; trap; trap -p; exit 2",
    "INT": "trap 'echo int' INT; kill -INT $$; echo on",
    "INT ignored": "trap '' INT; kill -INT $$; echo on",
}


def by_bash(script: str, folder: Path, sourced: bool) -> tuple[int, str, str]:
    """What bash makes of a script. A sourced one is traced with one `+` more, as it is in a session."""
    (folder / "script").write_text(f"{script}\n")
    program = ". ./script\n" if sourced else f"{script}\n"
    done = subprocess.run(
        ["bash", "--norc", "-s"],
        input=program,
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("what", SCRIPTS)
async def test_a_script_does_here_what_bash_does_with_it(session: Session, tmp_path: Path, what: str) -> None:
    ran = await session.run(SCRIPTS[what])
    assert (ran.code, ran.stdout, ran.stderr) == by_bash(SCRIPTS[what], tmp_path, sourced="set -x" in SCRIPTS[what])
    assert session.kernel.alive
    assert await session.says("set +eux; trap - DEBUG; echo on") == "on\n"


LASTING = ["trap 'n=$((n+1))' DEBUG", "trap 'echo e' ERR", "f() { trap 'echo r' RETURN; }; f", "trap 'echo i' INT"]


@pytest.mark.parametrize("setting", LASTING)
async def test_a_trap_lasts_and_is_shown_as_it_was_set(session: Session, setting: str) -> None:
    await session.says(setting)
    shown = await session.says("trap -p")
    for _ in range(2):
        await session.run("exit 1")
        assert await session.says("trap -p") == shown
    assert "__execd" not in shown


async def test_an_exit_trap_has_its_one_turn_when_the_shell_ends(session: Session) -> None:
    await session.says("trap 'echo bye; changed=yes' EXIT")
    assert await session.says("echo still on") == "still on\n"
    ran = await session.run("exit 3")
    assert (ran.code, ran.stdout) == (3, "bye\n")
    assert await session.says("trap; echo $changed") == "yes\n"
    assert (await session.run("exit 4")).stdout == ""


async def test_tracing_shows_the_users_commands_only(session: Session) -> None:
    assert (await session.run("set -x")).stderr == ""
    assert (await session.run("echo a")).stderr == "++ echo a\n"
    assert (await session.run("exit 2")).stderr == "++ exit 2\n"
    assert (await session.run("set +x; set -v")).stderr == "++ set +x\n"
    assert (await session.run("echo a\necho b")).stderr == "echo a\necho b\n"
    assert (await session.run("set +v")).stderr == "set +v\n"
    assert (await session.run("echo a")).stderr == ""
