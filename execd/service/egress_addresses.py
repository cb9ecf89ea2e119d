"""The addresses that names have, and those that this machine has."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import anyio.to_thread
import psutil

from execd.service.egress_policy import Address

Resolve = Callable[[str], Awaitable[list[Address]]]
"""Looks a name up. Raises OSError."""


def own_addresses() -> set[Address]:
    """The addresses that this machine has at the moment."""
    families = (socket.AF_INET, socket.AF_INET6)
    found = (entry for entries in psutil.net_if_addrs().values() for entry in entries if entry.family in families)
    return {ip_address(entry.address.partition("%")[0]) for entry in found}


class Resolver:
    """Looks names up in a few threads of its own, so that slow answers to sandboxes hold up nobody else."""

    def __init__(self, threads: int = 8) -> None:
        self._limiter = anyio.CapacityLimiter(threads)

    async def __call__(self, name: str) -> list[Address]:
        """The addresses of a name, each once, the preferred first. Raises OSError."""

        def look() -> list[Address]:
            entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries))

        return await anyio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=self._limiter)
