"""How each API shows an execution to webhooks: as its own GET would."""

from __future__ import annotations

from functools import partial

from execd.service.agent_runs import DIALECT as PROMPTRAILS
from execd.service.caller import is_default
from execd.service.execution import DEFAULT_SANDBOX, Execution
from execd.service.outputs import outputs_of
from execd.service.rendering import Record, Rendering, Renderings
from execd.service.transcript import transcript
from execd.settings import Settings
from execd.wire.baponi.outcome import shown as baponi_shown
from execd.wire.baponi.running import DIALECT as BAPONI
from execd.wire.execd.executions import shown as execd_shown
from execd.wire.nullspace.code_asking import DIALECT as NULLSPACE
from execd.wire.nullspace.results import execution_body as nullspace_execution
from execd.wire.nullspace.run_bodies import run_body
from execd.wire.promptrails.rendering import execution_body as promptrails_execution


def renderings(settings: Settings) -> Renderings:
    """Those of all APIs."""
    nullspace = Rendering(partial(_nullspace, settings=settings), partial(_nullspace_ended, settings=settings))
    return Renderings(
        Rendering(_execd, _execd_ended),
        {
            BAPONI: Rendering(_baponi, _baponi_ended),
            NULLSPACE: nullspace,
            PROMPTRAILS: Rendering(_promptrails, _promptrails_ended),
        },
    )


def _execd(execution: Execution) -> Record:
    sandbox_id = execution.sandbox_id
    return {**execd_shown(execution), "sandbox_id": DEFAULT_SANDBOX if is_default(sandbox_id) else sandbox_id}


async def _execd_ended(execution: Execution) -> Record:
    return _execd(execution)


def _baponi(execution: Execution) -> Record:
    return baponi_shown(execution, None).model_dump()


async def _baponi_ended(execution: Execution) -> Record:
    return baponi_shown(execution, await transcript(execution)).model_dump()


def _nullspace(execution: Execution, settings: Settings) -> Record:
    return run_body(execution, settings)


async def _nullspace_ended(execution: Execution, settings: Settings) -> Record:
    body = run_body(execution, settings)
    if execution.started_at is None:
        return body
    # Links to artifacts are made for who asks, and end soon.
    return {**body, "execution": nullspace_execution(await outputs_of(execution), dict)}


def _promptrails(execution: Execution) -> Record:
    # Whoever is told has asked in no generation's words: those that the types of events are in.
    return promptrails_execution(execution, newer=False).model_dump()


async def _promptrails_ended(execution: Execution) -> Record:
    return _promptrails(execution)
