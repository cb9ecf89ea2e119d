"""How files are shown, one or very many."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import islice

from starlette.responses import JSONResponse, Response, StreamingResponse

from execd.service.fileinfo import FileInfo
from execd.wire.execd.acting import Acting

_BATCH = 1000


def shown(info: FileInfo) -> dict[str, object]:
    """A file as this dialect shows it: a FileInfoBody, made without its checks."""
    return {
        "path": info.path,
        "type": info.type,
        "size": info.size,
        "modified_at": info.modified_at.isoformat(),
        "created_at": info.created_at.isoformat(),
        "owner": info.owner,
        "group": info.group,
        "mode": info.mode,
    }


async def infos_response(acting: Acting, infos: Iterator[FileInfo]) -> Response:
    """A JSON array of files. More than a thousand are streamed, so that a whole disk can be listed."""
    first = await acting.run(partial(_batch, infos))
    if len(first) < _BATCH:
        return JSONResponse(first)
    return StreamingResponse(_array(acting, first, infos), media_type="application/json")


async def _array(acting: Acting, batch: list[dict[str, object]], infos: Iterator[FileInfo]) -> AsyncIterator[bytes]:
    opening = "["
    while batch:
        yield (opening + json.dumps(batch, separators=(",", ":"))[1:-1]).encode()
        opening = ","
        batch = await acting.run(partial(_batch, infos))
    yield b"]"


def _batch(infos: Iterator[FileInfo]) -> list[dict[str, object]]:
    return [shown(info) for info in islice(infos, _BATCH)]
