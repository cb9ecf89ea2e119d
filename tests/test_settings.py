"""The options of the service: one list of them, in the environment, on the command line and on paper."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_origin

import click
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from execd import cli
from execd.cli import main
from execd.settings import Settings

NAMES = list(Settings.model_fields)
README = Path(__file__).parent.parent / "README.md"

# A value for each option that is not its default, as it is written in a variable or on a command line.
GIVEN: dict[str, tuple[str, object]] = {
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("0", 0),
    "access_token": ("secret", "secret"),
    "allowed_hosts": ('["a", "b"]', ["a", "b"]),
    "allowed_origins": ('["https://app.example"]', ["https://app.example"]),
    "data_dir": ("/somewhere", Path("/somewhere")),
    "database_url": ("postgresql://user@host/name", "postgresql://user@host/name"),
    "workspace": ("/elsewhere", Path("/elsewhere")),
    "kernels_dir": ("/kernels", Path("/kernels")),
    "kernel_python": ("/usr/bin/python3", Path("/usr/bin/python3")),
    "python_kernel": ("stock", "stock"),
    "kernel_env": ('["PATH"]', ["PATH"]),
    "envs": ("/envs", Path("/envs")),
    "isolation": ("process", "process"),
    "sandbox_memory": ("1073741824", 1024**3),
    "sandbox_cpus": ("1.5", 1.5),
    "sandbox_processes": ("64", 64),
    "sandbox_open_files": ("1024", 1024),
    "sandbox_file_size": ("4096", 4096),
    "sandbox_tmp_size": ("8192", 8192),
    "sandbox_workspace_size": ("16384", 16384),
    "sandbox_workspace_memory": ("32768", 32768),
    "network": ("proxy", "proxy"),
    "network_allowed": ('["full"]', ["full"]),
    "egress_allow": ('["packages.example"]', ["packages.example"]),
    "run_timeout": ("1.5", 1.5),
    "run_timeout_max": ("2", 2.0),
    "interrupt_grace": ("0.5", 0.5),
    "kernel_start_timeout": ("9", 9.0),
    "warm_kernels": ("3", 3),
    "warden_patience": ("10", 10.0),
    "on_sigterm": ("end", "end"),
    "max_contexts": ("3", 3),
    "max_terminals": ("2", 2),
    "max_queue": ("4", 4),
    "context_idle_timeout": ("60", 60.0),
    "approval_timeout": ("60", 60.0),
    "execute_wait": ("5", 5.0),
    "max_sandboxes": ("7", 7),
    "sandbox_timeout": ("60", 60.0),
    "sandbox_timeout_max": ("3600", 3600.0),
    "sandbox_idle_timeout": ("30", 30.0),
    "thread_idle_timeout": ("30", 30.0),
    "max_programs": ("3", 3),
    "volume_root": ("/volumes", Path("/volumes")),
    "sandbox_images": ('{"python:*": "default"}', {"python:*": "default"}),
    "output_budget": ("8192", 8192),
    "output_tail": ("2048", 2048),
    "rich_output_budget": ("8192", 8192),
    "keep_executions": ("5", 5),
    "keep_executions_age": ("6", 6.0),
    "keep_executions_size": ("8192", 8192),
    "run_artifacts": ("7", 7),
    "artifact_size": ("1024", 1024),
    "run_artifacts_size": ("2048", 2048),
    "run_artifacts_time": ("0.5", 0.5),
    "keep_artifacts_size": ("4096", 4096),
    "quota_executions": ("5", 5),
    "quota_sandboxes": ("6", 6),
    "quota_contexts": ("7", 7),
    "quota_stored_bytes": ("8", 8),
    "quota_cpu_seconds": ("9", 9),
    "mcp_wait": ("5", 5.0),
    "mcp_output_size": ("2048", 2048),
    "mcp_image_size": ("4096", 4096),
    "mcp_structured": ("false", False),
    "mcp_sessions": ("9", 9),
    "mcp_session_idle_timeout": ("60", 60.0),
    "webhook_allow_private": ('["10.1.2.3:8443"]', ["10.1.2.3:8443"]),
    "webhook_allow_http": ("true", True),
    "webhook_timeout": ("3", 3.0),
    "webhook_retry": ("1", 1.0),
    "webhook_give_up": ("60", 60.0),
    "webhook_size": ("4096", 4096),
    "max_webhooks": ("2", 2),
    "max_body": ("4096", 4096),
    "ping_interval": ("1", 1.0),
    "shutdown_grace": ("0", 0.0),
    "log_level": ("debug", "debug"),
    "log_format": ("json", "json"),
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"EXECD_{name.upper()}", raising=False)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that `execd serve` would have served with."""
    seen: list[Settings] = []
    monkeypatch.setattr(cli, "run", seen.append)
    monkeypatch.setattr(cli, "configure_logs", lambda _: None)
    return seen


def test_every_option_is_tried_here() -> None:
    assert list(GIVEN) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_a_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written, meant = GIVEN[name]
    assert getattr(Settings(), name) != meant
    monkeypatch.setenv(f"EXECD_{name.upper()}", written)
    assert getattr(Settings(), name) == meant


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_one_of_the_command_line(name: str, served: list[Settings]) -> None:
    written, meant = GIVEN[name]
    found = CliRunner().invoke(main, ["serve", f"--{name.replace('_', '-')}", written])
    assert (found.exit_code, found.output) == (0, "")
    assert getattr(served[0], name) == meant


def test_the_command_line_goes_before_the_variable(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECD_PORT", "1")
    CliRunner().invoke(main, ["serve", "--port", "2"])
    assert served[0].port == 2


def test_help_tells_of_every_option() -> None:
    shown = CliRunner().invoke(main, ["serve", "--help"]).output
    for name, field in Settings.model_fields.items():
        assert field.description
        assert f"--{name.replace('_', '-')} " in shown
        assert f"EXECD_{name.upper()}]" in re.sub(r"\s+", "", shown).replace("[env:", "")
    assert not any(isinstance(option, click.Argument) for option in main.commands["serve"].params)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "many"], "port: Input should be a valid integer"),
        (["--port", "70000"], "port: Input should be less than or equal to 65535"),
        (["--run-timeout", "0"], "run_timeout: Input should be greater than 0"),
        (["--run-timeout", "nan"], "run_timeout: "),
        (["--shutdown-grace", "inf"], "shutdown_grace: "),
        (["--log-level", "loud"], "log_level: Input should be 'debug', 'info', 'warning' or 'error'"),
        (["--allowed-hosts", "a"], "--allowed-hosts: expected a JSON list"),
        (["--allowed-hosts", "1"], "allowed_hosts: Input should be a valid list"),
        (["--sandbox-images", "a"], "--sandbox-images: expected a JSON object"),
        (["--sandbox-timeout", "-1"], "sandbox_timeout: Input should be greater than or equal to 0"),
        (["--access-token", ""], "access_token: "),
        (["--colour", "red"], "No such option"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], said: str, served: list[Settings]) -> None:
    found = CliRunner().invoke(main, ["serve", *arguments])
    assert found.exit_code == 2
    assert said in found.output
    assert served == []


@pytest.mark.parametrize("name", ["allowed_hosts", "allowed_origins", "kernel_env"])
def test_a_variable_that_is_no_list_is_said_to_be_none(
    name: str, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"EXECD_{name.upper()}", "a,b")
    found = CliRunner().invoke(main, ["serve"])
    assert found.exit_code == 2
    assert name in found.output
    assert "expected a JSON list" in found.output
    assert served == []


def test_help_shows_lists_as_they_are_given() -> None:
    shown = CliRunner().invoke(main, ["serve", "--help"]).output
    assert json.dumps(Settings().kernel_env) in re.sub(r"\s+", " ", shown)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_variable_is_an_unset_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Compose files and unit files pass "" on for what is not set; an empty token would let everybody in.
    default = getattr(Settings(), name)
    monkeypatch.setenv(f"EXECD_{name.upper()}", "")
    assert getattr(Settings(), name) == default


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        setattr(Settings(), "port", 1)  # noqa: B010  # what a type checker forbids


@pytest.mark.parametrize(
    ("given", "folder"),
    [({"data_dir": "/d"}, "/d/workspace"), ({"data_dir": "/d", "workspace": "/w"}, "/w")],
)
def test_where_contexts_start(given: dict[str, Any], folder: str) -> None:
    assert Settings(**given).workspace_dir == Path(folder)


@pytest.mark.parametrize(("variable", "folder"), [("/data", "/data/execd"), ("", f"{Path.home()}/.local/share/execd")])
def test_where_the_data_is(variable: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", variable)
    assert Settings().data_dir == Path(folder)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_stands_in_the_readme_s_table(name: str) -> None:
    rows = [line for line in README.read_text("utf-8").splitlines() if line.startswith("|")]
    assert any(f"EXECD_{name.upper()}`" in row for row in rows)


def test_lists_are_json_everywhere() -> None:
    lists = [name for name, field in Settings.model_fields.items() if get_origin(field.annotation) is list]
    assert lists == [
        "allowed_hosts",
        "allowed_origins",
        "kernel_env",
        "network_allowed",
        "egress_allow",
        "webhook_allow_private",
    ]
    for name in lists:
        assert json.loads(GIVEN[name][0]) == GIVEN[name][1]
