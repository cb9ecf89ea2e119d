"""The official MCP client against execd: over HTTP with sessions and without, over stdio, and through the bridge."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import psutil
import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import ImageContent, TextResourceContents

from execd.wire.mcp.catalog import TOOLS
from tests.clients.mcp_clients import MODES, environment, over_http, over_stdio, program, text_of, told
from tests.clients.scripted_agent import Agent
from tests.running_service import RunningService, running_service

_ENDLESS = "import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.05)"
_WAYS = ("http legacy", "http auto", "stdio legacy", "bridge auto")

Connect = Callable[[], AbstractAsyncContextManager[Client]]


@pytest.fixture(params=_WAYS)
def connect(request: pytest.FixtureRequest, service: RunningService, tmp_path: Path) -> Connect:
    """Connects a client, in each of the ways."""
    way, mode = request.param.split()
    match way:
        case "http":
            return lambda: over_http(service.url, mode)
        case "bridge":
            return lambda: over_stdio(mode, tmp_path, "--url", service.url)
        case _:
            return lambda: over_stdio(mode, tmp_path)


@pytest.fixture
async def client(connect: Connect) -> AsyncIterator[Client]:
    """A client, connected."""
    async with connect() as connected:
        yield connected


@pytest.fixture
def context(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return "".join(character if character.isalnum() else "-" for character in request.node.name)[-60:].strip("-")


async def run_in(client: Client, context: str) -> str:
    """The execution that runs in a context, once it has begun."""
    while True:
        found = await client.call_tool("get_execution", {})
        run = found.structured_content or {}
        if run.get("context_name") == context and text_of(found).startswith("begun"):
            return str(run["execution_id"])


async def test_all_tools_are_there(client: Client) -> None:
    assert [tool.name for tool in (await client.list_tools()).tools] == [tool.name for tool in TOOLS]
    assert client.instructions is not None
    assert "What persists" in client.instructions
    assert client.server_info is not None
    assert client.server_info.name == "execd"


async def test_state_stays(client: Client, context: str) -> None:
    made = await client.call_tool("run_code", {"code": "kept = 41", "context": context})
    assert told(made)["context_created"] is True
    again = await client.call_tool("run_code", {"code": "kept + 1", "context": context})
    assert (text_of(again), told(again)["context_created"]) == ("42", False)


async def test_an_agent_plots_fails_repairs_and_fetches_its_figure(client: Client, context: str) -> None:
    agent = Agent(client, context)
    await agent.work()
    failed, succeeded = agent.seen
    assert "KeyError: 'sales'" in failed
    assert "sales.png" in succeeded
    assert agent.drawing.startswith(b"\x89PNG")
    assert agent.saved.startswith(b"\x89PNG")


async def test_figures_are_images(client: Client, context: str) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    answer = await client.call_tool("run_code", {"code": code, "context": context})
    assert [block.mime_type for block in answer.content if isinstance(block, ImageContent)] == ["image/png"]


async def test_resources(client: Client, context: str) -> None:
    answer = await client.call_tool("run_code", {"code": "print('all of it')", "context": context})
    (content,) = (await client.read_resource(told(answer)["output_uri"])).contents
    assert isinstance(content, TextResourceContents)
    assert content.text == "all of it\n"
    templates = await client.list_resource_templates()
    assert "execd://artifacts/{artifact_id}" in [each.uri_template for each in templates.resource_templates]
    with pytest.raises(MCPError, match="artifact not found"):
        await client.read_resource("execd://artifacts/art_none")


async def test_reports_come_while_it_is_silent(client: Client, context: str) -> None:
    reports: list[tuple[float, str]] = []
    reported = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, message or ""))
        if len(reports) >= 3:
            reported.set()

    async with anyio.create_task_group() as tasks:

        async def call() -> None:
            arguments = {"code": _ENDLESS, "context": context, "wait": 600}
            await client.call_tool("run_code", arguments, progress_callback=note)

        tasks.start_soon(call)
        with anyio.fail_after(60):
            await reported.wait()
        tasks.cancel_scope.cancel()
    progresses = [progress for progress, _ in reports]
    assert progresses == sorted(set(progresses))
    assert any(message.endswith(": begun") for _, message in reports)


async def test_cancelling_a_call_interrupts_the_run_and_keeps_its_variables(client: Client, context: str) -> None:
    async with anyio.create_task_group() as tasks:
        code = f"kept = 5\n{_ENDLESS}"
        tasks.start_soon(client.call_tool, "run_code", {"code": code, "context": context, "wait": 600})
        run = await run_in(client, context)
        tasks.cancel_scope.cancel()
    ended = await client.call_tool("get_execution", {"execution_id": run, "wait": 60})
    assert told(ended)["status"] == "cancelled"
    assert "the variables of its context are kept" in text_of(ended)
    assert text_of(await client.call_tool("run_code", {"code": "kept", "context": context})) == "5"


@pytest.mark.parametrize("tool", ["run_command", "sandbox_execute"])
async def test_cancelling_a_command_or_a_program_ends_it(client: Client, tool: str) -> None:
    marked = f"{os.getpid()}.{secrets.randbelow(10**9)}"
    if tool == "run_command":
        arguments: dict[str, Any] = {"command": f"echo begun; exec sleep {marked}", "wait": 600}
    else:
        code = f"import os\nprint('begun', flush=True)\nos.execvp('sleep', ['sleep', '{marked}'])"
        arguments = {"code": code, "timeout": 600}
    begun = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        if message and message.endswith(": begun"):
            begun.set()

    async def call() -> None:
        await client.call_tool(tool, arguments, progress_callback=note)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        with anyio.fail_after(60):
            await begun.wait()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(60):
        while any(marked in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])):  # noqa: ASYNC110  # it is another process
            await anyio.sleep(0.05)


async def test_calls_run_side_by_side(client: Client, context: str) -> None:
    answers: dict[int, str] = {}

    async def call(number: int) -> None:
        arguments = {"code": f"import time; time.sleep(0.2); {number}", "context": f"{context[:50]}{number}"}
        answers[number] = text_of(await client.call_tool("run_code", arguments))

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(call, number)
    assert {number: text.partition("\n")[0] for number, text in answers.items()} == {n: str(n) for n in range(4)}


@pytest.mark.parametrize("mode", MODES)
async def test_a_restart_of_the_service_loses_no_variables(mode: str, tmp_path: Path) -> None:
    port = 0
    with running_service(tmp_path, on_sigterm="keep") as service:
        port = int(service.url.rpartition(":")[2])
        async with over_http(service.url, mode) as client:
            await client.call_tool("run_code", {"code": "kept = 1", "context": "lasting"})
            service.stop(signal.SIGTERM)
            with running_service(tmp_path, port=port, on_sigterm="end"):
                if mode == "legacy":
                    # Its session ended with the service, which it is told, so that it begins a new one.
                    with pytest.raises(MCPError, match=r"(?i)session"):
                        await client.call_tool("list_contexts", {})
                    async with over_http(service.url, mode) as again:
                        assert text_of(await again.call_tool("run_code", {"code": "kept", "context": "lasting"})) == "1"
                else:
                    assert text_of(await client.call_tool("run_code", {"code": "kept", "context": "lasting"})) == "1"


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_under_way_is_told_of_a_restart(mode: str, tmp_path: Path) -> None:
    with running_service(tmp_path, on_sigterm="keep") as service:
        port = int(service.url.rpartition(":")[2])
        answers: list[str] = []
        async with over_http(service.url, mode) as client:

            async def call() -> None:
                arguments = {"code": _ENDLESS, "context": "on", "wait": 600}
                # Within a session the stream may be cut before the answer is through, and says so, too.
                with suppress(MCPError) if mode == "legacy" else nullcontext():
                    answers.append(text_of(await client.call_tool("run_code", arguments)))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                run = await run_in(client, "on")
                await asyncio.to_thread(service.stop, signal.SIGTERM)
            assert answers or mode == "legacy"
            for answer in answers:
                assert "the service is being restarted, this goes on" in answer
                assert run in answer
        with running_service(tmp_path, port=port, on_sigterm="end"):
            async with over_http(service.url, mode) as client:
                now = await client.call_tool("get_execution", {"execution_id": run})
                assert told(now)["status"] == "running"
                await client.call_tool("interrupt", {"target": run})


@pytest.mark.parametrize("mode", MODES)
async def test_the_bridge_outlives_the_service(mode: str, tmp_path: Path) -> None:
    with running_service(tmp_path, on_sigterm="end") as service:
        port = int(service.url.rpartition(":")[2])
        async with over_stdio(mode, tmp_path, "--url", service.url) as client:
            assert text_of(await client.call_tool("run_code", {"code": "1"})).startswith("1")
            service.stop()
            with pytest.raises(MCPError):
                await client.call_tool("run_code", {"code": "2"})
            with running_service(tmp_path, port=port):
                assert text_of(await client.call_tool("run_code", {"code": "3"})).startswith("3")


async def test_the_bridge_sends_the_key(tmp_path: Path) -> None:
    with running_service(tmp_path, access_token="secret") as service:
        async with over_stdio("auto", tmp_path, "--url", service.url, api_key="secret") as client:
            assert (await client.list_tools()).tools


def test_the_bridge_says_why_it_cannot(tmp_path: Path) -> None:
    with running_service(tmp_path, access_token="secret") as service:
        refused = started(tmp_path, "--url", service.url)
    gone = started(tmp_path, "--url", service.url)
    for found in (refused, gone):
        assert (found.returncode, found.stdout) == (1, b"")
        assert f"no MCP at {service.url}/mcp" in found.stderr.decode()
    assert "send a key as `Authorization: Bearer" in refused.stderr.decode()
    assert "cannot be reached" in gone.stderr.decode()


def started(folder: Path, *arguments: str, said: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`execd mcp`, told this and nothing more."""
    argv = [sys.executable, "-m", "execd", "mcp", *arguments]
    return subprocess.run(argv, env=environment(folder, {}), input=said, capture_output=True, check=False)


def initialize() -> bytes:
    """The first line of a client."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "by-hand", "version": "1"}}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode() + b"\n"


@pytest.mark.parametrize("end", ["end of input", signal.SIGTERM, signal.SIGINT], ids=str)
def test_over_stdio_it_ends_and_leaves_nothing(end: signal.Signals | str, tmp_path: Path) -> None:
    arguments = program(tmp_path, (), {})
    process = subprocess.Popen(
        [arguments.command, *arguments.args], env=arguments.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    code = "import os, subprocess, sys\nprint(os.getpid())\nsubprocess.run(['echo', 'loud'])\nprint(sys.stdin.read())"
    call = {"name": "run_code", "arguments": {"code": code}}
    process.stdin.write(initialize())
    process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    process.stdin.write(
        json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}).encode() + b"\n"
    )
    process.stdin.flush()
    # Nothing but messages comes, whatever is printed.
    lines = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert [line["id"] for line in lines] == [1, 2]
    kernel = int(lines[1]["result"]["content"][0]["text"].split()[0])
    os.kill(kernel, 0)
    if isinstance(end, signal.Signals):
        process.send_signal(end)
    else:
        process.stdin.close()
    assert process.wait(60) == 0
    assert process.stdout.read() == b""
    process.stdin.close()
    process.stdout.close()
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)


def test_over_stdio_a_folder_that_a_service_uses_is_not_taken(tmp_path: Path) -> None:
    with running_service(tmp_path):
        found = started(tmp_path)
    assert (found.returncode, found.stdout) == (1, b"")
    assert "another execd already uses" in found.stderr.decode()
    assert "execd mcp --url http://127.0.0.1:44772" in found.stderr.decode()


def test_over_stdio_what_is_no_message_is_passed_over(tmp_path: Path) -> None:
    found = started(tmp_path, said=b"what?\n\n" + initialize())
    assert found.returncode == 0
    (line,) = found.stdout.splitlines()
    assert json.loads(line)["result"]["serverInfo"]["name"] == "execd"


def test_it_is_not_loaded_before_it_is_used(tmp_path: Path) -> None:
    program = (
        "import sys, atexit; from execd.cli import main;"
        "atexit.register(lambda: print('loaded:', 'mcp' in sys.modules, file=sys.stderr)); main()"
    )
    for used in (False, True):
        with running_service(tmp_path, program=("-c", program)) as service:
            httpx.get(f"{service.url}/ping")
            if used:
                httpx.get(f"{service.url}/mcp", headers={"Mcp-Session-Id": "none"})
            service.stop()
            assert f"loaded: {used}" in service.log_file.read_text()
