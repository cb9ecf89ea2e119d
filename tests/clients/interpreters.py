"""The SDK's code interpreter in its two variants, with one face, so that every test holds for both.

The sync one is called in a worker thread; neither is changed or reached into.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Protocol

from anyio import to_thread
from code_interpreter import CodeContext, CodeInterpreter, CodeInterpreterSync
from code_interpreter.models.code_sync import CodeContextSync
from opensandbox import Sandbox, SandboxSync
from opensandbox.config import ConnectionConfig
from opensandbox.config.connection_sync import ConnectionConfigSync
from opensandbox.models.execd import Execution

from tests.clients.heard import Heard

IMAGE = "opensandbox/code-interpreter:latest"

Context = CodeContext | CodeContextSync


class Interpreter(Protocol):
    """What both variants can do."""

    async def is_healthy(self) -> bool:
        """`CodeInterpreter.is_healthy`."""

    async def run(
        self, code: str, *, language: str | None = None, context: Context | None = None, heard: Heard | None = None
    ) -> Execution:
        """`codes.run`, its handlers being those of `heard`."""

    async def interrupt(self, execution_id: str) -> None:
        """`codes.interrupt`."""

    async def create_context(self, language: str) -> Context:
        """`codes.create_context`."""

    async def get_context(self, context_id: str) -> Context:
        """`codes.get_context`."""

    async def list_contexts(self, language: str) -> list[Context]:
        """`codes.list_contexts`."""

    async def delete_context(self, context_id: str) -> None:
        """`codes.delete_context`."""

    async def delete_contexts(self, language: str) -> None:
        """`codes.delete_contexts`."""


class AsyncInterpreter:
    """The async variant."""

    def __init__(self, interpreter: CodeInterpreter) -> None:
        self._codes = interpreter.codes
        # The SDK's types ask for a language or a context; its implementation and its documentation do not.
        self._run: Callable[..., Awaitable[Execution]] = self._codes.run
        self.is_healthy = interpreter.is_healthy
        self.interrupt = self._codes.interrupt
        self.create_context = self._codes.create_context
        self.get_context = self._codes.get_context
        self.delete_context = self._codes.delete_context
        self.delete_contexts = self._codes.delete_contexts

    async def run(
        self, code: str, *, language: str | None = None, context: Context | None = None, heard: Heard | None = None
    ) -> Execution:
        handlers = heard.handlers() if heard else None
        return await self._run(code, language=language, context=context, handlers=handlers)

    async def list_contexts(self, language: str) -> list[Context]:
        return [*await self._codes.list_contexts(language)]


class SyncInterpreter:
    """The sync variant."""

    def __init__(self, interpreter: CodeInterpreterSync) -> None:
        self._interpreter = interpreter
        self._codes = interpreter.codes
        self._run: Callable[..., Execution] = self._codes.run

    async def is_healthy(self) -> bool:
        return await to_thread.run_sync(self._interpreter.is_healthy)

    async def run(
        self, code: str, *, language: str | None = None, context: Context | None = None, heard: Heard | None = None
    ) -> Execution:
        handlers = heard.handlers_sync() if heard else None
        call = partial(self._run, code, language=language, context=context, handlers=handlers)
        return await to_thread.run_sync(call)

    async def interrupt(self, execution_id: str) -> None:
        await to_thread.run_sync(self._codes.interrupt, execution_id)

    async def create_context(self, language: str) -> Context:
        return await to_thread.run_sync(self._codes.create_context, language)

    async def get_context(self, context_id: str) -> Context:
        return await to_thread.run_sync(self._codes.get_context, context_id)

    async def list_contexts(self, language: str) -> list[Context]:
        return [*await to_thread.run_sync(self._codes.list_contexts, language)]

    async def delete_context(self, context_id: str) -> None:
        await to_thread.run_sync(self._codes.delete_context, context_id)

    async def delete_contexts(self, language: str) -> None:
        await to_thread.run_sync(self._codes.delete_contexts, language)


@asynccontextmanager
async def open_async(domain: str, api_key: str | None = None, **options: Any) -> AsyncIterator[Interpreter]:
    """An async interpreter in a sandbox of its own. `options` go to `CodeInterpreter.create`, which checks both."""
    async with AsyncExitStack() as stack:
        config = ConnectionConfig(domain=domain, api_key=api_key)
        sandbox = await Sandbox.create(IMAGE, connection_config=config)
        stack.push_async_callback(sandbox.destroy)
        interpreter = await stack.enter_async_context(await CodeInterpreter.create(sandbox, **options))
        yield AsyncInterpreter(interpreter)


@asynccontextmanager
async def open_sync(domain: str, api_key: str | None = None, **options: Any) -> AsyncIterator[Interpreter]:
    """The same, sync."""
    async with AsyncExitStack() as stack:
        config = ConnectionConfigSync(domain=domain, api_key=api_key)
        sandbox = await to_thread.run_sync(partial(SandboxSync.create, IMAGE, connection_config=config))
        stack.push_async_callback(to_thread.run_sync, sandbox.destroy)
        interpreter = await to_thread.run_sync(partial(CodeInterpreterSync.create, sandbox, **options))
        stack.push_async_callback(to_thread.run_sync, interpreter.close)
        yield SyncInterpreter(interpreter)


OPENERS: dict[str, Callable[..., AbstractAsyncContextManager[Interpreter]]] = {
    "async": open_async,
    "sync": open_sync,
}
