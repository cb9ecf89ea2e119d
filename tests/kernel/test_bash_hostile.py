"""Code that stands in a session's way, by accident or not: runs still end, with their code, and the state is kept."""

from __future__ import annotations

import pytest

from tests.kernel.bash_session import Session

BUILTINS = (
    "cd",
    "printf",
    "echo",
    "exit",
    "declare",
    "read",
    "local",
    "return",
    "shopt",
    "compgen",
    "mapfile",
    "umask",
)
SPECIAL_BUILTINS = ("set", "eval", "unset", "shift", "export", "trap", "alias")

# What a run may do to the session, each followed by a run, an exit, and a run.
HOSTILE = {
    "functions like builtins": "\n".join(f"{name}() {{ echo hijacked; }}" for name in BUILTINS),
    "functions like special builtins": "\n".join(f"{name}() {{ echo hijacked; }}" for name in SPECIAL_BUILTINS),
    "a function called builtin": "builtin() { echo hijacked; }",
    "a function called command": "command() { echo hijacked; }",
    "aliases": "alias echo=no printf=no builtin=no declare=no exit=no .=no command=no if=no trap=no __execd_end=no",
    "IFS": "IFS=_ex0123456789",
    "empty IFS": "IFS=",
    "no PATH": "unset PATH",
    "PATH that is empty": "export PATH=",
    "BASH_ENV": "export BASH_ENV=/proc/nonexistent ENV=/proc/nonexistent",
    "PROMPT_COMMAND": "PROMPT_COMMAND='exit 3'",
    "set -euo pipefail": "set -euo pipefail",
    "set -f": "set -f",
    "noclobber": "set -C",
    "set -k": "set -k",
    "set -a": "set -a",
    "posix": "set -o posix",
    "POSIXLY_CORRECT": "export POSIXLY_CORRECT=1",
    "set +B": "set +B",
    "set +h": "set +h",
    "monitor": "set -m",
    "set -x to stdout": "BASH_XTRACEFD=1; set -x",
    "globs": "shopt -s nullglob failglob extglob dotglob nocaseglob nocasematch globstar",
    "extdebug": "shopt -s extdebug",
    "locals": "shopt -s localvar_unset localvar_inherit",
    "compat": "BASH_COMPAT=4.2",
    "no aliases": "shopt -u expand_aliases",
    "sourcepath": "shopt -u sourcepath",
    "traps": "trap 'true' DEBUG; trap 'true' ERR; trap 'true' RETURN; set -ET",
    "no traps": "trap - EXIT INT; trap 0 2",
    "unset functions": "unset -f trap $(declare -F | grep -o '__execd_[a-z_]*$') 2>/dev/null; :",
    "unset variables": "unset $(compgen -v __execd) 2>/dev/null; :",
    "closed descriptors": 'for fd in {3..239}; do eval "exec $fd>&-"; done',
    "odd locale": "export LC_ALL=C LANG=xx",
    "odd TMPDIR": "export TMPDIR=/proc/nonexistent",
    "TMOUT": "TMOUT=1",
    "readonly": "readonly name token code state line x_y",
    "many arguments": "set -- {1..5000}",
    "ulimits": "ulimit -S -c 0 -n 200",
}
STATE = "kept=$'it\\'s'; function keeper { /bin/echo \"$kept\"; }"


@pytest.mark.parametrize("what", HOSTILE)
async def test_the_session_goes_on(session: Session, what: str) -> None:
    assert (await session.run(STATE)).code == 0
    ran = await session.run(HOSTILE[what])
    assert (ran.code, [line for line in ran.stderr.splitlines() if not line.startswith("+")]) == (0, [])
    for _ in range(2):
        ran = await session.run("\\keeper")
        assert ("it's" in ran.stdout, ran.code) == (True, 0), ran
        ran = await session.run("\\command exit 7; \\builtin exit 7; exit 7")
        assert ran.code == 7, ran
    assert session.kernel.alive


BROKEN = {
    "unterminated quote": ('echo before\necho "x', 2),
    "unterminated substitution": ("echo before\necho $(x", 2),
    "unclosed group": ("echo before\nif true; then", 2),
    "stray bracket": ("echo before\necho )", 2),
    "stray word": ("echo before\ndone", 2),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("posix", ["", "set -o posix"])
async def test_code_that_is_no_bash_says_so_and_breaks_nothing(session: Session, what: str, posix: str) -> None:
    code, status = BROKEN[what]
    await session.says(f"{posix}\nx=5")
    ran = await session.run(code)
    assert (ran.code, ran.stdout) == (status, "before\n")
    assert "syntax error" in ran.stderr or "unexpected EOF" in ran.stderr
    assert await session.says("echo $x") == "5\n"


ODD = {
    "nothing": ("", ""),
    "blank": (" \n\t\n", ""),
    "comment": ("# comment", ""),
    "shebang": ("#!/bin/sh\necho a", "a\n"),
    "ends in a backslash": ("echo a \\", "a\n"),
    "ends without a newline": ("echo a", "a\n"),
    "carriage returns in a string": ("printf 'a\\rb\\r\\n'", "a\rb\r\n"),
    "percent and backslash": ("printf '%s\\n' '%%d %n \\n \\\\ \\x41 %s'", "%%d %n \\n \\\\ \\x41 %s\n"),
    "heredocs": ("x=1; cat <<A <<-'B'\nlost\nA\n\tkept $x\n\tB", "kept $x\n"),
    "token of ours": ("echo '# left 0'; echo '__execd_end 1'", "# left 0\n__execd_end 1\n"),
    "lone surrogate": ("echo '\ud800'", "?\n"),
    "stdin": ('read x; echo "[$x] $?"; cat; wc -c', "[] 1\n0\n"),
    "break": ("break 2>/dev/null; continue 2>/dev/null; echo on", "on\n"),
    "unicode line ends": ("echo 'a\u2028b\x85c'", "a\u2028b\x85c\n"),
}


@pytest.mark.parametrize("what", ODD)
async def test_odd_code_does_what_it_says(session: Session, what: str) -> None:
    code, printed = ODD[what]
    assert await session.says(code) == printed


async def test_an_unclosed_heredoc_is_warned_of(session: Session) -> None:
    ran = await session.run("cat <<END\ntext")
    assert (ran.code, ran.stdout) == (0, "text\n")
    assert "delimited by end-of-file" in ran.stderr


async def test_a_script_of_300_kib(session: Session) -> None:
    lines = "\n".join(f"x{number % 100}={number:026}" for number in range(11_000))
    assert len(lines) > 300 * 1024
    assert await session.says(f"{lines}\necho $x99") == f"{10_999:026}\n"


async def test_a_shell_whose_descriptors_are_closed_is_lost_at_once(session: Session) -> None:
    ran = await session.run('for fd in {3..300}; do eval "exec $fd>&-"; done; echo closed')
    assert ran.code is None
    assert not session.kernel.alive
