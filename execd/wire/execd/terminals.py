"""Terminals: POST /pty, GET and DELETE /pty/{id}, and the WebSocket at /pty/{id}/ws."""

from __future__ import annotations

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from execd.errors import (
    ExecdError,
    InputRefused,
    InvalidFrame,
    InvalidRequest,
    LimitReached,
    TerminalInUse,
    TerminalNotFound,
    TerminalTakenOver,
    WorkingFolderUnusable,
)
from execd.service.attachment import Attachment, Exited
from execd.service.line import Mode
from execd.service.terminal import Terminal
from execd.wire.body import check_json_type, parse_model, read_bytes
from execd.wire.execd import terminal_frames as frames
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.execd.schemas import NewTerminal, TerminalId, TerminalInfo
from execd.wire.operation import Answer, Operation, Parameter, Passage
from execd.wire.query import whole_number
from execd.wire.state import sandbox_of

_CLOSE_NORMAL = 1000
_CLOSE_GOING_AWAY = 1001
_CLOSE_POLICY = 1008
_CLOSE_FAILED = 1011

# How long a client that reads nothing is given to learn that its hold has ended.
_FAREWELL_PATIENCE = 5.0


async def create_terminal(request: Request) -> Response:
    """Make a terminal; its shell starts when a client attaches."""
    sandbox = sandbox_of(request)
    raw = await read_bytes(request, sandbox.settings.max_body)
    if raw.strip():
        check_json_type(request.headers.get("content-type", ""))
    body = parse_model(raw if raw.strip() else b"{}", NewTerminal)
    terminal = sandbox.terminals.create(body.cwd, body.command)
    return JSONResponse(TerminalId(session_id=terminal.id).model_dump(), 201)


async def get_terminal(request: Request) -> Response:
    """One terminal."""
    terminal = sandbox_of(request).terminals.get(request.path_params["session_id"])
    info = TerminalInfo(
        session_id=terminal.id,
        running=terminal.running,
        output_offset=terminal.output_offset,
        attached=terminal.attached,
        mode=terminal.mode,
        exit_code=terminal.exit_code,
        created_at=terminal.created_at,
    )
    return JSONResponse(info.model_dump(exclude_none=True))


async def delete_terminal(request: Request) -> Response:
    """Delete a terminal and end everything that runs in it."""
    await sandbox_of(request).terminals.delete(request.path_params["session_id"])
    return Response()


async def attach_terminal(websocket: WebSocket) -> None:
    """Attach: what there is to replay, then output out and input in until one side ends."""
    terminal = sandbox_of(websocket).terminals.get(websocket.path_params["session_id"])
    query = websocket.query_params
    since = whole_number("since", query.get("since", ""), 0)
    mode = Mode.PIPE if query.get("pty") == "0" else Mode.PTY
    takeover = query.get("takeover") == "1"
    if not takeover:
        terminal.check_free()
    await websocket.accept()
    # Only now: a handshake that fails takes nothing over and starts nothing.
    try:
        attachment = terminal.attach(mode, since, takeover=takeover)
    except ExecdError as error:
        await _farewell(websocket, error)
        return
    await Connection(websocket, terminal, attachment).serve()


class Connection:
    """A client's WebSocket and its hold on a terminal."""

    def __init__(self, websocket: WebSocket, terminal: Terminal, attachment: Attachment) -> None:
        self._websocket = websocket
        self._terminal = terminal
        self._attachment = attachment
        self._client_is_there = True

    async def serve(self) -> None:
        """Carry messages both ways until the shell ends, the client goes, or the hold is revoked."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._receive, group.cancel_scope)
                group.start_soon(self._cancel_when_revoked, group.cancel_scope)
                await self._send()
                group.cancel_scope.cancel()
        finally:
            self._attachment.detach()
        ending = self._attachment.ending
        if self._client_is_there and isinstance(ending, ExecdError):
            await _farewell(self._websocket, ending)

    async def _send(self) -> None:
        try:
            await self._send_output()
        except WebSocketDisconnect:
            self._client_is_there = False

    async def _send_output(self) -> None:
        offset, missed = self._attachment.replay
        if missed:
            await self._websocket.send_bytes(frames.replay(offset, missed))
        await self._websocket.send_text(frames.connected(self._terminal.id, self._terminal.mode or Mode.PTY))
        async for stream, data in self._attachment.output():
            await self._websocket.send_bytes(frames.output(stream, data))
        if isinstance(ending := self._attachment.ending, Exited):
            await self._websocket.send_text(frames.exited(ending.code))
            await self._websocket.close(_CLOSE_NORMAL, "process exited")

    async def _cancel_when_revoked(self, scope: anyio.CancelScope) -> None:
        await self._attachment.revoked.wait()
        scope.cancel()

    async def _receive(self, scope: anyio.CancelScope) -> None:
        try:
            while (message := await self._websocket.receive())["type"] == "websocket.receive":
                await self._obey(message["bytes"] if message.get("bytes") is not None else message["text"])
        except WebSocketDisconnect:
            pass
        self._client_is_there = False
        scope.cancel()

    async def _obey(self, message: str | bytes) -> None:
        try:
            await self._act(frames.decode(message))
        except (InvalidFrame, InputRefused) as error:
            await self._websocket.send_text(frames.failed(error, EXECD_ERRORS))

    async def _act(self, frame: frames.ClientFrame) -> None:
        match frame:
            case frames.Ping():
                await self._websocket.send_text(frames.PONG)
            case _ if self._attachment.ending is not None:
                # Its shell has ended, and the terminal may be another's by now.
                return
            case frames.Input(data):
                await self._terminal.write(data)
            case frames.Kill(signum):
                self._terminal.signal(signum)
            case frames.Resize():
                self._terminal.resize(frame.cols, frame.rows)


async def _farewell(websocket: WebSocket, error: ExecdError) -> None:
    """The last message and the close, to a client that may not be reading any more."""
    code = str(EXECD_ERRORS.rendering(type(error)).code)
    with anyio.move_on_after(_FAREWELL_PATIENCE):
        try:
            await websocket.send_text(frames.failed(error, EXECD_ERRORS))
            await websocket.close(_close_code(error), code)
        except WebSocketDisconnect:
            return


def _close_code(error: ExecdError) -> int:
    match error:
        case TerminalTakenOver():
            return frames.TAKEN_OVER_CLOSE
        case TerminalInUse():
            return _CLOSE_POLICY
        case _:
            return _CLOSE_FAILED if EXECD_ERRORS.rendering(type(error)).status >= 500 else _CLOSE_GOING_AWAY


OPERATIONS = (
    Operation(
        "POST",
        "/pty",
        create_terminal,
        "Make a terminal",
        "terminals",
        EXECD_ERRORS,
        Answer("The terminal; its shell starts with the first attachment", status=201, model=TerminalId),
        body=NewTerminal,
        body_required=False,
        errors=(InvalidRequest, LimitReached, WorkingFolderUnusable),
    ),
    Operation(
        "GET",
        "/pty/{session_id}",
        get_terminal,
        "Show a terminal",
        "terminals",
        EXECD_ERRORS,
        Answer("The terminal", model=TerminalInfo),
        errors=(TerminalNotFound,),
    ),
    Operation(
        "DELETE",
        "/pty/{session_id}",
        delete_terminal,
        "Delete a terminal and end everything that runs in it",
        "terminals",
        EXECD_ERRORS,
        Answer("It is gone"),
        errors=(TerminalNotFound,),
    ),
)

PASSAGES = (
    Passage(
        "/pty/{session_id}/ws",
        "Attach to a terminal, by WebSocket",
        "Binary messages carry input (0x00) and output (0x01, 0x02; 0x03 and an offset: replay), text messages JSON.",
        EXECD_ERRORS,
        attach_terminal,
        parameters=(
            Parameter("pty", "0: pipes instead of a pseudoterminal, when this starts the shell."),
            Parameter("since", "Replay the output from this offset on.", type="integer"),
            Parameter("takeover", "1: take the place of the client that is attached."),
        ),
        errors=(TerminalNotFound, TerminalInUse, InvalidRequest),
    ),
)
