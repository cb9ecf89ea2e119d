"""A bash session: what a run does is there for the next one, and after `exit` too."""

from __future__ import annotations

from pathlib import Path

import pytest

from execd.isolation.launch import Launcher
from tests.kernel.bash_session import ENVIRONMENT, Session, bash_session

BIG = 1024 * 1024

# What one run sets up, what a later one asks, and what it must be told.
LASTING = {
    "plain variable": ("x=5", "echo $x", "5\n"),
    "not exported": ("x=5", "bash -c 'echo [$x]'", "[]\n"),
    "exported variable": ("export x=5", "bash -c 'echo $x'", "5\n"),
    "quotes": ("""x="a'b\\"c\\`d\\$e\\\\\"""", 'printf %s "$x"', "a'b\"c`d$e\\"),
    "newlines": ("x=$'one\\n\\ntwo\\n'", 'printf %s "$x"', "one\n\ntwo\n"),
    "unicode": ("x='naïve 日本 🎉'", 'printf %s "$x"', "naïve 日本 🎉"),
    "bytes": ("x=$'\\x01\\x7f\\x80\\xff\\xfe'", 'printf %s "$x" | od -An -tx1', " 01 7f 80 ff fe\n"),
    "empty value": ("x=", 'echo "${x-unset}."', ".\n"),
    "indexed array": ("a=([0]=x [5]='y z' [7]=)", 'echo "${!a[@]} ${a[5]} ${#a[@]}"', "0 5 7 y z 3\n"),
    "associative array": ("declare -A m=([a b]='1 2' [\\$]=3)", 'echo "${m[a b]}${m[$]}${#m[@]}"', "1 232\n"),
    "empty array": ("a=(); declare -A m=()", "declare -p a m", "declare -a a=()\ndeclare -A m=()\n"),
    "integer": ("declare -i n=3", "n+=4; echo $n", "7\n"),
    "upper case": ("declare -u u=a", "u=xyz; echo $u", "XYZ\n"),
    "readonly": ("readonly r=1", "(r=2) 2>/dev/null; echo $? $r", "1 1\n"),
    "name reference": ("target=T; declare -n ref=target", "ref=U; echo $target", "U\n"),
    "unset variable": ("unset GIVEN", "echo ${GIVEN-gone}", "gone\n"),
    "function": ('f() { echo "f $1"; }', "f x", "f x\n"),
    "exported function": ("f() { echo inner; }; export -f f", "bash -c f", "inner\n"),
    "function with heredoc": ("f() {\ncat <<E <<'F' | cat\nE\nno $x\nF\n}", "f", "no $x\n"),
    "function called if": ("function if { echo odd; }", "\\if", "odd\n"),
    "function a.b-c": ("function a.b-c { echo dots; }", "a.b-c", "dots\n"),
    "readonly function": ("f() { :; }; readonly -f f", "(f() { :; }) 2>/dev/null; echo $?", "1\n"),
    "extglob function": ("shopt -s extglob\nf() { echo a!(x); }\nshopt -u extglob", "declare -f f", None),
    "alias": ("alias hi='echo \"hi there\"'", "hi", "hi there\n"),
    "folder": ("mkdir -p 'a b'; cd 'a b'", 'basename "$PWD"', "a b\n"),
    "folder with a newline": ("mkdir $'n\\n'; cd $'n\\n'", 'echo "${PWD##*/}."', "n\n.\n"),
    "former folder": ("cd /usr; cd /bin", "cd - >/dev/null; pwd", "/usr\n"),
    "umask": ("umask 027", "umask", "0027\n"),
    "set -o": ("set -fC +B -o pipefail", "echo ${-//[^fCB]} {a,b}; [[ -o pipefail ]]", "fC {a,b}\n"),
    "shopt": ("shopt -s nullglob globstar; shopt -u sourcepath", "shopt nullglob sourcepath | wc -l", "2\n"),
    "trap": ("trap 'echo \"got\nit\"' USR1", "kill -USR1 $$", "got\nit\n"),
    "parameters": ("set -- a 'b c'", 'echo "$# $2"', "2 b c\n"),
    "IFS": ("IFS=:", "x=a:b; printf '[%s]' $x", "[a][b]"),
    "our kind of name": ("__execd=1 token=2 code=3 state=4 name=5", "echo $__execd$token$code$state$name", "12345\n"),
    "variables of bash": ("PROMPT_COMMAND=x BASH_ENV=/nowhere PS4='> '", "echo $PROMPT_COMMAND $BASH_ENV $PS4", None),
}


@pytest.mark.parametrize("what", LASTING)
@pytest.mark.parametrize("between", [":", "exit 7", "exit 0; :"])
async def test_what_a_run_does_lasts(session: Session, what: str, between: str) -> None:
    setup, question, answer = LASTING[what]
    ran = await session.run(setup)
    assert (ran.code, ran.stderr) == (0, "")
    expected = answer if answer is not None else await session.says(question)
    await session.run(between)
    assert await session.says(question) == expected


async def test_a_variable_and_a_function_of_a_mebibyte_survive_an_exit(session: Session) -> None:
    await session.says(f"x=$(printf '%0{BIG}d' 7)\nf() {{ wc -c <<E\n{'y' * BIG}\nE\n}}")
    assert (await session.run("exit 3")).code == 3
    assert await session.says("echo ${#x} ${x: -1}; f") == f"{BIG} 7\n{BIG + 1}\n"


async def test_many_functions_survive_an_exit(session: Session) -> None:
    await session.says('for n in {1..500}; do eval "f$n() { echo $n; }"; done')
    assert (await session.run("exit 3")).code == 3
    assert await session.says("f1; f250; f500") == "1\n250\n500\n"


async def test_descriptors_and_jobs_last_until_the_shell_ends(session: Session) -> None:
    await session.says("exec 7<>file; echo one >&7; sleep 600 & job=$!")
    assert await session.says("echo two >&7; cat file; jobs -p | grep -c $job") == "one\ntwo\n1\n"
    await session.run("exit 1")
    assert (
        await session.says("{ echo three >&7; } 2>/dev/null || echo closed; kill $job && echo alive")
        == "closed\nalive\n"
    )


async def test_each_run_has_its_own_stdin_stdout_and_stderr(session: Session) -> None:
    assert await session.says("exec >file 2>&1 </dev/zero; echo hidden") == ""
    ran = await session.run("cat file; echo err >&2; read x; echo $?")
    assert (ran.stdout, ran.stderr) == ("hidden\n1\n", "err\n")


async def test_the_status_of_a_run_is_the_next_ones_question_mark(session: Session) -> None:
    for code in (0, 3, 255):
        assert (await session.run(f"(exit {code})")).code == code
        assert await session.says("echo $?") == f"{code}\n"
        assert (await session.run(f"exit {code}")).code == code
        assert await session.says("echo $?") == f"{code}\n"


async def test_a_run_begins_in_the_folder_that_is_asked_for_and_stays(session: Session, tmp_path: Path) -> None:
    odd = tmp_path / "it's $odd;\n"
    odd.mkdir()
    ran = await session.run("CDPATH=/; pwd", cwd=str(odd))
    assert ran.stdout == f"{odd}\n"
    assert await session.says("pwd") == f"{odd}\n"
    ran = await session.run("echo not run", cwd=str(tmp_path / "gone"))
    assert (ran.code, ran.stdout) == (1, "")
    assert "gone: No such file or directory" in ran.stderr


async def test_a_folder_that_is_removed_under_the_session(session: Session, tmp_path: Path) -> None:
    await session.says("mkdir gone; cd gone; rmdir $PWD")
    assert await session.says("x=5; echo on") == "on\n"
    assert (await session.run("exit 2")).code == 2
    assert await session.says("pwd; echo $x") == f"{tmp_path}\n5\n"
    tmp_path.rmdir()
    assert (await session.run("exit 2")).code == 2
    assert await session.says("echo $x") == "5\n"


async def test_nothing_of_a_session_is_a_file_that_it_could_remove(session: Session) -> None:
    listed = await session.says("ls -l /proc/$$/fd | grep -c -e /tmp/ -e /var/ || :")
    assert listed == "0\n"


async def test_two_sessions_share_nothing(launcher: Launcher, session: Session, tmp_path: Path) -> None:
    async with bash_session(launcher, tmp_path) as other:
        await session.says("x=5; export y=6; f() { :; }; alias a=b; cd /; umask 077; set -f; trap : USR1")
        asked = "echo [$x$y]; type f a 2>&1 | grep -c found; pwd; umask; echo ${-//[^f]}; trap"
        assert await other.says(asked) == f"[]\n2\n{tmp_path}\n0022\n\n"
        assert other.pid != session.pid


async def test_a_session_begins_with_its_environment(launcher: Launcher, tmp_path: Path) -> None:
    async with bash_session(launcher, tmp_path, {**ENVIRONMENT, "ODD": "a\n'b'"}) as other:
        assert await other.says('echo "$ODD"; echo $0 $#; echo ${-//[^eux]}') == "a\n'b'\nbash 0\n\n"
