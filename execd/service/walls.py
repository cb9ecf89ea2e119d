"""Which walls this service gives its sandboxes: what was asked for, what the machine allows, what that amounts to."""

from __future__ import annotations

from dataclasses import dataclass

from execd.errors import CannotServe
from execd.isolation.guarantees import enforcement, guarantees
from execd.isolation.plan import Mode
from execd.isolation.probe import Facts, Refused, choose
from execd.isolation.uplink import uplink_missing
from execd.service.capabilities import Capabilities
from execd.service.packages import OWN_PACKAGES, KernelPython
from execd.settings import Settings
from execd.warden.client import Warden

ADVICE = "EXECD_ISOLATION=process serves without walls, for code that is trusted."


@dataclass(frozen=True, slots=True)
class Walls:
    """What every sandbox is made with. `own_users`: each is a user of the machine of its own."""

    mode: Mode
    own_users: bool
    python: KernelPython
    controllers: frozenset[str]
    capabilities: Capabilities

    @classmethod
    async def find(cls, settings: Settings, python: KernelPython, warden: Warden, user: int | None) -> Walls:
        """Try what the machine allows, for sandboxes of this user of it (None: our own). Raises CannotServe where
        what is wanted is not to be had: weaker walls than were asked for are none."""
        facts = await warden.probe(user)
        try:
            mode = choose(settings.isolation, facts)
        except Refused as refused:
            raise CannotServe(f"{refused} {ADVICE}") from None
        capabilities = capabilities_of(mode, facts, settings)
        return cls(mode, capabilities.own_users, python, facts.controllers, capabilities)


def network_missing(network: str, mode: Mode) -> str | None:
    """Why sandboxes cannot have this network in this mode; None when they can."""
    if network == "none" or (mode is Mode.PROCESS and network == "full"):
        return None
    if mode is Mode.PROCESS:
        return "without walls sandboxes have the machine's network as it is"
    if mode is Mode.LANDLOCK:
        return f"in the mode {mode} sandboxes have no network"
    return uplink_missing() if network == "full" else None


def capabilities_of(mode: Mode, facts: Facts, settings: Settings) -> Capabilities:
    """What a mode amounts to on a machine."""
    promised = guarantees(
        mode,
        own_users=facts.own_users,
        landlock_abi=facts.landlock_abi,
        controllers=facts.controllers,
        fresh_proc=facts.fresh_proc,
    )
    own_users = facts.own_users and mode is not Mode.PROCESS
    enforced = enforcement(
        mode,
        version=facts.cgroup,
        controllers=facts.controllers,
        own_users=own_users,
        workspace_memory=settings.sandbox_workspace_memory,
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
        own_users=own_users,
        packages=OWN_PACKAGES,
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
