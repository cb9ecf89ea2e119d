"""Environment variables of one run of a session: exported while it runs, and put back whatever the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.bash_session import Session
from tests.kernel.test_bash_hostile import HOSTILE

LOOK = "printf '<%s>' \"${A-absent}\" \"${B-absent}\"; env | grep -c '^[AB]=' || true"
SECRET = "s3cr3t"

VALUES = {
    "plain": "x",
    "empty": "",
    "quotes": """it's "quoted" $HOME `id` \\ end\\""",
    "newlines": "one\n\ntwo\n",
    "like an option": "-n",
    "like code": "a'; exit 3; '",
    "an equals sign": "=a=b",
    "unicode": "gr\u00fc\u00df \U0001f600 \u2028",
    "long": "0123456789" * 9_000,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_a_value_arrives_as_it_is(session: Session, value: str) -> None:
    assert await session.says('printf %s "$A"; printf / ; printenv A | head -c -1', A=value) == f"{value}/{value}"
    assert await session.says(LOOK) == "<absent><absent>0\n"


# How a variable was before, and how that is seen afterwards.
BEFORE = {
    "absent": ("unset A", "absent"),
    "exported": ("export A='o\"ld\n'", "declare -x A=$'o\"ld\\n'"),
    "not exported": ("A=old", 'declare -- A="old"'),
    "empty": ("A=", 'declare -- A=""'),
    "without a value": ("declare -x A", "declare -x A"),
    "an integer": ("declare -i A=5", 'declare -i A="5"'),
    "an array": ("A=(1 'two three')", 'declare -a A=([0]="1" [1]="two three")'),
    "a dictionary": ("declare -A A=([k]=v)", 'declare -A A=([k]="v" )'),
    "a reference": ("declare -n A=B", 'declare -n A="B"'),
}
# What a run may do with its variable, and its exit code.
DEEDS = {
    "nothing": (":", 0),
    "change it": ("A=changed", 0),
    "export a change": ("export A=changed", 0),
    "unset it": ("unset A", 0),
    "make it an integer": ("declare -i A; A=1", 0),
    "make it readonly": ("readonly A", 0),
    "exit": ("A=changed; exit 7", 7),
    "exit in a function with a local one": ("f() { local A=local; exit 6; }; f", 6),
    "exit where it is readonly": ("readonly A; exit 5", 5),
    "fail with errexit": ("set -e; A=changed; false", 1),
    "a syntax error": ("if", 2),
    "a here-document": ("cat <<END\n$A\nEND\nA=changed", 0),
    "a function called builtin": ("builtin() { echo hijacked; }; A=changed", 0),
    "end the shell by a signal": ("A=changed; kill $$; while :; do :; done", 143),
}
SHOW = "set +e; unset -f builtin; declare -p A 2>/dev/null || echo absent"


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("before", ["absent", "exported", "an integer"])
async def test_it_is_as_before_whatever_the_code_does(session: Session, before: str, deed: str) -> None:
    setting, seen = BEFORE[before]
    code, status = DEEDS[deed]
    await session.says(f"{setting}; C=kept")
    assert (await session.run(code, A="given")).code == status
    assert (await session.run(SHOW)).stdout.rstrip("\n") == seen
    assert (await session.run("echo $C")).stdout == "kept\n"


@pytest.mark.parametrize("ending", ["true", "exit"])
@pytest.mark.parametrize("before", BEFORE)
async def test_every_kind_of_variable_comes_back(session: Session, before: str, ending: str) -> None:
    setting, seen = BEFORE[before]
    await session.says(setting)
    ran = await session.run(f'echo "$A"; {ending}', A="given")
    assert (ran.code, ran.stdout, ran.stderr) == (0, "given\n", "")
    assert (await session.run(SHOW)).stdout.rstrip("\n") == seen


async def test_what_was_not_given_stays_as_the_code_left_it(session: Session) -> None:
    await session.says("B=changed; export D=new; unset GIVEN", A="1")
    assert await session.says('echo "$B $D ${GIVEN-gone} ${A-absent}"') == "changed new gone absent\n"


@pytest.mark.parametrize("what", HOSTILE)
async def test_nothing_that_a_session_is_stands_in_the_way(session: Session, what: str) -> None:
    await session.run(HOSTILE[what])
    for code in ("", "; \\command exit 7"):
        ran = await session.run(f'/bin/echo "<$A>"{code}', A="it's\nthere")
        assert "<it's\nthere>\n" in ran.stdout, ran
        assert "<absent>\n" in (await session.run('/bin/echo "<${A-absent}>"')).stdout


async def test_a_readonly_variable_fails_the_run_and_says_so(session: Session) -> None:
    await session.says("readonly A=fixed")
    pid = session.pid
    ran = await session.run("echo not reached", A="given", B="b")
    assert (ran.code, ran.stdout) == (1, "")
    assert "A: cannot unset: readonly variable" in ran.stderr
    assert await session.says(LOOK) == "<fixed><absent>0\n"
    assert session.pid == pid


async def test_what_a_shell_says_itself_stays_as_it_is(session: Session, tmp_path: Path) -> None:
    told = await session.says('echo "$PWD $UID $A"', PWD="/nowhere", UID="77", _="x", A="given")
    assert told.split()[0] == str(tmp_path)
    assert told.split()[2] == "given"


async def test_no_value_is_on_a_command_line_in_a_trace_or_left_in_a_file(session: Session) -> None:
    await session.says("exec 9>trace; BASH_XTRACEFD=9; trap 'echo \"$BASH_COMMAND\" >>trapped' DEBUG; set -xT")
    shown = await session.run("tr '\\0' ' ' </proc/$$/cmdline; ps -ww -A -o args=", A=SECRET, B=SECRET)
    assert SECRET not in shown.stdout
    await session.run("set +xT; trap - DEBUG")
    memory = "for fd in /proc/$$/fd/*; do [[ $(readlink $fd) != /memfd:* ]] || cat $fd; done"
    left = await session.says(f"cat trace trapped; declare -p; env; {memory}")
    assert "__execd_give" in left
    assert "readlink" in left
    assert SECRET not in left


async def test_an_interrupted_run_gives_them_back(session: Session) -> None:
    await session.says("export A=old")
    running = session.begin("echo $A; A=changed; while :; do :; done", A="given")
    await running.says("given\n")
    await session.kernel.interrupt()
    assert (await running.end()).code == 130
    assert await session.says(LOOK) == "<old><absent>1\n"
