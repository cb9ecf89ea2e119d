"""The WebSocket on which commands are run live: any number of them, each told apart by the id that the client gives."""

from __future__ import annotations

import contextlib
from typing import Any

import anyio
import anyio.abc
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from execd.errors import (
    ExecdError,
    InputClosed,
    InvalidRequest,
    NotOffered,
    NotRunning,
    SandboxExpired,
    SandboxNotFound,
    SandboxNotReady,
)
from execd.service.command import Command
from execd.service.sandbox import Sandbox
from execd.service.transcript import pieces
from execd.wire.body import invalid, parse_model
from execd.wire.nullspace.errors import SANDBOX_ERRORS
from execd.wire.nullspace.live_frames import Frame
from execd.wire.nullspace.processes import exit_code, wanted
from execd.wire.nullspace.schemas import ExecBody
from execd.wire.operation import Parameter, Passage
from execd.wire.state import sandbox_of

_CHANNEL = "exec"


async def live_commands(websocket: WebSocket) -> None:
    """Serve the channel that is asked for."""
    channel = websocket.query_params.get("channel", _CHANNEL)
    if channel != _CHANNEL:
        raise NotOffered(f"channel: this service has only {_CHANNEL!r} here, got {channel[:40]!r}")
    await websocket.accept()
    async with anyio.create_task_group() as tasks:
        await LiveChannel(websocket, sandbox_of(websocket), tasks).serve()
        # Commands go on; only nobody listens to them here any more.
        tasks.cancel_scope.cancel()


class LiveChannel:
    """One client's channel."""

    def __init__(self, websocket: WebSocket, sandbox: Sandbox, tasks: anyio.abc.TaskGroup) -> None:
        self._websocket = websocket
        self._sandbox = sandbox
        self._tasks = tasks
        self._turn = anyio.Lock()

    async def serve(self) -> None:
        """Take frames until the client goes."""
        while (message := await self._websocket.receive())["type"] == "websocket.receive":
            frame_id = ""
            try:
                frame = _parsed(message.get("text") or "")
                frame_id = frame.id
                await self._take(frame)
            except ExecdError as error:
                await self._tell({"type": "error", "id": frame_id, "message": str(error)})

    async def _take(self, frame: Frame) -> None:
        match frame.type:
            case "exec_start":
                await self._start(frame)
            case "exec_connect":
                await self._follow(frame.id, self._sandbox.commands.by_pid(str(frame.pid)))
            case "exec_stdin":
                self._tasks.start_soon(self._write, frame)
            case "exec_stdin_close":
                self._input_of(frame).close()
            case "exec_kill":
                self._tasks.start_soon(self._kill, frame)

    async def _start(self, frame: Frame) -> None:
        body = parse_model(frame.model_dump_json(exclude_none=True).encode(), ExecBody)
        execution = await self._sandbox.commands.start(wanted(body, live=True))
        command = self._sandbox.commands.living(execution.id)
        await command.spawned.wait()
        if command.pid is None:
            await execution.ended.wait()
            raise InvalidRequest(execution.error.evalue if execution.error else "it could not be started", "command")
        await self._follow(frame.id, command)

    async def _follow(self, frame_id: str, command: Command) -> None:
        await self._tell({"type": "exec_started", "id": frame_id, "pid": command.pid})
        self._tasks.start_soon(self._pass_on, frame_id, command)

    async def _pass_on(self, frame_id: str, command: Command) -> None:
        about = {"id": frame_id, "pid": command.pid}
        async for found in command.execution.follow():
            for piece in pieces(found.records):
                await self._tell({"type": f"exec_{piece.stream}", **about, "data": piece.text})
        await command.execution.ended.wait()
        await self._tell({"type": "exec_exit", **about, "exit_code": exit_code(command.execution)})

    async def _write(self, frame: Frame) -> None:
        try:
            pipe = self._input_of(frame)
            await pipe.write((frame.data or "").encode())
        except ExecdError as error:
            await self._tell({"type": "error", "id": frame.id, "message": str(error)})

    async def _kill(self, frame: Frame) -> None:
        try:
            with contextlib.suppress(NotRunning):
                await self._sandbox.commands.stop(self._sandbox.commands.by_pid(str(frame.pid)).execution.id)
        except ExecdError as error:
            await self._tell({"type": "error", "id": frame.id, "message": str(error)})

    def _input_of(self, frame: Frame) -> Any:
        pipe = self._sandbox.commands.by_pid(str(frame.pid)).input
        if pipe is None:
            raise InputClosed("it was started without one")
        return pipe

    async def _tell(self, frame: dict[str, Any]) -> None:
        async with self._turn:
            # A client that has gone is noticed where frames are taken.
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._websocket.send_json(frame)


def _parsed(text: str) -> Frame:
    try:
        return Frame.model_validate_json(text)
    except ValidationError as error:
        raise invalid(error) from error


PASSAGES = (
    Passage(
        "/{sandbox_id}/ws",
        "Run commands live, by WebSocket",
        "Text messages, JSON: exec_start, exec_connect, exec_stdin, exec_stdin_close and exec_kill from the client; "
        "exec_started, exec_stdout, exec_stderr, exec_exit and error to it.",
        SANDBOX_ERRORS,
        live_commands,
        parameters=(Parameter("channel", "exec, the only one."),),
        errors=(SandboxNotFound, SandboxExpired, SandboxNotReady, NotOffered),
        enters=True,
    ),
)
