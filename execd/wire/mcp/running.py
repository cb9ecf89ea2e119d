"""run_code, run_command, get_execution, interrupt: executions, started, waited for, looked at again, stopped."""

from __future__ import annotations

from execd.errors import ExecutionNotFound, InvalidRequest
from execd.events import Complete, Reason, Status
from execd.identifiers import new_id
from execd.kernel.request import ExecuteRequest
from execd.kernel.variables import check
from execd.service.caller import may_see, tenant
from execd.service.commands import LANGUAGE, CommandRequest
from execd.service.context import Context
from execd.service.execution import Asked, Execution, Origin
from execd.service.sandbox import Sandbox
from execd.store.executions import Wanted
from execd.wire.mcp.arguments import GetExecution, Interrupt, RunCode, RunCommand
from execd.wire.mcp.call import Call, sandbox_id, shown_sandbox
from execd.wire.mcp.choosing import DEFAULT_LANGUAGE, Chosen, called, choose
from execd.wire.mcp.following import wait_for
from execd.wire.mcp.rendering import Rendered, listed, render
from execd.wire.mcp.reply import Link, Reply
from execd.wire.mcp.structured import ErrorShown, InterruptShown, RunShown
from execd.wire.mcp.telling import lines_of, told_of
from execd.wire.mcp.uris import output_uri
from execd.wire.statuses import WORDS

DIALECT = "mcp"


async def run_code(call: Call, asked: RunCode) -> Reply:
    """Run code in a context."""
    sandbox = await call.sandbox(asked.sandbox)
    chosen = choose(sandbox.contexts, asked.context, asked.language)
    execution = await sandbox.submit(chosen.context, ExecuteRequest(asked.code, asked.timeout), Asked(DIALECT))
    await wait_for(call, sandbox, execution, call.wait(asked.wait))
    return await reply_of(call, execution, chosen)


async def run_command(call: Call, asked: RunCommand) -> Reply:
    """Run a shell command, as a process of its own."""
    if "\0" in asked.command:
        raise InvalidRequest("expected no NUL bytes in a shell command", "command")
    check(asked.env)
    sandbox = await call.sandbox(asked.sandbox)
    wanted = CommandRequest(asked.command, cwd=asked.cwd, env=asked.env, timeout=asked.timeout)
    execution = await sandbox.commands.start(wanted, Origin(new_id("cmd"), None, LANGUAGE, dialect=DIALECT))
    await wait_for(call, sandbox, execution, call.wait(asked.wait))
    return await reply_of(call, execution)


async def get_execution(call: Call, asked: GetExecution) -> Reply:
    """How an execution stands, or some of what it has printed."""
    execution = await _known(call, asked.execution_id)
    # Who looks at it has not started it: nothing is to happen to it when they look away.
    await _wait_without_a_hand_in_it(call, execution, 0 if asked.wait is None else asked.wait)
    if asked.from_line is None:
        return await reply_of(call, execution)
    page = await lines_of(execution, asked.from_line, call.settings.mcp_output_size)
    told = Rendered(body=page.text)
    if page.following is not None:
        told.notes.append(f"there is more: get_execution(execution_id={execution.id!r}, from_line={page.following})")
    return Reply(shown(execution, told).model_copy(update={"next_line": page.following}))


async def interrupt(call: Call, asked: Interrupt) -> Reply:
    """Stop what runs."""
    sandbox, target = await _place_of(call, asked)
    if target is None:
        return _interrupted(None, f"nothing runs: there is no shared {DEFAULT_LANGUAGE} context")
    with sandbox.visited():
        execution = await sandbox.interrupt(target)
    if execution is None:
        return _interrupted(None, "nothing was running there")
    kept = "its context still has its variables" if _kept(execution.complete) else "its context has lost its variables"
    said = f"{execution.id} has ended: {WORDS[execution.status].execd}"
    return _interrupted(execution, said if execution.context_id is None else f"{said}; {kept}")


async def reply_of(call: Call, execution: Execution, chosen: Chosen | None = None) -> Reply:
    """All that there is to say of how it stands."""
    outputs = await told_of(execution, call.settings.mcp_output_size)
    if execution.complete is not None and execution.complete.exit_code:
        # That the exit code is not 0 is all that it says.
        outputs.error = None
    told = render(outputs, call.bounds, call.dress)
    context = chosen.context if chosen is not None else _context_of(call, execution)
    if chosen is not None and chosen.made:
        name = called(chosen.context)
        told.notes.append(f"made the context {name}, {chosen.context.language}: nothing had been defined in it before")
    told.notes += notes_on(execution, outputs.restarted, told)
    answer = shown(execution, told, context, outputs.restarted)
    answer = answer.model_copy(update={"context_created": chosen is not None and chosen.made})
    failed = execution.complete is not None and execution.complete.status is not Status.SUCCEEDED
    return Reply(answer, tuple(told.images), tuple(map(Link.to, told.artifacts)), failed)


def notes_on(execution: Execution, restarted: str | None, told: Rendered) -> list[str]:
    """What a model has to know besides the output. Pure."""
    notes = [] if restarted is None else [restarted]
    complete = execution.complete
    again = f"get_execution(execution_id={execution.id!r}"
    if told.left_out_bytes:
        whole = output_uri(execution.id)
        notes.append(
            f"{told.left_out_bytes} bytes are left out above; {again}, from_line=…) shows any part, {whole} all"
        )
    if told.artifacts:
        notes.append(f"artifacts: {listed(told.artifacts)}")
    if complete is not None:
        return notes + _notes_on_end(execution, complete)
    if execution.journal.left:
        return [*notes, f"the service is being restarted, this goes on; {again}, wait=30) in a few seconds tells more"]
    seconds = execution.elapsed_ms() / 1000
    stands = f"{WORDS[execution.status].execd}, for {seconds:.0f} s so far"
    stop = f"interrupt(target={execution.id!r})"
    return [*notes, f"{stands}, and goes on; {again}, wait=30) waits for its end, {stop} stops it"]


def _notes_on_end(execution: Execution, complete: Complete) -> list[str]:
    notes: list[str] = []
    if complete.exit_code:
        notes.append(f"exit code {complete.exit_code}")
    if complete.status is not Status.SUCCEEDED and complete.reason is not Reason.ERROR:
        reason = f" ({complete.reason.value})" if complete.reason else ""
        notes.append(f"it ended {WORDS[complete.status].execd}{reason}")
    if execution.context_id is None:
        return notes
    if complete.reason in (Reason.OOM, Reason.KERNEL_DIED, Reason.SANDBOX_LOST):
        notes.append("the variables of its context are lost; the next run there begins in a new kernel")
    elif complete.interruption is not None:
        notes.append(f"the variables of its context are {'kept' if complete.interruption.state_kept else 'lost'}")
    return notes


def shown(
    execution: Execution, told: Rendered, context: Context | None = None, restarted: str | None = None
) -> RunShown:
    """The structured content. Pure."""
    complete, error = execution.complete, execution.error
    return RunShown(
        text=told.text,
        execution_id=execution.id,
        sandbox=shown_sandbox(execution.sandbox_id),
        status=WORDS[execution.status].execd,
        reason=complete.reason.value if complete and complete.reason else None,
        finished=complete is not None,
        language=execution.language,
        context=execution.context_id,
        context_name=None if context is None else context.name,
        state_lost=restarted,
        execution_count=execution.execution_count,
        exit_code=complete.exit_code if complete else None,
        duration_ms=execution.elapsed_ms(),
        error=None if error is None else ErrorShown(name=error.ename, value=error.evalue),
        tables=told.tables,
        images=told.images_shown,
        artifacts=told.artifacts,
        left_out_bytes=told.left_out_bytes,
        output_uri=output_uri(execution.id),
    )


async def known(call: Call, execution_id: str) -> Execution:
    """The execution with this id, of whoever asks. Raises ExecutionNotFound, StorageFull."""
    found = await call.sandboxes.executions.get(execution_id)
    if not may_see(found.origin.tenant):
        raise ExecutionNotFound(execution_id)
    return found


async def _known(call: Call, execution_id: str | None) -> Execution:
    if execution_id is not None:
        return await known(call, execution_id)
    page = await call.sandboxes.executions.page(Wanted(tenant=tenant(), sandbox_id=sandbox_id(None)), 1)
    if not page.items:
        raise InvalidRequest("there is no execution yet", "execution_id")
    return page.items[0]


async def _wait_without_a_hand_in_it(call: Call, execution: Execution, seconds: float) -> None:
    call.underway.off = False
    if seconds and not execution.ended.is_set():
        await wait_for(call, None, execution, seconds)


async def _place_of(call: Call, asked: Interrupt) -> tuple[Sandbox, str | None]:
    if asked.target is None:
        sandbox = await call.sandbox(asked.sandbox)
        contexts = sandbox.contexts
        default = contexts.has_default(DEFAULT_LANGUAGE)
        return sandbox, contexts.default(DEFAULT_LANGUAGE).id if default else None
    try:
        execution = await known(call, asked.target)
        return await call.sandbox(execution.sandbox_id), execution.id
    except ExecutionNotFound:
        sandbox = await call.sandbox(asked.sandbox)
        return sandbox, sandbox.contexts.named(asked.target).id


def _context_of(call: Call, execution: Execution) -> Context | None:
    # Who looks at what has become of a run does not use its sandbox, which may be no more.
    for sandbox in call.sandboxes.living():
        if sandbox.id == execution.sandbox_id and sandbox.contexts.has(execution.context_id or ""):
            return sandbox.contexts.get(execution.context_id or "")
    return None


def _interrupted(execution: Execution | None, said: str) -> Reply:
    complete = None if execution is None else execution.complete
    interruption = None if complete is None else complete.interruption
    return Reply(
        InterruptShown(
            text=said,
            execution_id=None if execution is None else execution.id,
            rung=interruption.rung if interruption else "none",
            state_kept=_kept(complete),
        )
    )


def _kept(complete: Complete | None) -> bool:
    return complete is None or complete.interruption is None or complete.interruption.state_kept
