"""Kernels started from the kernelspec folder, as any Jupyter client starts one, and what a cell gave. Each test runs
twice: with a kernel that is a new process, and with one that a warden's zygote has forked."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import anyio
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from execd.isolation.plan import Mode, Plan
from execd.warden.client import Warden
from execd.warden.line import Line

FOLDER = Path(__file__).parents[3] / "kernels" / "python"
DEADLINE = 60.0
BUNDLES = ("display_data", "execute_result")


@dataclass(frozen=True)
class Cell:
    """What one cell sent: its reply, and its iopub messages as (type, content) in order."""

    reply: dict[str, Any]
    messages: list[tuple[str, dict[str, Any]]] = field(repr=False)

    def text(self, name: str) -> str:
        """Everything that went to stdout or stderr."""
        return "".join(c["text"] for kind, c in self.messages if kind == "stream" and c["name"] == name)

    def bundles(self, *kinds: str) -> list[dict[str, Any]]:
        """The MIME bundles of the displays and the result, or of one of the two."""
        return [content["data"] for kind, content in self.messages if kind in (kinds or BUNDLES)]

    def values(self, mime_type: str) -> list[Any]:
        """What the bundles hold under `mime_type`, in order."""
        return [data[mime_type] for data in self.bundles() if mime_type in data]

    @property
    def kinds(self) -> list[str]:
        """The message types, in order; pieces of one stream count once, for a timer may cut it anywhere."""
        found: list[tuple[str, str | None]] = []
        for kind, content in self.messages:
            told = (kind, content["name"] if kind == "stream" else None)
            if kind != "stream" or found[-1:] != [told]:
                found.append(told)
        return [kind for kind, _ in found]

    @property
    def traceback(self) -> str:
        """The error's traceback, with its colours."""
        return "\n".join(self.reply["traceback"])


class Kernel:
    """A running kernel with one client."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str, *, check: bool = True, envs: dict[str, str] | None = None) -> Cell:
        """Run a cell to its end, with variables of its own. With `check`, an error in it fails the test."""
        return self.finish(self.send(code, envs), check=check)

    def send(self, code: str, envs: dict[str, str] | None = None) -> str:
        """Ask for a cell, and give its message id."""
        if envs is None:
            return str(self.client.execute(code, allow_stdin=False))
        message = self.client.session.msg("execute_request", {"code": code}, metadata={"execd_envs": envs})
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def finish(self, message_id: str, *, reply: dict[str, Any] | None = None, check: bool = True) -> Cell:
        """Read everything that belongs to a cell. A `reply` that was taken from the channel before is passed in."""
        messages = list(self._output(message_id))
        while reply is None or reply["parent_header"]["msg_id"] != message_id:
            reply = self.client.get_shell_msg(timeout=DEADLINE)
        cell = Cell(reply["content"], messages)
        assert not check or cell.reply["status"] == "ok", cell.reply
        return cell

    def read_text(self, message_id: str, name: str, *, until: str) -> str:
        """Read a stream of a cell up to `until`, also past the cell's end: text from a file descriptor comes late."""
        text = ""
        while not text or until not in text:
            message = self.client.get_iopub_msg(timeout=DEADLINE)
            if message["parent_header"].get("msg_id") == message_id and message["content"].get("name") == name:
                text += message["content"]["text"]
        return text

    def reply_within(self, seconds: float) -> dict[str, Any] | None:
        """The next reply, or None when there is none in that time."""
        try:
            message: dict[str, Any] = self.client.get_shell_msg(timeout=seconds)
        except Empty:
            return None
        return message

    def _output(self, message_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        while True:
            message = self.client.get_iopub_msg(timeout=DEADLINE)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != message_id or kind == "execute_input":
                continue
            if kind != "status":
                yield kind, content
            elif content["execution_state"] == "idle":
                return


class OneFolder(KernelSpecManager):
    """Finds the kernelspec of one folder under every name. (jupyter_client takes "python" for its own "python3".) With
    a `warden`, which has a sandbox of the name below, its kernels are forks."""

    def __init__(self, folder: Path, warden: Path | None, *, zygote: bool) -> None:
        super().__init__()
        self._folder = folder
        self._warden = warden
        self._zygote = zygote

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        spec = KernelSpec.from_resource_dir(str(self._folder))
        if self._warden is not None:
            config = {"warden": str(self._warden), "sandbox": SANDBOX, "zygote": self._zygote}
            spec.metadata["kernel_provisioner"] = {"provisioner_name": "execd", "config": config}
        return spec


SANDBOX = "sb_kernels"


async def open_sandbox(folder: Path) -> None:
    """Have a warden in the folder, and in it a sandbox that is the machine as it is."""
    warden = await Warden.reach(folder, DEADLINE)
    await warden.open(Plan(SANDBOX, Mode.PROCESS, None, "/tmp", os.environ.get("HOME", "/")))
    warden.hang_up()


def strict_json(data: bytes) -> Any:
    """What a kernel sent, which must be UTF-8 and JSON to the letter: no NaN, no infinities."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(data.decode(), parse_constant=refuse)


StartKernel = Callable[..., Kernel]


@contextmanager
def running(
    folder: Path | None,
    env: dict[str, str],
    stderr: Path | None = None,
    warden: Path | None = None,
    *,
    zygote: bool = True,
) -> Iterator[Kernel]:
    """A kernel over ipc from a kernelspec folder, or a stock one, in an environment of its own. What a warden starts is
    a fork of its zygote, or is executed."""
    with ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="kern-"))  # short: a socket's path has 107 bytes
        specs = OneFolder(folder, warden, zygote=zygote) if folder else KernelSpecManager()
        socket, connection = f"{place}/k", f"{place}/c.json"
        manager = KernelManager(transport="ipc", ip=socket, connection_file=connection, kernel_spec_manager=specs)
        err = stack.enter_context((stderr or Path(os.devnull)).open("wb"))
        manager.start_kernel(env=env, cwd=place, stderr=err)
        stack.callback(manager.shutdown_kernel, now=True)
        client = manager.client()
        client.session.unpack = strict_json
        client.start_channels()
        stack.callback(client.stop_channels)
        client.wait_for_ready(timeout=DEADLINE)
        yield Kernel(manager, client)


@pytest.fixture(scope="session")
def kernel_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What kernels find in their environment: little, and nothing of pytest's (ipykernel then captures no fds)."""
    home = tmp_path_factory.mktemp("home")
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


@pytest.fixture(scope="session")
def forking(wardens: Path) -> Iterator[Path]:
    """The folder of a warden with a sandbox to fork kernels in, which lives on as long as somebody is connected."""
    anyio.run(open_sandbox, wardens)
    line = Line(wardens)
    yield wardens
    line.close()


@pytest.fixture(scope="module", params=["new", "forked"])
def warden(request: pytest.FixtureRequest) -> Path | None:
    """The folder of the warden that kernels come from, None for kernels that are new processes."""
    found: Path | None = request.getfixturevalue("forking") if request.param == "forked" else None
    return found


KINDS = ("new", "forked", "stock")
"""The lean kernel as a new process and as a fork, and the stock one."""


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the three a trap is tried on."""
    found: str = request.param
    return found


StartEither = Callable[..., Kernel]


@pytest.fixture(scope="module")
def either(kind: str, kernel_env: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """One kernel of a kind for the tests of a module that leave its state alone."""
    with of_kind(kind, kernel_env, request) as kernel:
        yield kernel


@pytest.fixture
def start_either(kind: str, kernel_env: dict[str, str], request: pytest.FixtureRequest) -> Iterator[StartEither]:
    """Start more kernels of a kind, with a stderr, or variables of their own."""
    with ExitStack() as stack:

        def start(stderr: Path | None = None, **env: str) -> Kernel:
            return stack.enter_context(of_kind(kind, {**kernel_env, **env}, request, stderr))

        yield start


@contextmanager
def of_kind(
    kind: str, env: dict[str, str], request: pytest.FixtureRequest, stderr: Path | None = None
) -> Iterator[Kernel]:
    """A kernel of one of `KINDS`."""
    warden: Path | None = request.getfixturevalue("forking") if kind == "forked" else None
    chosen = {"EXECD_PYTHON_KERNEL": "stock"} if kind == "stock" else {}
    with running(FOLDER, {**env, **chosen}, stderr, warden) as kernel:
        yield kernel


@pytest.fixture(scope="module")
def kernel(kernel_env: dict[str, str], warden: Path | None) -> Iterator[Kernel]:
    """One kernel for the tests of a module that leave its state alone."""
    with running(FOLDER, kernel_env, warden=warden) as kernel:
        yield kernel


@pytest.fixture
def start_kernel(kernel_env: dict[str, str], warden: Path | None) -> Iterator[StartKernel]:
    """Start more kernels, with a test's own kernelspec folder (None: stock), environment or stderr."""
    with ExitStack() as stack:

        def start(
            *, folder: Path | None = FOLDER, env: dict[str, str] | None = None, stderr: Path | None = None
        ) -> Kernel:
            return stack.enter_context(running(folder, env or kernel_env, stderr, warden))

        yield start


@pytest.fixture
def folder_copy(tmp_path: Path) -> Path:
    """A copy of the kernelspec folder that a test may damage."""
    return shutil.copytree(FOLDER, tmp_path / "python", ignore=shutil.ignore_patterns("__pycache__"))
