"""Shows what the service does, scene by scene: `make demo`.

Starts a service of its own on a free port with its data in a temporary folder, talks to it with OpenSandbox's public
Python SDK and, where that SDK shows less than the service sends, with plain HTTP. Exits with 0 when every scene came
out as it should, else with 1 and a sentence that says what went wrong.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import struct
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import anyio
import httpx
from code_interpreter.adapters import CodesAdapter
from opensandbox.config import ConnectionConfig
from opensandbox.exceptions import SandboxException
from opensandbox.models.execd import ExecutionError, ExecutionHandlers, ExecutionInit, OutputMessage
from opensandbox.models.sandboxes import SandboxEndpoint

LIMIT_SECONDS = 120
BOLD, DIM, GREEN, CYAN = "1", "2", "32", "36"

TICKS = 'import time\nfor n in range(3):\n    print(f"tick {n}")\n    time.sleep(0.3)'
PLOT = (
    "import numpy as np, matplotlib.pyplot as plt\n"
    "x = np.linspace(0, 6.28, 200)\n"
    "plt.plot(x, np.sin(x), x, np.cos(x))\n"
    "plt.show()"
)
MISTAKE = 'prices = {"tea": 3}\nprices["coffee"]'
SLEEP = 'kept = "still here"\nprint("falling asleep")\ntime.sleep(3600)'
COUNT = "for n in range(10):\n    print(n, flush=True)\n    time.sleep(0.1)"


class Disappointment(Exception):
    """A scene did not come out as it should."""


class Story:
    """Writes the scenes: what is sent (→), and what comes back (←) with the seconds since the scene began."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._coloured = out.isatty() and "NO_COLOR" not in os.environ
        self._number = 0
        self._began = time.monotonic()

    def scene(self, title: str) -> None:
        """Begin the next scene."""
        self._number += 1
        self._began = time.monotonic()
        self.line(f"\n{self._paint(CYAN, str(self._number))}  {self._paint(BOLD, title)}")

    def sent(self, text: str) -> None:
        """Show what is sent."""
        first, *more = text.splitlines()
        self.line("\n".join([f"   {self._paint(CYAN, '→')} {first}", *(f"     {line}" for line in more)]))

    def came(self, text: str) -> None:
        """Show what came back, and when."""
        when = self._paint(DIM, f"{time.monotonic() - self._began:7.3f} s")
        arrow = self._paint(GREEN, "←")
        self.line("\n".join(f"   {arrow} {when}  {line}" for line in text.splitlines()))

    def line(self, text: str) -> None:
        """Write a line, at once."""
        print(text, file=self._out, flush=True)

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured else text


@dataclass(frozen=True)
class Stage:
    """What every scene has: a place to tell it, the SDK, and plain HTTP to the same service."""

    story: Story
    codes: CodesAdapter
    http: httpx.AsyncClient

    async def run(self, code: str) -> str:
        """Send code with the SDK and show the text that comes back, which is also returned."""
        self.story.sent(code)
        execution = await self.codes.run(code)
        if execution.error is not None:
            raise Disappointment(f"{code!r} failed with {execution.error.name}: {execution.error.value}")
        self.story.came(execution.text or "done")
        return execution.text


async def prints(stage: Stage) -> None:
    async def show(message: OutputMessage) -> None:
        stage.story.came(message.text)

    stage.story.sent(TICKS)
    execution = await stage.codes.run(TICKS, handlers=ExecutionHandlers(on_stdout=show))
    expect(execution.text, "tick 0\ntick 1\ntick 2")


async def remembers(stage: Stage) -> None:
    await stage.run("squares = [n * n for n in range(5)]")
    expect(await stage.run("sum(squares)"), "30")


async def plots(stage: Stage) -> None:
    stage.story.sent(PLOT)
    async with stage.http.stream("POST", "/code", json=asked(PLOT)) as answer:
        results = [event["results"] async for event in events(answer) if event["type"] == "result"]
    images = [base64.b64decode(result["image/png"]) for result in results if "image/png" in result]
    expect(len(images), 1)
    width, height = struct.unpack_from(">II", images[0], 16)
    stage.story.came(f"image/png, {len(images[0]):,} bytes, {width} × {height} pixels")


async def fails(stage: Stage) -> None:
    stage.story.sent(MISTAKE)
    error = (await stage.codes.run(MISTAKE)).error
    if error is None:
        raise Disappointment("a mistake went unnoticed")
    stage.story.came(f"{error.name}: {error.value}, with a traceback of {len(error.traceback)} parts")
    expect(error.name, "KeyError")


async def is_interrupted(stage: Stage) -> None:
    context_id = ""
    asleep = anyio.Event()

    async def note(init: ExecutionInit) -> None:
        nonlocal context_id
        context_id = init.id

    async def show(message: OutputMessage) -> None:
        stage.story.came(message.text)
        asleep.set()

    async def show_end(error: ExecutionError) -> None:
        stage.story.came(error.name)

    stage.story.sent(SLEEP)
    handlers = ExecutionHandlers(on_init=note, on_stdout=show, on_error=show_end)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(stage.codes.run, SLEEP, handlers=handlers))
        await asleep.wait()
        stage.story.sent(f"interrupt {context_id}")
        await stage.codes.interrupt(context_id)
    expect(await stage.run("kept"), "'still here'")


async def survives_a_lost_connection(stage: Stage) -> None:
    stage.story.sent(COUNT)
    async with stage.http.stream("POST", "/code", json=asked(COUNT)) as answer, aclosing(events(answer)) as arriving:
        execution_id = answer.headers["EXECD-EXECUTION-ID"]
        before = [await anext(arriving) for _ in range(4)]
    stage.story.came(f"{told(before)}; then the connection is dropped")
    path, last = f"/code/executions/{execution_id}/events", str(before[-1]["seq"])
    stage.story.sent(f"GET {path}\nLast-Event-ID: {last}")
    async with stage.http.stream("GET", path, headers={"Last-Event-ID": last}) as answer:
        after = [event async for event in events(answer)]
    expect([event["seq"] for event in before + after], [*range(1, after[-1]["seq"] + 1)])
    expect(printed(before + after), "".join(f"{n}\n" for n in range(10)))
    stage.story.came(f"{told(after)}; nothing missed, nothing twice")


SCENES: tuple[tuple[str, Callable[[Stage], Awaitable[None]]], ...] = (
    ("Code runs, and its output comes while it does", prints),
    ("Variables stay, and a last expression is a result", remembers),
    ("A plot comes as an image", plots),
    ("A mistake has a name", fails),
    ("A run that sleeps is interrupted, and its variables live on", is_interrupted),
    ("A connection drops, and nothing is lost", survives_a_lost_connection),
)


def asked(code: str) -> dict[str, object]:
    """The body of POST /code for Python's default context."""
    return {"code": code, "context": {"language": "python"}}


async def events(answer: httpx.Response) -> AsyncGenerator[dict[str, Any], None]:
    """The events of a stream, without the pings that keep it alive."""
    if answer.status_code != 200:
        raise Disappointment(f"{answer.url} answered {answer.status_code}: {(await answer.aread()).decode()}")
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            event = json.loads(line.removeprefix("data: "))
            if event["type"] != "ping":
                yield event


def printed(those: list[dict[str, Any]]) -> str:
    """What the events say was printed."""
    return "".join(event["text"] for event in those if event["type"] == "stdout")


def told(those: list[dict[str, Any]]) -> str:
    """Which events these are, and what they say was printed."""
    return f"events {those[0]['seq']} to {those[-1]['seq']}, printing {' '.join(printed(those).split())}"


def expect(got: object, wanted: object) -> None:
    """Raise Disappointment unless this is what came."""
    if got != wanted:
        raise Disappointment(f"expected {wanted!r}, got {got!r}")


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """The URL of a service that keeps its data in `folder` and ends with the block."""
    log_file = folder / "service.log"
    env = {name: value for name, value in os.environ.items() if not name.startswith("EXECD_")}
    env |= {"EXECD_DATA_DIR": str(folder / "data"), "EXECD_LOG_FORMAT": "json"}
    with log_file.open("wb") as log:
        command = [sys.executable, "-m", "execd", "serve", "--port", "0"]
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield url_in(log_file, process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def url_in(log_file: Path, process: subprocess.Popen[bytes]) -> str:
    """The URL that a service's log names, as soon as it does."""
    while process.poll() is None:
        for line in log_file.read_text().splitlines():
            if '"event": "serving"' in line:
                return str(json.loads(line)["url"])
        time.sleep(0.01)
    raise Disappointment(f"the service did not start: {log_file.read_text().strip()}")


async def perform(story: Story, url: str) -> None:
    """Play the scenes, one after the other."""
    async with AsyncExitStack() as stack:
        endpoint = SandboxEndpoint(endpoint=url.removeprefix("http://"))
        codes = await stack.enter_async_context(aclosing(CodesAdapter(endpoint, ConnectionConfig())))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=None))
        with anyio.fail_after(LIMIT_SECONDS):
            for title, scene in SCENES:
                story.scene(title)
                await scene(Stage(story, codes, http))


def cause(failure: BaseException) -> str:
    """What to tell of a failure: of several at once, the first."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    said = str(failure) or f"nothing more came within {LIMIT_SECONDS} s"
    return said if isinstance(failure, Disappointment) else f"{type(failure).__name__}: {said}"


def main() -> int:
    """Tell the story and return the exit code."""
    # The SDK logs what it also raises.
    logging.disable()
    story, began = Story(sys.stdout), time.monotonic()
    try:
        with TemporaryDirectory(prefix="execd-demo-") as folder:
            story.scene("A service starts")
            story.sent("execd serve --port 0")
            with service(Path(folder)) as url:
                story.came(url)
                anyio.run(perform, story, url)
    except (Disappointment, SandboxException, httpx.HTTPError, OSError, ExceptionGroup) as failure:
        print(f"\nThe demo failed. {cause(failure)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    story.line(f"\nAll of it in {time.monotonic() - began:.1f} s, and the service has ended. Yours: make serve")
    return 0


if __name__ == "__main__":
    sys.exit(main())
