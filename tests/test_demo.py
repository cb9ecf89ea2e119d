"""`make demo`: what it shows, and how it ends."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent
DEMO = [sys.executable, str(ROOT / "scripts" / "demo.py")]


def environment(folder: Path, **further: str) -> dict[str, str]:
    """The environment of a demo whose temporary files all go to this folder."""
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return {**inherited, "TMPDIR": str(folder), "PYTHONUTF8": "1", **further}


@pytest.fixture
def nothing_to_serve(tmp_path: Path) -> Path:
    """A folder where what is called execd does not start."""
    package = tmp_path / "here" / "execd"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("raise SystemExit('not today')")
    return package.parent


def test_it_tells_its_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    env = environment(tmp_path, EXECD_ACCESS_TOKEN="of another service")
    demo = subprocess.run(DEMO, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (demo.returncode, demo.stderr) == (0, "")
    lines = iter(demo.stdout.splitlines())
    for wanted in (
        r"1  A service starts",
        r"   → execd serve --port 0",
        r"   ← +\d+\.\d{3} s  http://127\.0\.0\.1:\d+",
        r"2  Code runs, .*",
        r"   ← +\d+\.\d{3} s  tick 2",
        r"3  Variables stay, .*",
        r"   → sum\(squares\)",
        r"   ← +\d+\.\d{3} s  30",
        r"4  A plot .*",
        r"   ← +\d+\.\d{3} s  image/png, [\d,]+ bytes, \d+ × \d+ pixels",
        r"5  A mistake .*",
        r"   ← +\d+\.\d{3} s  KeyError: 'coffee', .*",
        r"6  A run that sleeps .*",
        r"   → interrupt ctx_\w+",
        r"   ← +\d+\.\d{3} s  KeyboardInterrupt",
        r"   ← +\d+\.\d{3} s  'still here'",
        r"7  A connection drops, .*",
        r"   ← +\d+\.\d{3} s  events 1 to 4, printing [\d ]+; then the connection is dropped",
        r"     Last-Event-ID: 4",
        r"   ← +\d+\.\d{3} s  events 5 to \d+, printing [\d ]+ 9; nothing missed, nothing twice",
        r"All of it in \d+\.\d s, .*",
    ):
        assert any(re.fullmatch(wanted, line) for line in lines), f"missing, or out of its place: {wanted}"
    assert "\x1b" not in demo.stdout
    assert [*tmp_path.iterdir()] == []
    [url] = re.findall(r"http://127\.0\.0\.1:\d+", demo.stdout)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/ping")


def test_a_service_that_does_not_start_is_its_failure(tmp_path: Path, nothing_to_serve: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = environment(temporary)
    demo = subprocess.run(DEMO, cwd=nothing_to_serve, env=env, capture_output=True, text=True, check=False)
    assert demo.returncode == 1
    assert demo.stderr == "\nThe demo failed. the service did not start: not today\n"
    assert [*temporary.iterdir()] == []


@pytest.mark.parametrize(("further", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colours_unless_it_wants_none(
    tmp_path: Path, nothing_to_serve: Path, further: dict[str, str], coloured: bool
) -> None:
    ours, theirs = pty.openpty()
    env = environment(tmp_path, **further)
    try:
        subprocess.run(DEMO, cwd=nothing_to_serve, env=env, stdout=theirs, stderr=subprocess.DEVNULL, check=False)
        shown = os.read(ours, 4096)
    finally:
        os.close(ours)
        os.close(theirs)
    assert b"A service starts" in shown
    assert (b"\x1b[" in shown) is coloured
