"""Clients of MCP that hang up at any moment leave nothing behind: no task, no call. The service runs in the test's own
loop, where its tasks can be counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx2
import pytest
import uvicorn
from anyio.abc import SocketAttribute

from execd.app import create_app
from execd.service.execution import Execution
from execd.settings import Settings
from tests.live.mcp_messages import BOTH

_INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "by-hand", "version": "1"},
}
_MODERN = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "run_code"}
_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "by-hand", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class _Quiet(uvicorn.Server):
    """Leaves the test's signals alone."""

    def install_signal_handlers(self) -> None:
        return

    async def serve_until(self, stop: anyio.Event) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._serve)
            await stop.wait()
            self.should_exit = True


class House:
    """A service in this loop."""

    def __init__(self, port: int, executions: object) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._executions = executions

    @property
    def living(self) -> list[Execution]:
        """What has not ended."""
        found: dict[str, Execution] = vars(self._executions)["_living"]
        return [execution for execution in found.values() if not execution.journal.ended]

    async def request(self, method: str, headers: dict[str, str], message: object = None) -> anyio.abc.SocketStream:
        """A request, sent and not waited for."""
        body = b"" if message is None else json.dumps(message).encode()
        lines = [f"{method} /mcp HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Accept: {BOTH}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        stream = await anyio.connect_tcp("127.0.0.1", self.port)
        await stream.send("\r\n".join([*lines, "", ""]).encode() + body)
        return stream


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """One, running."""
    app = create_app(Settings(data_dir=tmp_path / "data", isolation="process", port=0, ping_interval=0.1))
    server = _Quiet(uvicorn.Config(app, port=0, lifespan="on", log_config=None, timeout_graceful_shutdown=5))
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve_until, stop)
        with anyio.fail_after(60):
            while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
                await anyio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield House(port, app.state.sandboxes.executions)
        stop.set()


async def session_of(house: House) -> dict[str, str]:
    """The headers of a new session."""
    async with httpx2.AsyncClient() as client:
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": _INITIALIZE}
        answer = await client.post(f"{house.url}/mcp", json=message, headers={"Accept": BOTH})
        return {"Mcp-Session-Id": answer.headers["mcp-session-id"]}


def call(context: str, **meta: object) -> dict[str, object]:
    """A call that goes on."""
    arguments = {"code": "import time\nwhile True: time.sleep(0.05)", "context": context, "wait": 600}
    params = {"name": "run_code", "arguments": arguments, "_meta": {"progressToken": 1, **meta}}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


async def until(done: object) -> None:
    """Return when this is so."""
    assert callable(done)
    with anyio.fail_after(60):
        while not done():  # noqa: ASYNC110  # nobody tells when a task has ended
            await anyio.sleep(0.02)


async def hung_up(stream: anyio.abc.SocketStream) -> None:
    """Reset a connection."""
    transport = stream.extra(SocketAttribute.raw_socket)
    transport.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: 0 s
    await stream.aclose()


def serving() -> list[str]:
    """The tasks that serve requests or messages, as far as their names or their code say so."""
    found = []
    for task in asyncio.all_tasks():
        code = getattr(task.get_coro(), "cr_code", None)
        said = f"{task.get_name()} {'' if code is None else code.co_filename}"
        if any(part in said for part in ("mcp.", "sse_starlette", "uvicorn", "starlette.", "execd.wire")):
            found.append(said)
    return sorted(found)


async def test_nothing_is_left_of_those_who_hang_up(house: House) -> None:
    session = await session_of(house)
    async with httpx2.AsyncClient() as client:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        assert (await client.post(f"{house.url}/mcp", json=message)).status_code == 200
    # What has answered is over before anything is counted.
    await anyio.wait_all_tasks_blocked()
    before = serving()
    assert any("run_server" in task for task in before)
    for round_ in range(3):
        streams = [
            await house.request("POST", session, call(f"session-{round_}")),
            await house.request("POST", {}, call(f"alone-{round_}")),
            await house.request("POST", _MODERN, call(f"modern-{round_}", **_ENVELOPE)),
            await house.request("GET", session),
            await house.request("GET", {}),
        ]
        # Some hang up before they hear anything, some after the head of the answer, some when their code runs.
        if round_:
            for stream in streams:
                await stream.receive()
        if round_ > 1:
            await until(lambda: len(house.living) >= 3)
        for stream in streams:
            await hung_up(stream)
    for execution in house.living:
        execution.cancel()
    await until(lambda: not house.living)
    with anyio.move_on_after(60):
        while serving() != before:  # noqa: ASYNC110  # nobody tells when a task has ended
            await anyio.sleep(0.02)
    assert serving() == before
    async with httpx2.AsyncClient() as client:
        assert (await client.delete(f"{house.url}/mcp", headers=session)).status_code == 200
    await until(lambda: not any("run_server" in task for task in serving()))
