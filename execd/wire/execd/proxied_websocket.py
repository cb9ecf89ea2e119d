"""A WebSocket, handed on message by message to a program that listens on 127.0.0.1."""

from __future__ import annotations

import anyio
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import EXTERNAL_CLOSE_CODES, CloseCode

from execd.errors import ExecdError
from execd.service.proxy import Refusal
from execd.wire.execd.proxied import raw, refusal, route_of, target_of
from execd.wire.forwarding import Route, handshake_headers, response_headers
from execd.wire.state import sandbox_of


async def proxied_websocket(websocket: WebSocket) -> None:
    """Hand a WebSocket on: it is accepted when, and as, the program accepts it."""
    try:
        await _hand_on(websocket)
    except ExecdError as error:
        await websocket.send_denial_response(refusal(error))


async def _hand_on(websocket: WebSocket) -> None:
    proxy = sandbox_of(websocket).proxy
    target = target_of(websocket, proxy)
    route = route_of(websocket, target)
    headers = handshake_headers(websocket.headers.items(), route)
    try:
        async with proxy.websocket(target, headers, websocket.scope["subprotocols"]) as program:
            await _accept(websocket, program, route)
            await _converse(websocket, program)
    except Refusal as refused:
        await websocket.send_denial_response(_denial(refused, route))


async def _accept(websocket: WebSocket, program: ClientConnection, route: Route) -> None:
    assert program.response is not None
    given = response_headers(program.response.headers.raw_items(), route)
    kept = [(name, value) for name, value in given if not name.lower().startswith("sec-websocket-")]
    await websocket.accept(program.subprotocol, raw(kept))


def _denial(refused: Refusal, route: Route) -> Response:
    answer = refused.response
    body = bytes(answer.body or b"")
    kept = [(name, value) for name, value in answer.headers.raw_items() if name.lower() != "content-length"]
    response = Response(body, answer.status_code)
    response.raw_headers = raw([*response_headers(kept, route), ("Content-Length", str(len(body)))])
    return response


async def _converse(websocket: WebSocket, program: ClientConnection) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_tell_program, websocket, program, group.cancel_scope)
        await _tell_client(websocket, program)
        group.cancel_scope.cancel()


async def _tell_client(websocket: WebSocket, program: ClientConnection) -> None:
    """Messages from the program, until one side closes; then the client learns how the program did."""
    try:
        while True:
            message = await program.recv()
            if isinstance(message, str):
                await websocket.send_text(message)
            else:
                await websocket.send_bytes(message)
    except ConnectionClosed as closed:
        await _close_client(websocket, closed)
    except WebSocketDisconnect:
        # The other direction is told of it too, and closes the program's side.
        await anyio.sleep_forever()


async def _tell_program(websocket: WebSocket, program: ClientConnection, scope: anyio.CancelScope) -> None:
    """Messages from the client, until one side closes; then the program learns how the client did."""
    message = await websocket.receive()
    try:
        while message["type"] == "websocket.receive":
            text = message.get("text")
            await program.send(message["bytes"] if text is None else text)
            message = await websocket.receive()
    except ConnectionClosed:
        # The other direction is told of it too, once it has passed on what came before.
        await anyio.sleep_forever()
    code = int(message.get("code") or CloseCode.GOING_AWAY)
    await program.close(code if _may_be_sent(code) else CloseCode.GOING_AWAY, message.get("reason") or "")
    scope.cancel()


async def _close_client(websocket: WebSocket, closed: ConnectionClosed) -> None:
    said = closed.rcvd or closed.sent
    code = CloseCode.BAD_GATEWAY if said is None else said.code
    if code == CloseCode.NO_STATUS_RCVD:
        code = CloseCode.NORMAL_CLOSURE
    try:
        await websocket.close(code if _may_be_sent(code) else CloseCode.BAD_GATEWAY, said.reason if said else "")
    except (WebSocketDisconnect, RuntimeError):
        # The client was quicker.
        return


def _may_be_sent(code: int) -> bool:
    return code in EXTERNAL_CLOSE_CODES or 3000 <= code < 5000
