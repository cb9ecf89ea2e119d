"""`execd webhooks`: the webhooks of tenants, on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import anyio
import click
from sqlalchemy import Connection

from execd.errors import ExecdError
from execd.service.deliveries import signing_secrets
from execd.service.execution import DEFAULT_TENANT
from execd.service.webhook_sender import Outcome, Sender
from execd.service.webhook_url import UrlRules
from execd.service.webhooks import (
    WebhookRequest,
    add_webhook,
    check_events,
    new_secret_of,
    send_test,
    webhook_and_secrets,
    webhook_with,
)
from execd.settings import Settings
from execd.store import tenants, webhooks
from execd.store.webhooks import WebhookRow

T = TypeVar("T")

Options = dict[str, Any]

_DATABASE = ("data_dir", "database_url")
_SENDING = ("webhook_allow_private", "webhook_allow_http")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the commands need of the command line: the settings that options make, their database, and a setting as an
    option."""

    settings: Callable[[Options], Settings]
    database: Callable[[Callable[[Connection], Any], Options], Any]
    option: Callable[[str], click.Option]


def webhooks_group(desk: Desk) -> click.Group:
    """The group of all its commands."""
    commands = Commands(desk)
    group = click.Group("webhooks", help=Commands.__doc__)
    tenant = click.Option(["--tenant"], default=DEFAULT_TENANT, show_default=True, help="Name of the tenant.")
    webhook_id = click.Argument(["webhook_id"])
    event = click.Option(["--event"], multiple=True, help="A type that it is sent; may be repeated. Default: all.")
    description = click.Option(["--description"], default="", help="What it is for, for your own use.")
    for name, callback, parameters, settings in (
        ("add", commands.add, [click.Argument(["url"]), tenant, event, description], (*_SENDING, "max_webhooks")),
        ("list", commands.show, [], ()),
        ("remove", commands.remove, [webhook_id], ()),
        ("rotate", commands.rotate, [webhook_id], ()),
        ("test", commands.test, [webhook_id], (*_SENDING, "webhook_timeout")),
        ("secret", commands.secret, [tenant, click.Option(["--rotate"], is_flag=True, help="Make another.")], ()),
    ):
        options = [desk.option(setting) for setting in (*_DATABASE, *settings)]
        group.add_command(click.Command(name, callback=callback, params=[*parameters, *options], help=callback.__doc__))
    return group


class Commands:
    """Where tenants are told what becomes of their executions. A service that runs heeds what is done here at once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, *, url: str, tenant: str, event: tuple[str, ...], description: str, **options: Any) -> None:
        """Add a webhook, and print its id and its secret: this is the only time that the secret can be seen."""
        settings = self._desk.settings(options)
        try:
            check_events(event)
            UrlRules.of(settings).check(url, "url")
        except ExecdError as error:
            raise click.ClickException(str(error)) from None
        wanted = WebhookRequest(url, event, description)

        def work(connection: Connection) -> tuple[WebhookRow, str]:
            return add_webhook(_tenant_id(tenant, connection), wanted, settings.max_webhooks, connection)

        row, secret = self._desk.database(work, options)
        click.echo(f"{row.id}  {secret}")

    def show(self, **options: Any) -> None:
        """List the webhooks of all tenants."""

        def work(connection: Connection) -> tuple[list[WebhookRow], dict[str, str]]:
            names = {row.id: row.name for row in tenants.all_tenants(connection)}
            return webhooks.everybodys(connection), names

        found, names = self._desk.database(work, options)
        for row in found:
            state = "enabled" if row.disabled_at is None else f"disabled ({row.disabled_why})"
            events = ",".join(row.events) or "all"
            shown = (row.id, names.get(row.tenant, row.tenant), state, events, row.url, row.description)
            click.echo("  ".join(shown).rstrip())

    def remove(self, *, webhook_id: str, **options: Any) -> None:
        """Remove a webhook, with what is still to be sent to it."""

        def work(connection: Connection) -> None:
            webhooks.remove(connection, webhook_with(webhook_id, None, connection).id)

        self._desk.database(work, options)
        click.echo(f"{webhook_id} is removed")

    def rotate(self, *, webhook_id: str, **options: Any) -> None:
        """Give a webhook another secret, and print it. For a day what is sent is signed with the old one as well."""

        def work(connection: Connection) -> str:
            return new_secret_of(webhook_with(webhook_id, None, connection).id, connection)

        click.echo(self._desk.database(work, options))

    def test(self, *, webhook_id: str, **options: Any) -> None:
        """Send a webhook something now. The exit code is 0 where it was taken, else 1."""
        row, secrets = self._desk.database(partial(webhook_and_secrets, webhook_id, None), options)
        settings = self._desk.settings(options)

        async def send() -> Outcome:
            async with Sender.opened(UrlRules.of(settings), settings.webhook_timeout) as sender:
                return await send_test(sender, row, secrets)

        came = anyio.run(send)
        click.echo(f"it was taken: {came.status}" if came.delivered else came.error)
        raise SystemExit(0 if came.delivered else 1)

    def secret(self, *, tenant: str, rotate: bool, **options: Any) -> None:
        """Print what is signed with where an execution of a tenant has named the URL. For a day after another was made
        what is sent is signed with the old one as well."""

        def work(connection: Connection) -> str:
            owner = _tenant_id(tenant, connection)
            return new_secret_of(owner, connection) if rotate else signing_secrets(connection, owner)[0]

        click.echo(self._desk.database(work, options))


def _tenant_id(name: str, connection: Connection) -> str:
    found = tenants.tenant_named(connection, name)
    if found is None and name != DEFAULT_TENANT:
        raise click.ClickException(f"no tenant is named {name!r}; `execd tenants list` shows them")
    return DEFAULT_TENANT if found is None else found.id
