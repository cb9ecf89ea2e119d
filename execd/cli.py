"""The command line. Every option of `execd serve` is a field of Settings, so there is one list of them."""

from __future__ import annotations

import json
from typing import Any, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

import execd
from execd.doctor import report
from execd.errors import ExecdError
from execd.logs import configure_logs
from execd.server import run
from execd.settings import Settings

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
