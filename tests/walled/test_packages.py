"""What a sandbox installs is its own: importable at once, in code and commands, and gone with it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.inside import Inside, new_sandbox
from tests.wheels import build_wheel

INSTALLING = {
    "magic": "%pip install --no-index --no-deps /workspace/{wheel}",
    "shell": "!pip install --no-index --no-deps /workspace/{wheel}",
}


def wheel_in(sandbox: Inside, folder: Path, name: str) -> str:
    """A wheel of the test's own, put into the sandbox; its file's name."""
    says = f"def say():\n    print('{name} says hello')\n"
    made = build_wheel(folder, name, "1.0", {f"{name}/__init__.py": says}, f"{name} = {name}:say")
    sandbox.write(f"/workspace/{made.name}", made.read_bytes())
    return made.name


def code(client: httpx.Client, sandbox: Inside, text: str) -> str:
    """What code prints in the sandbox's default context."""
    stream = client.post(f"{sandbox.execd}/code", json={"code": text, "context": {"language": "python"}})
    events = [json.loads(frame.split("data: ")[-1]) for frame in stream.text.split("\n\n") if frame.strip()]
    assert not [event for event in events if event["type"] == "error"], events
    return "".join(event["text"] for event in events if event["type"] == "stdout")


@pytest.mark.parametrize("how", INSTALLING)
def test_code_installs_and_imports_at_once(client: httpx.Client, sandbox: Inside, tmp_path: Path, how: str) -> None:
    wheel = wheel_in(sandbox, tmp_path, "greeter")
    code(client, sandbox, "kept = 1")
    code(client, sandbox, INSTALLING[how].format(wheel=wheel))
    assert code(client, sandbox, "import greeter\ngreeter.say()\nprint(kept)") == "greeter says hello\n1\n"
    assert sandbox.out("python -c 'import greeter; greeter.say()'; greeter") == "greeter says hello\n" * 1 + (
        "greeter says hello"
    )


def test_a_command_installs_for_code_that_runs_already(client: httpx.Client, sandbox: Inside, tmp_path: Path) -> None:
    code(client, sandbox, "import importlib.util\nassert importlib.util.find_spec('greeter') is None")
    wheel = wheel_in(sandbox, tmp_path, "greeter")
    sandbox.out(f"pip install --no-index --no-deps /workspace/{wheel}")
    assert code(client, sandbox, "import greeter\ngreeter.say()") == "greeter says hello\n"
    with new_sandbox(client) as other:
        assert not other.ok("python -c 'import greeter'")
        assert not other.ok("command -v greeter")
    sandbox.out("pip uninstall -y greeter")
    assert not sandbox.ok("python -c 'import greeter'")
