"""Environment variables of one run: there while it runs, for whatever it starts, and as before afterwards."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Kernel

SECRET = "s3cr3t"
LOOK = """
import os, subprocess
print([os.environ.get(n) for n in ('A', 'B')], subprocess.getoutput('echo "${A-absent} ${B-absent}"'))
"""
BEFORE = "['old', None] old absent\n"

VALUES = {
    "empty": "",
    "quotes": """it's "quoted" $HOME `id` {A} \\ end\\""",
    "newlines": "one\n\ntwo\n",
    "like code": "'; raise SystemExit #",
    "unicode": "gr\u00fc\u00df \U0001f600 \u2028",
    "long": "0123456789" * 9_000,
}
# Ways to print the variable A.
CELLS = {
    "environ": "import os; print(os.environ['A'])",
    "subprocess": "import subprocess; print(subprocess.run(['printenv', 'A'], capture_output=True, text=True).stdout)",
    "shell escape": "!printenv A",
    "%%bash": "%%bash\nprintenv A",
    "%%time": "%%time\nimport os; print(os.environ['A'])",
    "%env": "print(get_ipython().run_line_magic('env', 'A'))",
    "await": "import asyncio, os\nawait asyncio.sleep(0)\nprint(os.environ['A'])",
    "hook": "import os; get_ipython().events.register('post_run_cell', show)",
}
SHOW = """
def show(result):
    get_ipython().events.unregister('post_run_cell', show)
    print(os.environ['A'])
"""
# What a run may do with the variables A, which was there before, and B, which was not.
DEEDS = {
    "nothing": "pass",
    "change": "os.environ.update(A='changed', B='changed')",
    "delete": "del os.environ['A'], os.environ['B']",
    "delete and put again": "del os.environ['B']; os.putenv('B', 'put'); os.unsetenv('A')",
    "clear": "path = os.environ['PATH']; os.environ.clear(); os.environ['PATH'] = path",
    "replace": "stock = os.environ; os.environ = dict(os.environ)",
    "raise": "os.environ['A'] = 'changed'; 1 / 0",
    "exit": "os.environ['A'] = 'changed'; raise SystemExit",
    "no Python": "a b c",
    "await and raise": "import asyncio; await asyncio.sleep(0); os.environ['B'] = 'changed'; 1 / 0",
    "a failing %%bash": "%%bash\nexit 3",
}


@pytest.fixture(autouse=True)
def before(kernel: "Kernel") -> None:
    kernel.run("import os; os.environ['A'] = 'old'; os.environ.pop('B', None)" + SHOW)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_arrives_as_it_is(kernel: "Kernel", value: str) -> None:
    code = "import os, subprocess; print((os.environ['A'], subprocess.getoutput('printenv A; echo .')))"
    cell = kernel.run(code, envs={"A": value, "B": value})
    assert cell.text("stdout") == f"{(value, value + chr(10) + '.')!r}\n"
    assert kernel.run(LOOK).text("stdout") == BEFORE


@pytest.mark.parametrize("how", CELLS)
def test_whatever_a_cell_starts_has_them(kernel: "Kernel", how: str) -> None:
    assert "given" in kernel.run(CELLS[how], envs={"A": "given"}).text("stdout").split()
    assert kernel.run(LOOK).text("stdout") == BEFORE


@pytest.mark.parametrize("deed", DEEDS)
def test_they_are_as_before_whatever_the_code_does(kernel: "Kernel", deed: str) -> None:
    kernel.run(DEEDS[deed], check=False, envs={"A": "given", "B": "given"})
    assert kernel.run(LOOK).text("stdout") == BEFORE
    if deed == "replace":
        # What was there when the run began is as before too.
        kernel.run("os.environ = stock")
        assert kernel.run(LOOK).text("stdout") == BEFORE


@pytest.mark.parametrize(
    "code",
    ["print('on', flush=True)\nwhile True: pass", "import asyncio\nprint('on', flush=True)\nawait asyncio.sleep(600)"],
    ids=["loop", "await"],
)
def test_an_interrupted_run_gives_them_back(kernel: "Kernel", code: str) -> None:
    message_id = kernel.send(code, {"A": "given", "B": "given"})
    kernel.read_text(message_id, "stdout", until="on\n")
    kernel.manager.interrupt_kernel()
    assert kernel.finish(message_id, check=False).reply["status"] == "error"
    assert kernel.run(LOOK).text("stdout") == BEFORE


def test_what_was_not_given_stays_as_the_code_left_it(kernel: "Kernel") -> None:
    kernel.run("os.environ['C'] = 'new'; os.environ['D'] = os.environ['B']", envs={"B": "given"})
    assert kernel.run("print(os.environ['C'], os.environ['D'])").text("stdout") == "new given\n"


def test_a_thread_that_outlives_its_run_sees_them_no_more(kernel: "Kernel") -> None:
    code = """
    import threading
    go, seen, done = threading.Event(), [], threading.Event()
    def look(): seen.append(os.environ['A']); go.wait(60); seen.append(os.environ['A']); done.set()
    threading.Thread(target=look).start()
    """
    kernel.run(code, envs={"A": "given"})
    assert kernel.run("go.set(); done.wait(60); print(seen)").text("stdout") == "['given', 'old']\n"


def test_the_time_zone_is_of_the_run(kernel: "Kernel") -> None:
    code = "import time; print(time.strftime('%H', time.localtime(0)))"
    before = kernel.run(code).text("stdout")
    there = kernel.run(code, envs={"TZ": "EXE-5"}).text("stdout")
    assert (int(there) - int(before)) % 24 == 5
    assert kernel.run(code).text("stdout") == before


@pytest.mark.parametrize("mode", ["Context", "Verbose"])
def test_no_value_is_told_by_what_a_run_leaves(kernel: "Kernel", mode: str) -> None:
    kernel.run(f"%xmode {mode}")
    failed = kernel.run("def f(x): raise ValueError(x)\nf(1)", check=False, envs={"B": SECRET})
    assert "ValueError" in failed.traceback
    assert SECRET not in str(failed)
    shell = "get_ipython()"
    look = f"import gc; print(In, {shell}.get_parent(), {shell}.last_execution_result, {shell}._last_traceback, Out)"
    left = kernel.run(look + "\n%history")
    assert "raise ValueError" in left.text("stdout")
    assert SECRET not in str(left)
    seen = kernel.run(f"print({shell}.get_parent(), {shell}.last_execution_result)", envs={"B": SECRET})
    assert "execute_request" in seen.text("stdout")
    assert SECRET not in str(seen)
    kernel.run("%xmode Context")


def test_no_value_is_logged_even_for_debugging(kernel: "Kernel") -> None:
    kernel.run("""
    import io, logging
    log, logged = get_ipython().kernel.log, io.StringIO()
    handler, level = logging.StreamHandler(logged), log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    """)
    kernel.run("'seen'", envs={"B": SECRET})
    found = kernel.run("log.removeHandler(handler); log.setLevel(level); print(logged.getvalue())").text("stdout")
    assert "execute_request" in found
    assert "'seen'" in found
    assert SECRET not in found
