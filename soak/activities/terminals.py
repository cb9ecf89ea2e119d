"""Terminals over their WebSocket: typed in, left, found again, deleted."""

from __future__ import annotations

from soak.answers import same
from soak.caller import Caller
from tests.live.terminal_client import TerminalClient, new_terminal


def used(caller: Caller) -> None:
    """What is typed is done, and what was missed is replayed."""
    word = caller.word()
    terminal = new_terminal(caller.http)
    try:
        with TerminalClient(caller.service, terminal) as client:
            client.type(f"kept={word}; echo $((6 * 7)) it is\n")
            client.until(rb"42 it is\r\n")
        with TerminalClient(caller.service, terminal, "?since=0") as client:
            client.until(rb"42 it is\r\n")
            client.type('echo "<$kept>"\n')
            client.until(f"<{word}>\r\n".encode())
            if caller.chance.random() < 0.5:
                client.type("exit 5\n")
                same(client.wait_for_text("exit")["exit_code"], 5, "the exit code of a terminal")
    finally:
        same(caller.http.delete(f"/pty/{terminal}").status_code, 200, "DELETE of a terminal")
