"""create_context, list_contexts, delete_context, restart_context."""

from __future__ import annotations

from collections.abc import Sequence

from execd.service.context import Context
from execd.service.sandbox import Sandbox
from execd.wire.mcp.arguments import CreateContext, ListContexts, OneContext
from execd.wire.mcp.call import Call
from execd.wire.mcp.choosing import called
from execd.wire.mcp.reply import Reply
from execd.wire.mcp.structured import ContextShown, ContextsShown


async def create_context(call: Call, asked: CreateContext) -> Reply:
    """Make a context, and have its kernel ready."""
    sandbox = await call.sandbox(asked.sandbox)
    with sandbox.visited():
        context = await sandbox.contexts.create(asked.language, asked.cwd, asked.name)
    return _reply(sandbox, [context], f"made {line_of(context)}")


async def list_contexts(call: Call, asked: ListContexts) -> Reply:
    """The contexts that there are."""
    sandbox = await call.sandbox(asked.sandbox)
    found = sandbox.contexts.list(asked.language)
    text = "\n".join(map(line_of, found)) or "there is no context yet; run_code makes one"
    return _reply(sandbox, found, text)


async def delete_context(call: Call, asked: OneContext) -> Reply:
    """End a context and what runs in it."""
    sandbox = await call.sandbox(asked.sandbox)
    context = sandbox.contexts.named(asked.context)
    with sandbox.visited():
        await sandbox.contexts.delete(context.id)
    return _reply(sandbox, [], f"deleted {called(context)}, with its variables and what ran in it")


async def restart_context(call: Call, asked: OneContext) -> Reply:
    """Give a context a new kernel."""
    sandbox = await call.sandbox(asked.sandbox)
    context = sandbox.contexts.named(asked.context)
    with sandbox.visited():
        await context.restart()
    return _reply(sandbox, [context], f"restarted {called(context)}: its variables are lost, files are as they were")


def line_of(context: Context) -> str:
    """A context in a line."""
    waiting = f", {context.waiting} waiting" if context.waiting else ""
    lost = f", its variables are lost: {context.state_lost}" if context.state_lost else ""
    return f"{called(context)}: {context.language}, {context.state}{waiting}{lost}"


def _reply(sandbox: Sandbox, contexts: Sequence[Context], text: str) -> Reply:
    return Reply(ContextsShown(text=text, contexts=[_shown(sandbox, context) for context in contexts]))


def _shown(sandbox: Sandbox, context: Context) -> ContextShown:
    default = sandbox.contexts.has_default(context.language)
    return ContextShown(
        id=context.id,
        name=context.name,
        language=context.language,
        state=context.state,
        cwd=str(context.cwd),
        waiting=context.waiting,
        generation=context.generation,
        state_lost=context.state_lost,
        is_default=default and sandbox.contexts.default(context.language) is context,
    )
