"""The command line. Every option of `execd serve` is a field of Settings, so there is one list of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError
from sqlalchemy import URL

import execd
from execd.doctor import report
from execd.errors import CannotServe, ExecdError
from execd.logs import configure_logs
from execd.server import run
from execd.settings import Settings
from execd.store import upkeep
from execd.store.engine import database_url

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


main.add_command(
    click.Command(
        "serve",
        callback=_serve,
        params=[_option(name, field) for name, field in Settings.model_fields.items()],
        help=_serve.__doc__,
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
