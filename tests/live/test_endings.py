"""Runs whose kernel ends under them, or who end it themselves: an honest end, and then a new kernel that says so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.live.reading import SUCCEEDED, end_of, kinds, of_type, run, running, says, text_of
from tests.live.waiting import eventually, is_gone

DEATHS = {
    "SIGKILL": ("os.kill(os.getpid(), 9)", -9),
    "_exit": ("os._exit(7)", 7),
    "SIGSEGV": ("import ctypes; ctypes.string_at(0)", -11),
}


@pytest.mark.parametrize("how", DEATHS)
def test_a_run_whose_kernel_dies_ends_and_keeps_its_output(
    client: httpx.Client, context_id: str, how: str, tmp_path: Path
) -> None:
    deed, exit_code = DEATHS[how]
    code = f"import os\nprint('alive', flush=True)\nwhile not os.path.exists({str(tmp_path / 'go')!r}): pass\n{deed}"
    with running(client, code, id=context_id) as stream:
        stream.until(says("alive\n"))
        (tmp_path / "go").touch()
        events = stream.rest()
    told = [event for event in events if event["type"] != "stderr"]
    assert kinds(told) == ["init", "stdout", "status", "error", "execution_complete"]
    assert text_of(events) == "alive\n"
    assert of_type(events, "error")[0]["error"]["ename"] == "KernelDied"
    assert end_of(events) == ("failed", "kernel_died")
    assert events[-1]["exit_code"] == exit_code


def test_the_next_run_gets_a_new_kernel_and_is_told_once(client: httpx.Client, context_id: str) -> None:
    run(client, "kept = 1", id=context_id)
    run(client, "import os\nos.kill(os.getpid(), 9)", id=context_id)
    second = run(client, "print('kept' in globals())", id=context_id)
    assert kinds(second) == ["init", "context_restarted", "stdout", "execution_complete"]
    restarted = of_type(second, "context_restarted")[0]
    assert restarted["generation"] == 2
    assert "SIGKILL" in restarted["why"]
    assert text_of(second) == "False\n"
    assert end_of(second) == SUCCEEDED
    assert "context_restarted" not in kinds(run(client, "1", id=context_id))
    assert client.get(f"/code/contexts/{context_id}").json()["generation"] == 2


def test_runs_that_wait_go_on_in_the_new_kernel(client: httpx.Client, context_id: str) -> None:
    with (
        running(client, "import os, time\ntime.sleep(0.1)\nos._exit(1)", id=context_id) as first,
        running(client, "print('second')", id=context_id) as second,
        running(client, "print('third')", id=context_id) as third,
    ):
        ends = [end_of(stream.rest()) for stream in (first, second, third)]
    assert ends == [("failed", "kernel_died"), SUCCEEDED, SUCCEEDED]
    restarts = [len(of_type(stream.seen, "context_restarted")) for stream in (first, second, third)]
    assert restarts == [0, 1, 0]
    assert text_of(second.seen) + text_of(third.seen) == "second\nthird\n"


def test_nothing_is_replayed(client: httpx.Client, context_id: str, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    run(client, f"print('x', file=open({str(marks)!r}, 'a'), flush=True)\nimport os\nos._exit(1)", id=context_id)
    run(client, "1", id=context_id)
    assert marks.read_text() == "x\n"


def test_a_kernel_that_dies_between_runs_is_replaced(client: httpx.Client, context_id: str) -> None:
    pid = int(text_of(run(client, "import os\nprint(os.getpid())", id=context_id)))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: client.get(f"/code/contexts/{context_id}").json()["state"] == "dormant")
    events = run(client, "print('here')", id=context_id)
    assert kinds(events) == ["init", "context_restarted", "stdout", "execution_complete"]
    assert text_of(events) == "here\n"


def test_exit_ends_the_run_well_and_the_next_one_is_told(client: httpx.Client, context_id: str) -> None:
    first = run(client, "print('bye')\nexit()", id=context_id)
    assert text_of(first) == "bye\n"
    assert end_of(first) == SUCCEEDED
    second = run(client, "print('again')", id=context_id)
    assert of_type(second, "context_restarted")[0]["generation"] == 2
    assert "exit()" in of_type(second, "context_restarted")[0]["why"]
    assert text_of(second) == "again\n"
    assert end_of(second) == SUCCEEDED


def test_exit_that_keeps_the_kernel_keeps_the_variables(client: httpx.Client, context_id: str) -> None:
    assert end_of(run(client, "kept = 1\nexit(keep_kernel=True)", id=context_id)) == SUCCEEDED
    events = run(client, "print(kept)", id=context_id)
    assert kinds(events) == ["init", "stdout", "execution_complete"]


def test_sys_exit_is_an_error_that_keeps_the_kernel(client: httpx.Client, context_id: str) -> None:
    events = run(client, "kept = 1\nimport sys\nsys.exit(3)", id=context_id)
    error = of_type(events, "error")[0]["error"]
    assert (error["ename"], error["evalue"]) == ("SystemExit", "3")
    assert end_of(events) == ("failed", "error")
    after = run(client, "print(kept)", id=context_id)
    assert kinds(after) == ["init", "stdout", "execution_complete"]


GRANDCHILD = """
import os, subprocess
child = subprocess.Popen(["sleep", "600"], start_new_session={alone})
print(child.pid, flush=True)
"""


def test_a_grandchild_that_goes_on_holds_nothing_up(client: httpx.Client, context_id: str) -> None:
    events = run(client, GRANDCHILD.format(alone=True), id=context_id)
    grandchild = int(text_of(events))
    try:
        assert end_of(events) == SUCCEEDED
        assert end_of(run(client, "os._exit(0)", id=context_id)) == ("failed", "kernel_died")
        assert end_of(run(client, "1", id=context_id)) == SUCCEEDED
        assert client.delete(f"/code/contexts/{context_id}").status_code == 200
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_a_forked_child_that_holds_the_kernels_descriptors_holds_nothing_up(
    client: httpx.Client, context_id: str
) -> None:
    code = (
        "import os, time\nready, said = os.pipe()\nif os.fork() == 0:\n    os.setsid()\n"
        "    open('forked', 'w').write(str(os.getpid()))\n    os.write(said, b'.')\n    time.sleep(600)\n"
        "os.read(ready, 1)\nos._exit(7)"
    )
    folder = Path(text_of(run(client, "import os\nprint(os.getcwd())", id=context_id)).strip())
    try:
        assert end_of(run(client, code, id=context_id)) == ("failed", "kernel_died")
        assert end_of(run(client, "1", id=context_id)) == SUCCEEDED
    finally:
        os.kill(int((folder / "forked").read_text()), signal.SIGKILL)
        (folder / "forked").unlink()


def test_children_in_the_kernels_group_end_with_it(client: httpx.Client, context_id: str) -> None:
    child = int(text_of(run(client, GRANDCHILD.format(alone=False), id=context_id)))
    assert not is_gone(child)
    assert end_of(run(client, "os._exit(0)", id=context_id)) == ("failed", "kernel_died")
    eventually(lambda: is_gone(child))
