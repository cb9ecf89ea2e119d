"""A fork of the zygote is what a freshly started kernel is: the same cells on both; and what two forks do not share."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from execd.service.packages import describe_python, packages_environment
from tests.wheels import build_wheel, sandbox_packages

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Kernel, StartKernel

FOLDER = Path(__file__).parents[3] / "kernels" / "python"
INLINE = "module://matplotlib_inline.backend_inline"

SAME = {
    "environment": "sorted(os.environ.items())",
    "time zone": "time.strftime('%Z'), time.tzname",
    "locale": "locale.setlocale(locale.LC_ALL), sys.getfilesystemencoding(), sys.stdout.encoding, sys.flags",
    "arguments": "[os.path.basename(a) for a in sys.argv], len(sys.orig_argv), sys.executable, sys.prefix",
    "paths": "sys.path, sys.meta_path == list(sys.meta_path), os.getcwd()",
    "user's site": "site.USER_BASE, site.USER_SITE, site.ENABLE_USER_SITE, sysconfig.get_path('purelib', 'posix_user')",
    "home": "os.path.expanduser('~'), pathlib.Path.home()",
    "temporary folder": "tempfile.gettempdir()",
    "main": "__name__, '__file__' in globals(), __spec__ is None, sys.modules['__main__'].__dict__ is globals()",
    "session": "os.getsid(0) == os.getpid() == os.getpgid(0), os.getpid() == int(os.readlink('/proc/self'))",
    "threads": "sorted(re.sub(r'\\d+', '', t.name) for t in threading.enumerate()), threading.main_thread().name",
    "is in the main thread": "threading.current_thread() is threading.main_thread()",
    "signals": "[str(signal.getsignal(s)).split(' at ')[0] for s in sorted(signal.valid_signals())]",
    "blocked signals": "signal.pthread_sigmask(signal.SIG_BLOCK, ())",
    "standard streams": "[os.readlink(f'/proc/self/fd/{n}').split(':')[0] for n in (0, 1, 2)], sys.stdin.closed",
    "original streams": "sys.__stdout__.fileno(), sys.__stderr__.isatty(), sys.__stdin__.fileno()",
    "descriptors": "sorted(re.sub('[0-9]+', '', link(f)) for f in glob.glob('/proc/self/fd/*'))",
    "limits": "[resource.getrlimit(n) for n in range(10)]",
    "collector": "gc.isenabled(), gc.get_threshold(), gc.get_debug()",
    "recursion": "sys.getrecursionlimit(), sys.getswitchinterval()",
    "logging": "logging.getLogger().handlers, logging.getLogger().level, len(logging.getLogger('tornado').handlers)",
    "warnings": "[str(f[:3]) for f in warnings.filters if 'Deprecation' in str(f)]",
    "hooks": "sys.excepthook.__name__, sys.displayhook.__class__.__name__, threading.excepthook.__name__",
    "faulthandler": "faulthandler.is_enabled(), faulthandler.enable() or faulthandler.is_enabled()",
    "debugger": "sys.gettrace(), import_('pdb').Pdb.__name__",
    "shell": "type(get_ipython()).__name__, sorted(get_ipython().magics_manager.magics['line'])",
    "names": "sorted(n for n in dir() if n not in MINE)",
    "matplotlib": "(lambda p: (p.close(p.figure()), [*map(str, p.rcParams.items())]))(import_('matplotlib.pyplot'))",
    "numpy": "import_('numpy').get_printoptions(), import_('numpy').geterr()",
    "host": "import_('platform').node() == import_('socket').gethostname(), len(os.sched_getaffinity(0))",
    "processes": "import_('multiprocessing').get_start_method(), import_('multiprocessing').parent_process()",
}
EACH_TIME = {"transient", "comm_id", "traceback", "execution_count"}
SETUP = """
import faulthandler, gc, glob, importlib, locale, logging, os, pathlib, re, resource, signal, site, sys, sysconfig
import tempfile, threading, time, warnings
import_ = importlib.import_module
link = lambda path: os.readlink(path) if os.path.lexists(path) else ''
MINE = None
MINE = set(dir())
"""

WORK = {
    "subprocess": "import subprocess; print(subprocess.run(['echo', 'sub'], capture_output=True, text=True).stdout)",
    "output of a subprocess": "import subprocess; subprocess.run(['echo', 'sub'])",
    "shell": "!echo shell",
    "cell magic": "%%bash\necho bash",
    "fork": "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: print(p.map(abs, [-1, -2]))",
    "spawn": "import multiprocessing as m\nwith m.get_context('spawn').Pool(1) as p: print(p.map(abs, [-1, -2]))",
    "executor": "from concurrent.futures import ProcessPoolExecutor as E\nwith E(1) as e: print([*e.map(abs, [-3])])",
    "thread": "import threading; t = threading.Thread(target=print, args=('t',)); t.start(); t.join()",
    "await": "import asyncio; await asyncio.sleep(0.01); print(5)",
    "asyncio subprocess": "import asyncio\np = await asyncio.create_subprocess_exec('true')\nprint(await p.wait())",
    "figure": "import matplotlib.pyplot as plt; plt.plot([1, 2]);",
    "figure shown": "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
    "frame": "import pandas; pandas.DataFrame({'a': [1]})",
    "groupby": "import pandas as p; print(p.DataFrame({'a': [1, 1], 'b': [1, 2]}).groupby('a').b.sum().to_dict())",
    "product": "import numpy as n; print(float((n.ones((500, 500)) @ n.ones((500, 500))).sum()))",
    "comm": "from comm import create_comm; c = create_comm('target', data={'x': 1}); c.send({'y': 2}); c.close()",
    "display handle": "h = display('one', display_id=True); h.update('two')",
    "input": "input('x')",
    "error": "1 / 0",
    "source of a cell": "import inspect\ndef f(): return 1\nprint(inspect.getsource(f))",
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))).__name__)",
    "history": "%history -l 1",
    "timing": "%time None",
    "sqlite": "import sqlite3; print(sqlite3.connect(':memory:').execute('select 1').fetchone())",
    "exit code": "import subprocess; print(subprocess.run('exit 3', shell=True).returncode)",
    "completion": "print(len(get_ipython().complete('os.pat')[1]) >= 0)",
}

UNIQUE = {
    "random": "import random; print(random.random())",
    "numpy's functions": "import numpy; print(numpy.random.rand())",
    "numpy's generators": "import numpy; print(numpy.random.default_rng().random())",
    "uuid": "import uuid; print(uuid.uuid4())",
    "secrets": "import secrets; print(secrets.token_hex())",
    "temporary names": "import tempfile; print(tempfile.mktemp())",
    "kernel": "print(get_ipython().kernel.ident)",
    "session": "print(get_ipython().kernel.session.session)",
    "key of multiprocessing": "import multiprocessing as m; print(bytes(m.current_process().authkey))",
    "display ids": "print(display(1, display_id=True).display_id)",
    "tls": "import ssl; print(ssl.RAND_bytes(8))",
}


@pytest.fixture(scope="module")
def env(kernel_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment that differs from the zygote's in everything that Python looks at."""
    home = tmp_path_factory.mktemp("user")
    extra = tmp_path_factory.mktemp("extra")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (home / ".local" / "lib" / version / "site-packages").mkdir(parents=True)
    variables = {
        "HOME": home,
        "TZ": "Asia/Tokyo",
        "PYTHONPATH": f"{extra}:relative",
        "TMPDIR": extra,
        "MPLBACKEND": INLINE,
    }
    return {**kernel_env, **{name: str(value) for name, value in variables.items()}}


@pytest.fixture(scope="module")
def pair(env: dict[str, str], forking: Path) -> Iterator[tuple["Kernel", "Kernel"]]:
    """A kernel that was started freshly, and a fork."""
    from tests.kernels.python.conftest import running

    # Both by the warden: jupyter_client's own way shows in the environment and in descriptors.
    with ExitStack() as stack:
        found = [stack.enter_context(running(FOLDER, env, warden=forking, zygote=zygote)) for zygote in (False, True)]
        for kernel in found:
            kernel.run(SETUP)
        yield found[0], found[1]


def seen(kernel: "Kernel", expression: str) -> str:
    text = kernel.run(f"print({expression})").text("stdout")
    # Each has a folder of its own for its sockets, which is its working folder here.
    return text.replace(kernel.run("print(os.getcwd(), end='')").text("stdout"), "CWD")


@pytest.mark.parametrize("what", SAME)
def test_a_fork_finds_what_a_fresh_kernel_finds(pair: tuple["Kernel", "Kernel"], what: str) -> None:
    cold, forked = (seen(kernel, SAME[what]) for kernel in pair)
    assert forked == cold


def told(kernel: "Kernel", code: str) -> list[Any]:
    """What a cell sends, without what is different each time."""
    cell = kernel.run(code, check=False)
    messages: list[tuple[str, dict[str, Any]]] = []
    for kind, content in cell.messages:
        if kind == "stream" and messages and messages[-1][0] == kind and messages[-1][1]["name"] == content["name"]:
            messages[-1][1]["text"] += content["text"]
        else:
            messages.append((kind, {name: value for name, value in content.items() if name not in EACH_TIME}))
    for _, content in messages:
        if "image/png" in content.get("data", {}):
            content["data"]["image/png"] = len(content["data"]["image/png"]) > 1000
    return [cell.reply["status"], cell.reply.get("ename"), messages]


@pytest.mark.parametrize("what", WORK)
def test_a_fork_does_what_a_fresh_kernel_does(pair: tuple["Kernel", "Kernel"], what: str) -> None:
    cold, forked = (told(kernel, WORK[what]) for kernel in pair)
    if what == "timing":
        cold, forked = cold[:2], forked[:2]
    assert forked == cold


@pytest.mark.parametrize("what", UNIQUE)
def test_two_forks_do_not_share_it(pair: tuple["Kernel", "Kernel"], other: "Kernel", what: str) -> None:
    assert pair[1].run(UNIQUE[what]).text("stdout") != other.run(UNIQUE[what]).text("stdout")


@pytest.fixture(scope="module")
def other(env: dict[str, str], forking: Path) -> Iterator["Kernel"]:
    """Another fork."""
    from tests.kernels.python.conftest import running

    with running(FOLDER, env, warden=forking) as kernel:
        yield kernel


def test_packages_are_found_where_a_fresh_kernel_finds_them(
    start_kernel: "StartKernel", env: dict[str, str], tmp_path: Path
) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    mine = Path(env["HOME"], ".local", "lib", version, "site-packages")
    (mine / "mine.py").write_text("print('mine')")
    (Path(env["TMPDIR"]) / "named.py").write_text("print('named')")
    assert start_kernel(env=env).run("import named; import sys; sys.path").text("stdout") == "named\n"


def test_a_sandboxs_own_packages_come_before_those_that_were_imported_already(
    start_kernel: "StartKernel", kernel_env: dict[str, str], tmp_path: Path
) -> None:
    folder = sandbox_packages(tmp_path / "home", describe_python(Path(sys.executable)))
    env = {**kernel_env, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "HOME": str(tmp_path / "home")}
    env |= packages_environment(str(folder), os.environ["PATH"])
    for name in ("teapot", "pandas"):
        build_wheel(tmp_path, name, "99.0", {f"{name}/__init__.py": "__version__ = '99.0'\n"})
    kernel = start_kernel(env=env)
    cell = kernel.run("%pip install teapot\nimport teapot; print(teapot.__version__)")
    assert cell.text("stdout").endswith("99.0\n")
    kernel.run("%pip install --upgrade pandas")
    again = start_kernel(env=env)
    assert again.run("import pandas; print(pandas.__version__)").text("stdout") == "99.0\n"


def test_settings_of_matplotlib_are_those_of_the_user(
    start_kernel: "StartKernel", kernel_env: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / ".config" / "matplotlib"
    (folder / "stylelib").mkdir(parents=True)
    (folder / "matplotlibrc").write_text("figure.dpi: 123\n")
    (folder / "stylelib" / "mine.mplstyle").write_text("figure.dpi: 45\n")
    kernel = start_kernel(env={**kernel_env, "HOME": str(tmp_path)})
    code = "import matplotlib as m, matplotlib.pyplot as p; print(m.rcParams['figure.dpi'], m.get_backend())\n"
    code += "p.style.use('mine'); print(m.rcParams['figure.dpi'], m.get_configdir()); m.rcdefaults()"
    assert kernel.run(code).text("stdout").split() == ["123.0", INLINE, "45.0", str(folder)]


@pytest.mark.parametrize(("code", "ended"), [("import os; os._exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9)])
def test_how_a_kernel_ended_is_told(start_kernel: "StartKernel", code: str, ended: int) -> None:
    kernel = start_kernel()
    process = kernel.manager.provisioner
    kernel.send(code)
    assert process is not None
    assert run_sync(process.wait()) == ended


def test_a_shutdown_runs_what_is_to_run_at_exit(start_kernel: "StartKernel", tmp_path: Path) -> None:
    kernel = start_kernel()
    path = tmp_path / "left"
    kernel.run(f"import atexit, pathlib; atexit.register(pathlib.Path({str(path)!r}).write_text, 'word')")
    kernel.manager.shutdown_kernel()
    assert path.read_text() == "word"


@pytest.mark.parametrize("warden", ["forked"], indirect=True)
def test_the_zygotes_death_hurts_no_kernel_and_the_next_one_has_another(
    start_kernel: "StartKernel",
) -> None:
    one = start_kernel()
    one.run("x = 1")
    zygotes = find_zygotes(one)
    for pid in zygotes:
        os.kill(pid, signal.SIGKILL)
    two = start_kernel()
    assert zygotes
    assert not set(find_zygotes(two)) & set(zygotes)
    assert one.run("print(x)").text("stdout") == two.run("print(1)").text("stdout") == "1\n"


def test_user_code_reaches_neither_zygote_nor_warden(start_kernel: "StartKernel") -> None:
    code = "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if int(n) < 3])"
    assert "socket" not in start_kernel().run(code).text("stdout")


def find_zygotes(kernel: "Kernel") -> list[int]:
    """The other children of the kernel's parent that are zygotes."""
    code = "import os; p = os.getppid(); print(open(f'/proc/{p}/task/{p}/children').read())"
    pids = map(int, kernel.run(code).text("stdout").split())
    return [pid for pid in pids if b"zygote.py" in Path(f"/proc/{pid}/cmdline").read_bytes() and pid != own_pid(kernel)]


def own_pid(kernel: "Kernel") -> int:
    return int(json.loads(kernel.run("import os; print(os.getpid())").text("stdout")))


def run_sync(awaitable: Any) -> Any:
    from jupyter_core.utils import run_sync as in_loop

    async def wait() -> Any:
        return await awaitable

    return in_loop(wait)()
