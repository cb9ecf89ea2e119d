"""The input of a command."""

from __future__ import annotations

import os

import anyio
import pytest

from execd.errors import InputClosed
from execd.service.input_pipe import InputPipe


async def test_what_is_written_arrives() -> None:
    pipe = InputPipe()
    await pipe.write(b"tea")
    theirs = os.dup(pipe.theirs)
    pipe.started()
    pipe.close()
    assert (os.read(theirs, 10), os.read(theirs, 10)) == (b"tea", b"")
    os.close(theirs)


async def test_a_writer_waits_for_the_reader() -> None:
    pipe = InputPipe()
    content = b"x" * (1 << 20)
    async with anyio.create_task_group() as group:
        group.start_soon(pipe.write, content)
        await anyio.wait_all_tasks_blocked()
        arrived = 0
        while arrived < len(content):
            arrived += len(await anyio.to_thread.run_sync(os.read, pipe.theirs, 1 << 16))
    pipe.close()


async def test_nobody_reads_any_more() -> None:
    pipe = InputPipe()
    pipe.started()
    with pytest.raises(InputClosed, match="Broken pipe"):
        await pipe.write(b"x")
    pipe.close()
    with pytest.raises(InputClosed, match="it was closed"):
        await pipe.write(b"x")


async def test_closing_frees_who_waits() -> None:
    pipe = InputPipe()

    async def write() -> None:
        with pytest.raises(InputClosed):
            await pipe.write(b"x" * (1 << 20))

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        pipe.close()
