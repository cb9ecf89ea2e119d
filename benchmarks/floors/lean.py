"""The least that a client can do: the service's kernel, blocking ZMQ sockets, frames neither decoded nor verified."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import zmq
from jupyter_client.session import DELIM, Session

from benchmarks.errors import RowFailed
from benchmarks.workbench import Workbench
from execd.kernel.connection import Connection, Runtime
from execd.service.environment import sandbox_environment

_START_SECONDS = 60
_ASK_AGAIN_MS = 500
_RUN_MS = 120_000


class LeanClient:
    """The shell and iopub sockets of one kernel. Only headers are looked at, for who is answered and what ends."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], connection: Connection) -> None:
        self._session = Session(key=connection.key)
        self._shell = context.socket(zmq.DEALER)
        self._iopub = context.socket(zmq.SUB)
        self._iopub.subscribe(b"")
        self._poller = zmq.Poller()
        for socket, channel in ((self._shell, "shell"), (self._iopub, "iopub")):
            socket.linger = 0
            socket.reconnect_ivl = 10
            socket.connect(f"ipc://{connection.socket(channel)}")
            self._poller.register(socket, zmq.POLLIN)

    def wait_until_heard(self, process: subprocess.Popen[bytes]) -> None:
        """Return once the kernel's iopub messages arrive here. Raises RowFailed."""
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if self._iopub.poll(_ASK_AGAIN_MS):
                return
            self._send("kernel_info_request", {})
        raise RowFailed("the kernel of the lean client did not start")

    def times(self, code: str, count: int) -> list[float]:
        """The seconds of each of `count` runs."""
        return [self.run(code)[0] for _ in range(count)]

    def run(self, code: str) -> tuple[float, list[bytes]]:
        """The seconds until reply and idle are both in, and the content frames of all that came between."""
        contents: list[bytes] = []
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        started = time.perf_counter()
        msg_id = self._send("execute_request", content)
        replied = idle = False
        while not (replied and idle):
            for socket, _ in self._ready():
                for msg_type, frame in _answers(socket, msg_id):
                    replied = replied or msg_type == "execute_reply"
                    idle = idle or (msg_type == "status" and b'"idle"' in frame)
                    contents.append(frame)
        return time.perf_counter() - started, contents

    def close(self) -> None:
        """Close the sockets."""
        self._shell.close()
        self._iopub.close()

    def _ready(self) -> list[tuple[zmq.Socket[bytes], int]]:
        ready = self._poller.poll(_RUN_MS)
        if not ready:
            raise RowFailed("the kernel of the lean client fell silent")
        return ready

    def _send(self, msg_type: str, content: dict[str, object]) -> str:
        message = self._session.msg(msg_type, content=content)
        self._shell.send_multipart(self._session.serialize(message))
        msg_id: str = message["header"]["msg_id"]
        return msg_id


def _answers(socket: zmq.Socket[bytes], msg_id: str) -> Iterator[tuple[str, bytes]]:
    asked = msg_id.encode()
    while True:
        try:
            frames = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        start = frames.index(DELIM)
        if asked in frames[start + 3]:
            yield json.loads(frames[start + 2])["msg_type"], frames[start + 5]


@contextmanager
def lean_client(workbench: Workbench) -> Iterator[LeanClient]:
    """A kernel like the service's own, started as its kernelspec says, and the lean client that drives it."""
    spec = workbench.python_kernel()
    allowed = sandbox_environment(os.environ, workbench.effective_settings().kernel_env)
    with TemporaryDirectory(prefix="lc") as folder, zmq.Context() as context:
        connection = Connection.make(Runtime(Path(folder), Path(folder)))
        environment = allowed | dict(spec.env) | {"IPYTHONDIR": folder, "JPY_PARENT_PID": str(os.getpid())}
        process = subprocess.Popen(
            spec.command(connection.file), env=environment, cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        client = LeanClient(context, connection)
        try:
            client.wait_until_heard(process)
            yield client
        finally:
            client.close()
            process.kill()
            process.wait()
