"""The HTTP server: uvicorn, told to let every run come to an honest end before it closes its connections."""

from __future__ import annotations

import ipaddress
import math
import os
import resource
import secrets
import signal
import socket
from collections.abc import Iterable
from types import FrameType
from typing import Any, cast

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from execd.app import create_app
from execd.errors import CannotServe
from execd.isolation.plan import Mode
from execd.kernel.kernelspec import Kernelspecs
from execd.service.ceilings import Ceiling, ceilings_here
from execd.service.folders import Folders
from execd.service.proxy import MOST_MESSAGE
from execd.settings import Settings
from execd.wire.guard import PEER

log = structlog.get_logger(__name__)

_BACKLOG = 2048
# Longer than clients' pools keep a connection (the SDK's 30 s, common proxies' 60 s): the side that sends the next
# request must be the one that closes, or it meets a connection that is just being closed.
_KEEP_ALIVE_SECONDS = 75
_WEBSOCKET_PING = 30.0


class Server(uvicorn.Server):
    """uvicorn's server. At shutdown it first ends the runs, so that open streams get their terminal event; or leaves
    them to the next service, and open streams say so."""

    def __init__(self, config: uvicorn.Config, app: Starlette, settings: Settings) -> None:
        super().__init__(config)
        self._app = app
        self._settings = settings
        self._keeping = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so: whoever reads it may send requests, and signals. Raises CannotServe, and SystemExit for
        what nobody foresaw."""
        try:
            await super().startup(sockets)
        except SystemExit:
            if hasattr(self._app.state, "refusal"):
                raise self._app.state.refusal from None
            raise
        if self.started and sockets:
            mode = self._app.state.sandboxes.capabilities.mode
            if mode is Mode.PROCESS:
                log.warning("no_walls", why="EXECD_ISOLATION=process: code may do whatever the service's user may do")
            warn(ceilings_here(self._settings))
            log.info("serving", url=url_of(sockets[0]), data_dir=str(self._settings.data_dir), isolation=mode.value)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stop serving: SIGTERM as EXECD_ON_SIGTERM says, anything else with the end of all that runs; a second Ctrl-C
        at once. uvicorn's raises the signal again at the end: a service that was asked to end, and has ended, would
        look as if it had been killed."""
        self._keeping = sig == signal.SIGTERM and self._settings.on_sigterm == "keep"
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the runs, or leave them, then the connections."""
        log.info("shutting_down", keeping=self._keeping)
        sandboxes = self._app.state.sandboxes
        sandboxes.keeping = self._keeping
        await (sandboxes.leave() if self._keeping else sandboxes.close())
        await super().shutdown(sockets)


def run(settings: Settings) -> None:
    """Serve until a signal says stop. Raises CannotServe where nothing could be started."""
    ordinary_files = prepare_process()
    with listen(settings) as listener:
        check(settings)
        settings = with_token(settings)
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        app = create_app(settings, ordinary_files)
        grace = math.ceil(settings.shutdown_grace)
        config = uvicorn.Config(
            with_peer(without_traceback(app)),
            http="httptools",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # `with_peer` does it.
            proxy_headers=False,
            timeout_graceful_shutdown=grace,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            # A peer that does not answer a ping is gone: noticed within a minute.
            ws_ping_interval=_WEBSOCKET_PING,
            ws_ping_timeout=_WEBSOCKET_PING,
            ws_max_size=MOST_MESSAGE,
        )
        Server(config, app, settings).run(sockets=[listener])


def without_traceback(app: Starlette) -> ASGIApp:
    """The same, which says nothing of its own when it cannot start for a reason that `app.state.refusal` tells."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_refusal(message: Message) -> None:
            refused = message["type"] == "lifespan.startup.failed" and hasattr(app.state, "refusal")
            await send({**message, "message": ""} if refused else message)

        await app(scope, receive, send_refusal if scope["type"] == "lifespan" else send)

    return wrapped


def with_peer(app: ASGIApp) -> ASGIApp:
    """The same behind a proxy on this machine, which says by headers whom it speaks for and by what scheme. Whose
    connection it is stays known, as PEER: what a header says of an address anybody could say."""
    told = ProxyHeadersMiddleware(cast("Any", app), os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1"))

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        scope[PEER] = scope.get("client")
        await told(cast("Any", scope), cast("Any", receive), cast("Any", send))

    return wrapped


def with_token(settings: Settings) -> Settings:
    """The settings, with an access token made and printed where one is needed and none is set."""
    if settings.access_token is not None or is_loopback(settings.host):
        return settings
    token = secrets.token_urlsafe(24)
    log.warning(
        "access_token_made",
        why=f"{settings.host} can be reached from other machines",
        token=token,
        how="send it as X-EXECD-ACCESS-TOKEN; set EXECD_ACCESS_TOKEN to choose it yourself",
    )
    return settings.model_copy(update={"access_token": token})


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach a server bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises CannotServe, saying why and what to do."""
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        # Connections inherit it. asyncio would set it only on sockets made with the protocol spelled out.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise CannotServe(
            f"cannot listen on {where}: {error.strerror or error}; try another --host or --port"
        ) from error


def url_of(listener: socket.socket) -> str:
    """The URL at which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def prepare_process() -> int:
    """Have this process be one that can serve. Returns the soft limit of open files that it had."""
    _pass_no_ignored_signals_on()
    return _raise_descriptor_limit()


def check(settings: Settings) -> None:
    """Raise CannotServe for what would keep a service from starting, FolderInUse where another one works."""
    _check_folders(settings)
    _check_kernels(settings)


def warn(found: Iterable[Ceiling]) -> None:
    """Say of each bound that would be met before those that the settings set: a line each, with what to do."""
    for ceiling in found:
        if ceiling.low:
            log.warning(
                "limit_low",
                of=ceiling.resource,
                allowed=ceiling.allows,
                may_need=ceiling.needs,
                enough_for=ceiling.enough_for,
                then=ceiling.without,
                how=f"raise {ceiling.bound} ({ceiling.remedy}), or lower EXECD_MAX_SANDBOXES or EXECD_MAX_CONTEXTS",
            )


def _check_folders(settings: Settings) -> None:
    try:
        with Folders.claim(settings):
            return
    except OSError as error:
        raise CannotServe(f"cannot use the data folder: {error}; EXECD_DATA_DIR names another") from error


def _check_kernels(settings: Settings) -> None:
    # Before a token is made and printed.
    Kernelspecs.of(settings)


def _raise_descriptor_limit() -> int:
    # A context takes thirteen descriptors: the usual soft limit of 1024 would be met at some 70 of them.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def _pass_no_ignored_signals_on() -> None:
    # What we ignore would be ignored by all that we start, and nohup or a script's & makes us ignore these. A handler,
    # unlike that, is inherited by nobody (execve(2)).
    for signum in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, lambda *_: None)
