"""A stand-in for execd's POST /command, which `CodeInterpreter.create` calls for its health check.

It can go, and the tests can point the SDKs at the service itself, once the service answers POST /command. Until then it
stands in front of the service: it runs the check's command as execd would, its outcome being the command's own, and
passes every other request on unchanged.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

# They concern one connection (RFC 9110, section 7.6.1), or are made anew by each server.
_OF_ONE_HOP = frozenset({"host", "connection", "transfer-encoding", "date", "server"})


def command_stand_in(execd: str) -> Starlette:
    """The application in front of the service at this host and port."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
        async with httpx.AsyncClient(base_url=f"http://{execd}", timeout=None) as client:
            yield {"client": client}

    everything = Route("/{path:path}", _pass_on, methods=["GET", "POST", "DELETE"])
    return Starlette(routes=[Route("/command", _run_command, methods=["POST"]), everything], lifespan=lifespan)


async def _run_command(request: Request) -> Response:
    client: httpx.AsyncClient = request.state.client
    environment = {**os.environ, "JUPYTER_PORT": str(client.base_url.port)}
    command = (await request.json())["command"]
    exited = await anyio.run_process(["bash", "-c", command], env=environment, check=False)
    failed = {"ename": "CommandExecError", "evalue": str(exited.returncode), "traceback": []}
    end = {"type": "error", "error": failed} if exited.returncode else {"type": "execution_complete"}
    events = ({"type": "init", "text": "probe"}, end)
    frames = [json.dumps({**event, "timestamp": time.time_ns() // 1_000_000}) + "\n\n" for event in events]
    return Response("".join(frames), media_type="text/event-stream")


async def _pass_on(request: Request) -> Response:
    client: httpx.AsyncClient = request.state.client
    url = httpx.URL(path=request.url.path, query=request.url.query.encode())
    headers = [(name, value) for name, value in request.headers.items() if name not in _OF_ONE_HOP]
    asked = client.build_request(request.method, url, headers=headers, content=await request.body())
    answer = await client.send(asked, stream=True)
    kept = {name: value for name, value in answer.headers.items() if name not in _OF_ONE_HOP}
    return StreamingResponse(_body(answer), answer.status_code, kept)


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()
