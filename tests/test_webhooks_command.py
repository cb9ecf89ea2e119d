"""`execd webhooks`, in the database of a service."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from standardwebhooks import Webhook

from execd.cli import main
from tests.webhook_receiver import receiving

URL = "https://hooks.example/hook"


def told(folder: Path, *arguments: str) -> tuple[int, str]:
    """How it ended, and what it said."""
    done = CliRunner().invoke(main, ["webhooks", *arguments, "--data-dir", str(folder)])
    return done.exit_code, done.output.strip()


def test_one_is_added_listed_and_removed(tmp_path: Path) -> None:
    code, said = told(tmp_path, "add", URL, "--event", "execution.failed", "--description", "the pager")
    webhook_id, secret = said.split("  ")
    assert (code, webhook_id[:3], secret[:6]) == (0, "wh_", "whsec_")
    assert told(tmp_path, "list") == (0, f"{webhook_id}  default  enabled  execution.failed  {URL}  the pager")
    assert told(tmp_path, "remove", webhook_id) == (0, f"{webhook_id} is removed")
    assert told(tmp_path, "list") == (0, "")
    for command in ("remove", "rotate", "test"):
        code, said = told(tmp_path, command, webhook_id)
        assert (code, said.startswith("Error: webhook not found")) == (1, True)


def test_a_tenant_has_its_own(tmp_path: Path) -> None:
    code, said = told(tmp_path, "add", URL, "--tenant", "agents")
    assert (code, said) == (1, "Error: no tenant is named 'agents'; `execd tenants list` shows them")
    CliRunner().invoke(main, ["keys", "create", "--tenant", "agents", "--data-dir", str(tmp_path)])
    assert told(tmp_path, "add", URL, "--tenant", "agents")[0] == 0
    assert "  agents  enabled  all  " in told(tmp_path, "list")[1]
    mine, theirs = (told(tmp_path, "secret", "--tenant", name)[1] for name in ("default", "agents"))
    assert mine != theirs
    assert told(tmp_path, "secret") == (0, mine)
    assert told(tmp_path, "secret", "--rotate")[1] not in (mine, theirs)


@pytest.mark.parametrize(
    "arguments",
    [("http://hooks.example/",), ("https://10.0.0.1/",), (URL, "--event", "execution.begun"), ("nothing",)],
)
def test_what_cannot_be_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, said = told(tmp_path, "add", *arguments)
    assert code == 1
    assert "expected" in said


def test_there_are_not_too_many(tmp_path: Path) -> None:
    assert told(tmp_path, "add", URL, "--max-webhooks", "1")[0] == 0
    code, said = told(tmp_path, "add", URL, "--max-webhooks", "1")
    assert (code, said.startswith("Error: there are already 1 webhooks")) == (1, True)


def test_one_is_tried(tmp_path: Path) -> None:
    with receiving(200, 500) as receiver:
        allowed = f'["127.0.0.1:{httpx.URL(receiver.url).port}"]'
        options = ("--webhook-allow-private", allowed, "--webhook-allow-http", "true")
        webhook_id, secret = told(tmp_path, "add", receiver.url, *options)[1].split("  ")
        assert told(tmp_path, "test", webhook_id, *options) == (0, "it was taken: 200")
        rotated = told(tmp_path, "rotate", webhook_id)[1]
        assert told(tmp_path, "test", webhook_id, *options) == (1, "it answered: 500")
        first, second = receiver.received(2)
        assert first.message["data"] == {"webhook_id": webhook_id, "url": receiver.url}
        Webhook(secret).verify(first.body, dict(first.headers))
        for good in (secret, rotated):
            Webhook(good).verify(second.body, dict(second.headers))
        # Without the options that allow it, it is refused.
        code, said = told(tmp_path, "test", webhook_id)
        assert (code, "expected an https:// URL" in said) == (1, True)
