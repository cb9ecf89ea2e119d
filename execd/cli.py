"""The command line. Every option of `execd serve` is a field of Settings, so there is one list of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError
from sqlalchemy import URL, Connection

import execd
from execd.doctor import report
from execd.errors import CannotServe, ExecdError
from execd.logs import configure_logs
from execd.server import check, prepare_process, run
from execd.service.caller import EVERYTHING, Limits, Scope
from execd.service.journal import now_ms
from execd.service.keyring import KeyRequest, given_limits, limits_of, new_key, tenant_to_be
from execd.settings import Settings
from execd.store import tenants as rows
from execd.store import upkeep
from execd.store.engine import database_url
from execd.webhooks_cli import Desk, webhooks_group
from execd.wire.mcp.gateway import load

T = TypeVar("T")

_EXAMPLES: dict[Any, str] = {
    list: """list, such as '["a", "b"]'""",
    dict: """object, such as '{"python:*": "default"}'""",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(execd.__version__, prog_name="execd")
def main() -> None:
    """execd runs code for agents: stateful Jupyter kernels in sandboxes, behind one HTTP service."""


def _serve(**options: Any) -> None:
    """Serve until Ctrl-C or SIGTERM. Each option can also be set by the environment variable shown with it."""
    settings = _settings(options)
    configure_logs(settings)
    try:
        run(settings)
    except ExecdError as error:
        raise click.ClickException(str(error)) from None


def _doctor(*, as_json: bool, **options: Any) -> None:
    """Tell what walls this machine has for sandboxes, what they cover, and how to get stronger ones. The exit code is 0
    where `execd serve` would serve with walls, else 1. Takes the options and variables of `execd serve`."""
    text, works = report(_settings(options), as_json=as_json)
    click.echo(text)
    raise SystemExit(0 if works else 1)


@main.group("db")
def _db() -> None:
    """Look after the database of a service, which may run meanwhile. Takes the options and variables of `execd
    serve` that say where it is."""


def _db_upgrade(**options: Any) -> None:
    """Bring the database to the newest schema. `execd serve` does it by itself when it starts."""
    before, after = _at_database(upkeep.upgrade, options)
    click.echo(f"schema {after}" if before == after else f"schema {before or 'none'} is now {after}")


def _db_check(**options: Any) -> None:
    """Look the database over. The exit code is 0 where all is well, else 1."""
    found = _at_database(upkeep.check, options)
    click.echo("\n".join(found.problems) or f"schema {found.revision}, {found.size} bytes, nothing is wrong with it")
    raise SystemExit(1 if found.problems else 0)


def _db_vacuum(**options: Any) -> None:
    """Give the space back that removed records have left."""
    before, after = _at_database(upkeep.vacuum, options)
    click.echo(f"{before} bytes are now {after}")


def _at_database(work: Callable[[URL], T], options: dict[str, Any]) -> T:
    settings = _settings(options)
    url = database_url(settings.database_url, settings.data_dir.absolute())
    try:
        if url.database is not None and settings.database_url is None and not Path(url.database).exists():
            raise CannotServe(f"there is no database: {url.database}; EXECD_DATA_DIR says where it is")
        return work(url)
    except ExecdError as error:
        raise click.ClickException(str(error)) from None


def _settings(options: dict[str, Any]) -> Settings:
    given = {name: _value(name, value) for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise click.UsageError(_complaint(error)) from None
    except SettingsError as error:
        raise click.UsageError(f'{error}: expected a JSON list, such as \'["a", "b"]\'') from None


def _value(name: str, value: str) -> Any:
    # Lists and objects are JSON, as they are in the environment.
    if (example := _EXAMPLES.get(get_origin(Settings.model_fields[name].annotation))) is None:
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise click.UsageError(f"--{name.replace('_', '-')}: expected a JSON {example}") from None


def _complaint(error: ValidationError) -> str:
    lines = [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors(include_url=False)]
    return "; ".join(lines)


def _option(name: str, field: FieldInfo) -> click.Option:
    text = f"{field.description}{_default(field)}  [env: EXECD_{name.upper()}]"
    return click.Option([f"--{name.replace('_', '-')}"], help=text, metavar="VALUE")


def _default(field: FieldInfo) -> str:
    if field.default_factory or field.default is None:
        return ""
    # As it would have to be given.
    return f" Default: {json.dumps(field.default) if isinstance(field.default, list) else field.default}."


def _mcp(*, url: str | None, key: str | None, **options: Any) -> None:
    """Serve the Model Context Protocol over the standard input and output, until the input ends: with sandboxes of its
    own, or with --url those of a service that runs. Takes the options and variables of `execd serve`."""
    settings = _settings(options)
    configure_logs(settings)
    try:
        load()
        from execd.wire.mcp import stdio

        if url is not None:
            stdio.serve_bridged(url, key)
            return
        stdio.serve_embedded(settings, check, prepare_process())
    except ExecdError as error:
        raise click.ClickException(str(error)) from None


main.add_command(
    click.Command(
        "mcp",
        callback=_mcp,
        params=[
            click.Option(
                ["--url"],
                envvar="EXECD_MCP_URL",
                metavar="URL",
                help="The service to talk to, such as http://127.0.0.1:44772.  [env: EXECD_MCP_URL]",
            ),
            click.Option(
                ["--key"],
                envvar="EXECD_API_KEY",
                metavar="KEY",
                help="The key for it; better in the variable, where nobody else sees it.  [env: EXECD_API_KEY]",
            ),
            *(_option(name, field) for name, field in Settings.model_fields.items()),
        ],
        help=_mcp.__doc__,
    )
)
main.add_command(
    click.Command(
        "serve",
        callback=_serve,
        params=[_option(name, field) for name, field in Settings.model_fields.items()],
        help=_serve.__doc__,
    )
)


@main.group("keys")
def _keys() -> None:
    """The keys of tenants. A service that runs heeds what is done here within two seconds."""


def _limit(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> Limits:
    pairs = dict(entry.partition("=")[::2] for entry in given)
    try:
        return limits_of({name: int(value) if value.isdigit() else value for name, value in pairs.items()})
    except ExecdError as error:
        raise click.BadParameter(str(error)) from None


def _keys_create(*, scope: tuple[str, ...], expires: float | None, **options: Any) -> None:
    """Make a key, and print it: this is the only time that it can be seen. The tenant is made where there is none of
    this name; the one named `default` is the operator's own."""
    now = now_ms()
    wanted = KeyRequest(
        tenant=options.pop("tenant"),
        name=options.pop("name"),
        limits=options.pop("limit"),
        scopes=frozenset(map(Scope, scope)) or EVERYTHING,
        expires_at=None if expires is None else now + round(expires * 1000),
    )
    click.echo(_in_database(partial(_made_key, wanted, now), options))


def _made_key(wanted: KeyRequest, now: int, connection: Connection) -> str:
    tenant = tenant_to_be(rows.tenant_named(connection, wanted.tenant), wanted.tenant, now)
    rows.put_tenant(connection, tenant)
    text, row = new_key(wanted, tenant.id, now)
    rows.add_key(connection, row)
    return text


def _keys_list(**options: Any) -> None:
    """List all keys that there ever were, without what cannot be told any more."""
    now = now_ms()
    for held in _in_database(rows.all_keys, options):
        key = held.key
        state = "good" if key.good_at(now) else "revoked" if key.revoked_at is not None else "expired"
        shown = (key.id, f"{key.hint}…", held.tenant.name, state, ",".join(key.scopes), key.name, _shown(key.limits))
        click.echo("  ".join(shown).rstrip())


def _keys_revoke(*, key_id: str, **options: Any) -> None:
    """Let a key open nothing any more."""
    if not _in_database(lambda connection: rows.revoke_key(connection, key_id, now_ms()), options):
        raise click.ClickException(f"no good key has the id {key_id!r}; `execd keys list` shows them")
    click.echo(f"{key_id} is revoked")


@main.group("tenants")
def _tenants() -> None:
    """Who keys belong to. A tenant is made with its first key."""


def _tenants_list(**options: Any) -> None:
    """List all tenants, with the quotas of their own."""
    for tenant in _in_database(rows.all_tenants, options):
        click.echo("  ".join((tenant.id, tenant.name, _shown(tenant.limits))).rstrip())


def _tenants_limit(*, tenant: str, limit: Limits, **options: Any) -> None:
    """Give a tenant quotas of its own, for all its keys that have no others. Those that are not given are the
    service's."""
    if not _in_database(lambda connection: rows.set_limits(connection, tenant, given_limits(limit)), options):
        raise click.ClickException(f"no tenant is named {tenant!r}; `execd tenants list` shows them")
    click.echo("  ".join((tenant, _shown(given_limits(limit)))).rstrip())


def _shown(limits: Mapping[str, int]) -> str:
    return " ".join(f"{name}={value}" for name, value in limits.items())


def _in_database(work: Callable[[Connection], T], options: dict[str, Any]) -> T:
    settings = _settings(options)
    folder = settings.data_dir.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return upkeep.write(database_url(settings.database_url, folder), work)
    except (ExecdError, OSError) as error:
        raise click.ClickException(str(error)) from None


_LIMIT = click.Option(
    ["--limit"],
    multiple=True,
    callback=_limit,
    metavar="NAME=NUMBER",
    help=f"A quota of its own: {', '.join(column.name for column in fields(Limits))}; may be repeated.",
)
_KEY_OPTIONS: dict[str, list[click.Parameter]] = {
    "create": [
        click.Option(["--tenant"], required=True, help="Name of the tenant whose key it is."),
        click.Option(["--name"], default="", help="What the key is for, for your own use."),
        click.Option(
            ["--scope"],
            multiple=True,
            type=click.Choice([scope.value for scope in Scope]),
            help="What it may do: read, run code, manage sandboxes; may be repeated. Default: all.",
        ),
        _LIMIT,
        click.Option(["--expires"], type=click.FloatRange(min=0, min_open=True), help="Seconds until it ends."),
    ],
    "list": [],
    "revoke": [click.Argument(["key_id"])],
}
_TENANT_OPTIONS: dict[str, list[click.Parameter]] = {"list": [], "limit": [click.Argument(["tenant"]), _LIMIT]}
for _group, _name, _callback, _parameters in (
    (_keys, "create", _keys_create, _KEY_OPTIONS["create"]),
    (_keys, "list", _keys_list, _KEY_OPTIONS["list"]),
    (_keys, "revoke", _keys_revoke, _KEY_OPTIONS["revoke"]),
    (_tenants, "list", _tenants_list, _TENANT_OPTIONS["list"]),
    (_tenants, "limit", _tenants_limit, _TENANT_OPTIONS["limit"]),
):
    _group.add_command(
        click.Command(
            _name,
            callback=_callback,
            params=[
                *_parameters,
                *(_option(name, Settings.model_fields[name]) for name in ("data_dir", "database_url")),
            ],
            help=_callback.__doc__,
        )
    )
for _name, _callback in (("upgrade", _db_upgrade), ("check", _db_check), ("vacuum", _db_vacuum)):
    _db.add_command(
        click.Command(
            _name,
            callback=_callback,
            params=[_option(name, Settings.model_fields[name]) for name in ("data_dir", "database_url")],
            help=_callback.__doc__,
        )
    )
main.add_command(webhooks_group(Desk(_settings, _in_database, lambda name: _option(name, Settings.model_fields[name]))))
main.add_command(
    click.Command(
        "doctor",
        callback=_doctor,
        params=[
            click.Option(["--json", "as_json"], is_flag=True, help="Print it as JSON."),
            *(_option(name, field) for name, field in Settings.model_fields.items()),
        ],
        help=_doctor.__doc__,
    )
)
