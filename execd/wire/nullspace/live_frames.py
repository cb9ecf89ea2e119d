"""What a client says on the WebSocket of live commands."""

from __future__ import annotations

from typing import Literal

from execd.wire.execd.schemas import Body, Text


class Frame(Body):
    """One message: what it is about is the command that the client has given this id, or that has this pid."""

    type: Literal["exec_start", "exec_connect", "exec_stdin", "exec_stdin_close", "exec_kill"]
    id: Text = ""
    pid: int | None = None
    data: Text | None = None
    command: Text | None = None
    args: list[Text] | None = None
    timeout_secs: int | None = None
    cwd: Text | None = None
    envs: dict[Text, Text] | None = None
    shell: bool | None = None
