"""`execd keys` and `execd tenants`, in the database of a service."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from execd.cli import main
from execd.store.engine import FILE


def told(folder: Path, *arguments: str) -> tuple[int, str]:
    """How it ended, and what it said."""
    done = CliRunner().invoke(main, [*arguments, "--data-dir", str(folder)])
    return done.exit_code, done.output.strip()


def test_a_key_is_shown_once(tmp_path: Path) -> None:
    code, key = told(tmp_path, "keys", "create", "--tenant", "agents", "--name", "the bot", "--scope", "read")
    assert code == 0
    assert key.startswith("exd_")
    code, listed = told(tmp_path, "keys", "list")
    assert (code, key in listed) == (0, False)
    assert f"{key[:10]}…  agents  good  read  the bot" in listed
    assert key.encode() not in (tmp_path / FILE).read_bytes()


def test_what_is_revoked_is_revoked_once(tmp_path: Path) -> None:
    told(tmp_path, "keys", "create", "--tenant", "agents")
    key_id = told(tmp_path, "keys", "list")[1].split()[0]
    assert told(tmp_path, "keys", "revoke", key_id) == (0, f"{key_id} is revoked")
    code, said = told(tmp_path, "keys", "revoke", key_id)
    assert code == 1
    assert said.startswith("Error: no good key has the id")
    assert "revoked" in told(tmp_path, "keys", "list")[1]


def test_quotas_of_a_tenant(tmp_path: Path) -> None:
    told(tmp_path, "keys", "create", "--tenant", "agents")
    code, said = told(tmp_path, "tenants", "limit", "agents", "--limit", "sandboxes=2", "--limit", "cpu_seconds=60")
    assert (code, said) == (0, "agents  sandboxes=2 cpu_seconds=60")
    assert told(tmp_path, "tenants", "list")[1].endswith("agents  sandboxes=2 cpu_seconds=60")
    assert told(tmp_path, "keys", "create", "--tenant", "agents")[0] == 0
    assert told(tmp_path, "tenants", "list")[1].endswith("agents  sandboxes=2 cpu_seconds=60")
    assert told(tmp_path, "tenants", "limit", "agents") == (0, "agents")
    assert told(tmp_path, "tenants", "limit", "nobody")[1].startswith("Error: no tenant is named 'nobody'")


@pytest.mark.parametrize("limit", ["sandboxes", "sandboxes=", "sandboxes=-1", "sandboxes=many", "cookies=1"])
def test_limits_that_mean_nothing(tmp_path: Path, limit: str) -> None:
    for command in (("keys", "create", "--tenant", "agents"), ("tenants", "limit", "agents")):
        code, said = told(tmp_path, *command, "--limit", limit)
        assert code == 2
        assert "expected" in said


@pytest.mark.parametrize("command", [("keys", "list"), ("tenants", "list"), ("keys", "create", "--tenant", "a")])
def test_a_damaged_database_is_left_as_it_is(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all " * 1000)
    before = (tmp_path / FILE).read_bytes()
    code, said = told(tmp_path, *command)
    assert code == 1
    assert said.count("\n") == 0
    assert "its file is damaged" in said
    assert (tmp_path / FILE).read_bytes() == before
