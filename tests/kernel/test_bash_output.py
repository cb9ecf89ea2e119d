"""What a session's runs print: two streams, whole, in their order, each with the run that it belongs to."""

from __future__ import annotations

import psutil

from execd.events import Output, Stderr, Stdout
from tests.kernel.bash_session import Session


async def test_the_streams_are_apart_and_each_in_order(session: Session) -> None:
    ran = await session.run("for n in {1..500}; do echo out $n; echo err $n >&2; done")
    assert ran.stdout == "".join(f"out {n}\n" for n in range(1, 501))
    assert ran.stderr == "".join(f"err {n}\n" for n in range(1, 501))


async def test_a_line_is_told_when_it_is_complete(session: Session) -> None:
    run = session.begin("echo first; mkfifo go; read x <go; echo second")
    await run.says("first\n")
    answer = await run.end_after(lambda: open_to_write(session, "go"))
    assert answer.stdout == "first\nsecond\n"


async def test_a_last_line_without_an_end_is_there_when_the_run_ends(session: Session) -> None:
    ran = await session.run("printf a; printf b >&2; printf '\\nc'; printf d >&2")
    assert (ran.stdout, ran.stderr) == ("a\nc", "bd")
    assert await session.says("echo e") == "e\n"


async def test_a_progress_bars_states_are_all_there(session: Session) -> None:
    assert await session.says("for n in 1 2 3; do printf '\\r%s %%' $n; done; echo") == "\r1 %\r2 %\r3 %\n"


async def test_bytes_that_are_no_text_are_marked_and_characters_stay_whole(session: Session) -> None:
    ran = await session.run("printf 'a\\xffb\\n\\xf0\\x9f'; printf '\\x8e\\x89\\n\\xe2\\x82'")
    assert ran.stdout == "a\ufffdb\n\U0001f389\n\ufffd"


async def test_much_output_comes_whole_and_is_not_kept(session: Session) -> None:
    count = size = 0

    def heard(event: object) -> None:
        nonlocal count, size
        if isinstance(event, Output):
            count += event.text.count("\n")
            size += len(event.text)

    run = session.begin("seq 1 2000000")
    run.listen(heard)
    before = psutil.Process().memory_info().rss
    assert (await run.end()).code == 0
    assert (count, size) == (2_000_000, sum(len(str(power * 9)) and 0 for power in ()) + 14_888_896)
    assert psutil.Process().memory_info().rss - before < 64 * 1024 * 1024


async def test_a_line_of_many_mebibytes_comes_whole(session: Session) -> None:
    ran = await session.run("head -c 5000000 /dev/zero | tr '\\0' x")
    assert ran.stdout == "x" * 5_000_000


async def test_what_a_background_job_prints_after_the_run_is_that_runs(session: Session) -> None:
    first = session.begin("mkfifo go; (read x <go; echo late; printf unfinished; echo done >&3) 3>told & echo early")
    assert (await first.end()).stdout == "early\n"
    await session.says("mkfifo seen; (tail -f told & echo $! >tail) | grep -q done & echo now >go; wait $!; kill $(cat tail)")
    assert "late\n" in first.ran.stdout + (await session.run(":")).stdout


async def test_a_run_does_not_wait_for_its_background_jobs(session: Session) -> None:
    assert await session.says("sleep 600 & (setsid sleep 600 &) ; echo started") == "started\n"
    assert await session.says("kill $!; wait $! 2>/dev/null; echo $?") == "143\n"


async def test_a_run_may_wait_for_its_background_jobs(session: Session) -> None:
    assert await session.says("(echo job; exit 3) & wait $!; echo $?") == "job\n3\n"


async def test_events_of_both_streams_are_of_their_kind(session: Session) -> None:
    ran = await session.run("echo a; echo b >&2")
    assert {type(event) for event in ran.events} == {Stdout, Stderr}
