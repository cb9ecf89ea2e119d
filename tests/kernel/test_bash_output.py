"""What a session's runs print: two streams, whole, in their order, each with the run that it belongs to."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
from anyio import to_thread

from execd.events import Event, Output
from execd.kernel.process import peak_memory, reset_peak_memory
from tests.kernel.bash_session import Session
from tests.live.waiting import eventually, is_gone


async def test_the_streams_are_apart_and_each_in_order(session: Session) -> None:
    ran = await session.run("for n in {1..500}; do echo out $n; echo err $n >&2; done")
    assert ran.stdout == "".join(f"out {n}\n" for n in range(1, 501))
    assert ran.stderr == "".join(f"err {n}\n" for n in range(1, 501))


async def test_a_line_is_told_when_it_is_complete(session: Session, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    run = session.begin("echo first; read x <go; echo $x")
    await run.says("first\n")
    await to_thread.run_sync((tmp_path / "go").write_text, "second\n")
    assert (await run.end()).stdout == "first\nsecond\n"


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
    lines = 0

    def count(event: Event) -> None:
        nonlocal lines
        if isinstance(event, Output):
            lines += event.text.count("\n")

    run = session.begin("seq 1 2000000")
    run.listen(count)
    reset_peak_memory(os.getpid())
    before = psutil.Process().memory_info().rss
    assert (await run.end()).code == 0
    assert lines == 2_000_000
    peak = peak_memory(os.getpid())
    assert peak is not None
    assert peak - before < 8 * 1024 * 1024  # of 14.9 MB


async def test_a_line_of_many_mebibytes_comes_whole(session: Session) -> None:
    ran = await session.run("head -c 5000000 /dev/zero | tr '\\0' x")
    assert ran.stdout == "x" * 5_000_000


async def test_what_a_background_job_prints_after_the_run_is_that_runs(session: Session, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    run = session.begin("(read x <go; echo late; printf unfinished) & echo $!")
    job = int((await run.end()).stdout)
    await to_thread.run_sync((tmp_path / "go").write_text, "now\n")
    await to_thread.run_sync(eventually, lambda: is_gone(job))
    assert await session.says("echo next") == "next\n"
    assert run.ran.stdout == f"{job}\nlate\nunfinished"


async def test_a_background_job_outlives_the_shell_and_is_heard(session: Session, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    run = session.begin("(read x <go; echo late; echo worse >&2) & exit 3")
    assert (await run.end()).code == 3
    await to_thread.run_sync((tmp_path / "go").write_text, "now\n")
    await run.until(lambda: (run.ran.stdout, run.ran.stderr) == ("late\n", "worse\n"))


async def test_a_run_does_not_wait_for_its_background_jobs(session: Session) -> None:
    assert await session.says("sleep 600 & (setsid sleep 600 &) ; echo started") == "started\n"
    assert await session.says("kill $!; wait $! 2>/dev/null; echo $?") == "143\n"


async def test_a_run_may_wait_for_its_background_jobs(session: Session) -> None:
    assert await session.says("(echo job; exit 3) & wait $!; echo $?") == "job\n3\n"
