"""The sender: one POST to where a webhook is, and what came of it.

A connection is made to public addresses only, and to others that the service allows: what is checked is the very
address that is connected to, whatever a name says a moment later. Nothing is kept between two requests. Redirects are
not followed, proxies of the environment not used, and of an answer only the status counts.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address

import aiohttp
import anyio
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from execd import __version__
from execd.errors import InvalidRequest
from execd.service.egress_addresses import Resolve, Resolver, own_addresses
from execd.service.egress_policy import Address, Destination, EgressRefused
from execd.service.webhook_url import UrlRules

GONE = 410

_LISTENED_BYTES = 4096
_LISTENED_SECONDS = 1.0
_MOST_SECONDS = 10**6
_LONGEST_REASON = 500

SocketAddress = tuple[int, int, int, str, tuple[object, ...]]


class AddressRefused(OSError):
    """No webhook may be sent to this address."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request: the status that was answered, None without an answer; why that is no success; the seconds
    that the receiver wants to be left alone, and whether it is for good."""

    status: int | None = None
    error: str | None = None
    retry_after: float = 0
    final: bool = False

    @property
    def delivered(self) -> bool:
        """Whether the message was taken."""
        return self.error is None


class Sender:
    """Sends to where the rules let it, within so many seconds. Made by `opened`."""

    def __init__(
        self,
        rules: UrlRules,
        timeout: float,
        resolve: Resolve,
        own: Callable[[], Iterable[Address]] = own_addresses,
    ) -> None:
        self._rules = rules
        self._timeout = timeout
        self._own = own
        connector = aiohttp.TCPConnector(
            limit=0, force_close=True, use_dns_cache=False, resolver=_Names(resolve), socket_factory=self._socket
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": f"execd/{__version__}", "Content-Type": "application/json", "Accept": "*/*"},
        )

    @classmethod
    @asynccontextmanager
    async def opened(cls, rules: UrlRules, timeout: float, lookups: int = 1) -> AsyncIterator[Sender]:
        """A sender while the block runs, which looks up so many names at once."""
        sender = cls(rules, timeout, Resolver(lookups))
        try:
            yield sender
        finally:
            await sender._session.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Send this, and say what came of it; nothing is raised but cancellation."""
        with anyio.move_on_after(self._timeout):
            try:
                # It may have been allowed once.
                self._rules.check(url, "url")
                return await self._post(url, headers, body)
            except InvalidRequest as refused:
                return Outcome(error=str(refused))
            except (aiohttp.ClientError, OSError, ValueError) as error:
                return Outcome(error=_why(error))
        return Outcome(error=f"it did not answer within {self._timeout:g} seconds")

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        response = await self._session.post(
            URL(url, encoded=True), headers=dict(headers), data=body, allow_redirects=False
        )
        try:
            with suppress(aiohttp.ClientError, OSError, ValueError), anyio.move_on_after(_LISTENED_SECONDS):
                # Some receivers take it amiss if nobody listens.
                await response.content.read(_LISTENED_BYTES)
            return outcome_of(response.status, response.headers.get("retry-after", ""))
        finally:
            response.close()

    def _socket(self, wanted: SocketAddress) -> socket.socket:
        family, kind, protocol, _, address = wanted
        self._check(Destination(ip_address(str(address[0]).partition("%")[0]), int(str(address[1]))))
        return socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)

    def _check(self, wanted: Destination) -> None:
        assert not isinstance(wanted.host, str)
        try:
            self._rules.policy.check_address(wanted, wanted.host, self._own())
        except EgressRefused as refused:
            raise AddressRefused(str(refused)) from refused


class _Names(AbstractResolver):
    """Looks names up for aiohttp."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name, of either kind. Raises OSError."""
        del family
        found = await self._resolve(host)
        if not found:
            raise OSError("it has no address")
        return [_result(host, port, address) for address in found]

    async def close(self) -> None:
        """Nothing is left open."""


def outcome_of(status: int, retry_after: str = "") -> Outcome:
    """What an answer's status means, and the Retry-After that came with it."""
    if 200 <= status < 300:
        return Outcome(status)
    wanted = min(int(retry_after), _MOST_SECONDS) if retry_after.isascii() and retry_after.isdigit() else 0
    what = "it answered with a redirect, which is not followed" if 300 <= status < 400 else "it answered"
    return Outcome(status, f"{what}: {status}", wanted, final=status == GONE)


def _result(host: str, port: int, address: Address) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return ResolveResult(
        hostname=host, host=str(address), port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )


def _why(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            cause = error.certificate_error
            said = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else str(cause)
            return f"its certificate does not do: {said}"
        case aiohttp.ClientConnectorError():
            return _no_connection(error, error.os_error)
        case aiohttp.ServerDisconnectedError():
            return "it hung up without an answer"
    return f"it gave no answer that could be read: {str(error) or type(error).__name__}"[:_LONGEST_REASON]


def _no_connection(error: aiohttp.ClientConnectorError, cause: OSError) -> str:
    said = (cause.strerror or str(cause))[:_LONGEST_REASON]
    if isinstance(cause, AddressRefused):
        return said
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"its name leads nowhere: {said}"
    return f"there is no TLS with it: {said}" if isinstance(cause, ssl.SSLError) else f"it cannot be reached: {said}"
