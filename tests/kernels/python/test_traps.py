"""The traps of kernels and of forks, each tried on the lean kernel, as a new process and as a fork, and on the stock
one. Where one of them falls into a trap, the test says what it does there."""

import json
from typing import TYPE_CHECKING

import pytest

from tests.kernels.python.test_forked import SETUP, UNIQUE, WORK

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Kernel, StartEither


@pytest.fixture(scope="module")
def ready(either: "Kernel") -> "Kernel":
    """A kernel that has imported what the cells here use."""
    either.run(SETUP)
    return either


@pytest.mark.parametrize("what", UNIQUE)
def test_two_kernels_do_not_share_it(start_either: "StartEither", what: str) -> None:
    one, two = (start_either().run(UNIQUE[what]).text("stdout") for _ in range(2))
    assert one != two
    assert one


def test_forks_share_the_hash_seed(start_either: "StartEither", kind: str) -> None:
    # It is drawn when Python starts. The kernels' README says so.
    one, two = (start_either().run("print(hash('abc'))").text("stdout") for _ in range(2))
    assert (one == two) == (kind == "forked")


def test_messages_carry_the_kernels_own_identity(either: "Kernel") -> None:
    code = "k = get_ipython().kernel; t = get_ipython().displayhook.topic.decode(); print(k.ident in t, k.session.pid)"
    in_topic, pid = either.run(code).text("stdout").split()
    assert (in_topic, pid) == ("True", either.run("import os; print(os.getpid())").text("stdout").strip())


def test_the_time_zone_is_that_of_the_environment(start_either: "StartEither") -> None:
    kernel = start_either(TZ="Asia/Tokyo")
    assert kernel.run("import time; print(time.tzname[0])").text("stdout") == "JST\n"


def test_figures_are_shown(start_either: "StartEither") -> None:
    kernel = start_either(MPLBACKEND="module://matplotlib_inline.backend_inline")
    assert len(kernel.run("import matplotlib.pyplot as plt; plt.plot([1, 2]);").values("image/png")) == 1


def test_what_is_preloaded_has_started_no_thread(either: "Kernel", kind: str) -> None:
    # numpy's BLAS starts some when it is imported, and again when it is used after a fork.
    code = "import os, sys; print('numpy' in sys.modules, len(os.listdir('/proc/self/task')))"
    imported, threads = either.run(code).text("stdout").split()
    assert imported == str(kind == "forked")
    named = either.run("import threading; print([t.name for t in threading.enumerate()])").text("stdout")
    zmqs = 2 + 2 * named.count("Heartbeat")  # a context has two threads of its own
    assert int(threads) == named.count("'") // 2 + zmqs


def test_a_product_uses_as_many_threads_as_ever(either: "Kernel") -> None:
    code = "import numpy as n; print(float((n.ones((500, 500)) @ n.ones((500, 500))).sum()))"
    assert either.run(code).text("stdout") == "125000000.0\n"


def test_modules_are_found_from_where_the_kernel_is(start_either: "StartEither") -> None:
    kernel = start_either()
    kernel.run("import pathlib; _ = pathlib.Path('mine_here.py').write_text('x = 5')")
    assert kernel.run("import mine_here; print(mine_here.x)").text("stdout") == "5\n"


def test_variables_that_python_reads_when_it_starts_count(
    start_either: "StartEither", tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("named")
    (folder / "named_there.py").write_text("x = 6")
    kernel = start_either(PYTHONPATH=str(folder))
    assert kernel.run("import named_there; print(named_there.x)").text("stdout") == "6\n"


@pytest.mark.parametrize("what", [name for name in WORK if name not in ("input", "error", "history", "timing")])
def test_everyday_work_is_done(ready: "Kernel", what: str) -> None:
    cell = ready.run(WORK[what])
    assert cell.reply["status"] == "ok"
    assert cell.messages or what == "output of a subprocess"


def test_history_of_the_session_works(start_either: "StartEither", kind: str) -> None:
    kernel = start_either()
    kernel.run("6 * 7")
    assert kernel.run("print(In[1], Out[1], _)").text("stdout") == "6 * 7 42 42\n"
    assert kernel.run("%history").text("stdout").startswith("6 * 7\nprint(In[1]")
    # The lean kernel has none of earlier ones; stock has a database of them in the home.
    database = kernel.run("print(get_ipython().history_manager.enabled)").text("stdout")
    assert database == f"{kind == 'stock'}\n"


@pytest.mark.parametrize("code", ["import asyncio; await asyncio.sleep(0); print('done')", "print('done')"])
def test_code_with_and_without_await_runs(either: "Kernel", code: str) -> None:
    assert either.run(code).text("stdout") == "done\n"


def test_an_interrupt_is_noticed_in_an_await(start_either: "StartEither", kind: str) -> None:
    kernel = start_either()
    message_id = kernel.send("import asyncio\nprint('on', flush=True)\nawait asyncio.sleep(30)")
    kernel.read_text(message_id, "stdout", until="on\n")
    reply = None
    while reply is None or reply["parent_header"]["msg_id"] != message_id:
        kernel.manager.interrupt_kernel()
        reply = kernel.reply_within(2)
        if reply is None and kind == "stock":
            # It has taken note, and comes to it when something else wakes its loop, as any request does.
            kernel.client.kernel_info()
    assert reply["content"]["status"] == "error"


def test_a_crash_of_one_hurts_no_other(start_either: "StartEither", either: "Kernel") -> None:
    kernel = start_either()
    kernel.send("import os; os.abort()")
    while kernel.manager.is_alive():
        pass
    assert either.run("print('alive')").text("stdout") == "alive\n"


def test_the_kernel_keeps_no_copy_of_what_is_printed(start_either: "StartEither", kind: str) -> None:
    kernel = start_either()
    kernel.run("print('x' * 10)")
    kept = kernel.run(
        "import json; print(sum('xxxxx' in str(o) for o in get_ipython().history_manager.outputs.values()))"
    )
    assert json.loads(kept.text("stdout")) == (1 if kind == "stock" else 0)


def test_widgets_messages_are_handled_while_a_cell_awaits(either: "Kernel") -> None:
    either.run("def seen(comm, message): comm.on_msg(lambda m: got.set_result(m['content']['data']))")
    either.run("import asyncio\nget_ipython().kernel.comm_manager.register_target('traps', seen)")
    message_id = either.send(
        "got = asyncio.get_running_loop().create_future()\nprint('on', flush=True)\nprint(await got)"
    )
    either.read_text(message_id, "stdout", until="on\n")
    session, channel = either.client.session, either.client.shell_channel
    channel.send(session.msg("comm_open", {"comm_id": "c1", "target_name": "traps", "data": {}}))
    channel.send(session.msg("comm_msg", {"comm_id": "c1", "data": {"x": 1}}))
    assert either.finish(message_id).text("stdout") == "{'x': 1}\n"
