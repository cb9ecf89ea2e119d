"""Routes of the network namespace that the calling process is in, by rtnetlink(7): no program is needed for it."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from execd.isolation.ranges import Network

_NEWROUTE = 24
_REQUEST_CREATE_REPLACE_ACK = 0x1 | 0x400 | 0x100 | 0x4
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_MAIN_TABLE = 254
_STATIC = 4
_UNICAST, _UNREACHABLE = 1, 7
_UNIVERSE, _LINK = 0, 253
_DESTINATION, _DEVICE, _METRIC = 1, 4, 6


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a network: on the link of a device, by its index; or, without one, there is none (EHOSTUNREACH)."""

    network: Network
    device: int | None = None


def add_routes(routes: Iterable[Route]) -> None:
    """Add them, in this order, or replace those that are there. Raises OSError, and then the later ones are missing."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as netlink:
        netlink.bind((0, 0))
        for number, route in enumerate(routes, 1):
            netlink.send(route_message(route, number))
            _check(netlink.recv(65536))


def route_message(route: Route, number: int) -> bytes:
    """The request for one route."""
    network, device = route.network, route.device
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    scope, kind = (_UNIVERSE, _UNREACHABLE) if device is None else (_LINK, _UNICAST)
    body = _ROUTE.pack(family, network.prefixlen, 0, 0, _MAIN_TABLE, _STATIC, scope, kind, 0)
    body += _attribute(_DESTINATION, network.network_address.packed)
    if network.version == 6:
        body += _attribute(_METRIC, struct.pack("=I", 1))  # before what the kernel adds by itself
    if device is not None:
        body += _attribute(_DEVICE, struct.pack("=I", device))
    return _HEADER.pack(_HEADER.size + len(body), _NEWROUTE, _REQUEST_CREATE_REPLACE_ACK, number, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + b"\0" * (-size % 4)


def _check(answer: bytes) -> None:
    (error,) = struct.unpack_from("=i", answer, _HEADER.size)
    if error:
        raise OSError(-error, os.strerror(-error))
