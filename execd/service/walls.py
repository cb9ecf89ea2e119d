"""Which walls this service gives its sandboxes: what was asked for, what the machine allows, what that amounts to."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from anyio import to_thread

from execd.errors import CannotServe
from execd.isolation.guarantees import enforcement, guarantees
from execd.isolation.plan import Mode
from execd.isolation.probe import Facts, Refused, choose
from execd.isolation.uplink import uplink_missing
from execd.service.capabilities import Capabilities
from execd.service.packages import KernelPython, describe_python
from execd.settings import Settings
from execd.warden.client import Warden

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Walls:
    """What every sandbox is made with. `own_users`: each is a user of the machine of its own."""

    mode: Mode
    own_users: bool
    python: KernelPython
    controllers: frozenset[str]
    capabilities: Capabilities

    @classmethod
    async def find(cls, settings: Settings, warden: Warden, user: int | None) -> Walls:
        """Try what the machine allows, for sandboxes of this user of it (None: our own). Raises CannotServe where
        what is wanted is not to be had: weaker walls than were asked for are none."""
        facts = await warden.probe(user)
        try:
            mode = choose(settings.isolation, facts)
        except Refused as refused:
            advice = "EXECD_ISOLATION=process serves without walls, for code that is trusted."
            raise CannotServe(f"{refused} {advice}") from None
        _check_network(mode, settings)
        python = await to_thread.run_sync(describe_python, settings.kernel_python)
        capabilities = capabilities_of(mode, facts, settings)
        log.info("walls", mode=mode.value, own_users=facts.own_users, cgroup=facts.cgroup)
        return cls(mode, facts.own_users and mode is not Mode.PROCESS, python, facts.controllers, capabilities)


def capabilities_of(mode: Mode, facts: Facts, settings: Settings) -> Capabilities:
    """What a mode amounts to on a machine."""
    promised = guarantees(
        mode,
        own_users=facts.own_users,
        landlock_abi=facts.landlock_abi,
        controllers=facts.controllers,
        fresh_proc=facts.fresh_proc,
    )
    enforced = enforcement(
        mode, version=facts.cgroup, controllers=facts.controllers, workspace_memory=settings.sandbox_workspace_memory
    )
    return Capabilities(
        mode=mode,
        freeze=mode is not Mode.PROCESS,
        volumes=mode is Mode.BWRAP,
        guarantees=promised.holds,
        not_covered=promised.not_covered,
        limits=enforced,
        networks=networks_of(mode, settings),
        network=settings.network,
    )


def networks_of(mode: Mode, settings: Settings) -> tuple[str, ...]:
    """What a sandbox may ask of the network."""
    if mode is Mode.PROCESS:
        return ("full",)
    if mode is Mode.LANDLOCK:
        return ("none",)
    permitted = {"none", settings.network, *settings.network_allowed}
    there = ("none", "proxy") if uplink_missing() else ("none", "proxy", "full")
    return tuple(network for network in there if network in permitted)


def check_uplinks(settings: Settings) -> None:
    """Raise CannotServe where every sandbox is to have network full and this machine has what that takes not."""
    missing = uplink_missing()
    if missing is None or settings.isolation == "process":
        return
    if settings.network == "full":
        raise CannotServe(f"EXECD_NETWORK=full: {missing}")
    if "full" in settings.network_allowed:
        log.warning("network_not_offered", network="full", why=missing)


def _check_network(mode: Mode, settings: Settings) -> None:
    if settings.network != "none" and mode is not Mode.BWRAP:
        needed = f"network {settings.network} takes the walls of bwrap, and those of this machine are {mode}"
        raise CannotServe(f"EXECD_NETWORK={settings.network}: {needed}")
