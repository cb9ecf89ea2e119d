"""Commands in the foreground: how they are started, what they find, what is refused."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.commanding import command, exit_of, lines, printed, refused, status_of
from tests.live.reading import kinds
from tests.running_service import RunningService

GONE = "there is none"


@pytest.fixture
def workspace(service: RunningService) -> Path:
    """The folder that commands start in."""
    return service.data_dir / "workspace"


class TestStream:
    def test_a_command_that_succeeds(self, client: httpx.Client) -> None:
        before = time.time_ns() // 1_000_000
        events = command(client, "echo out; echo err >&2")
        assert sorted(kinds(events)) == ["execution_complete", "init", "stderr", "stdout"]
        init, end = events[0], events[-1]
        assert re.fullmatch("[0-9a-f]{32}", init["text"])
        assert "context_id" not in init
        assert (end["type"], end["status"], end["exit_code"]) == ("execution_complete", "succeeded", 0)
        assert all(before <= event["timestamp"] <= time.time_ns() // 1_000_000 for event in events)
        assert type(end["execution_time"]) is int

    @pytest.mark.parametrize("code", [1, 2, 127, 255])
    def test_a_command_that_fails_ends_with_its_error_and_nothing_else(self, client: httpx.Client, code: int) -> None:
        events = command(client, f"echo before; exit {code}")
        assert kinds(events) == ["init", "stdout", "error"]
        assert events[-1]["error"] == {
            "ename": "CommandExecError",
            "evalue": str(code),
            "traceback": [f"exit status {code}"],
        }

    def test_a_signal_is_exit_code_minus_one(self, client: httpx.Client) -> None:
        events = command(client, "kill -SEGV $$")
        assert exit_of(events) == -1
        assert events[-1]["error"]["traceback"] == ["signal: SIGSEGV"]
        assert status_of(client, events[0]["text"])["exit_code"] == -1

    def test_the_first_ping_follows_init_at_once(self, client: httpx.Client) -> None:
        with client.stream("POST", "/command", json={"command": "true"}) as answer:
            blocks = answer.read().decode().split("\n\n")
        assert '"type":"init"' in blocks[0]
        assert '"type":"ping","text":"pong"' in blocks[1]
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["EXECD-EXECUTION-ID"] in blocks[0]

    def test_its_record_and_status(self, client: httpx.Client) -> None:
        command_id = command(client, "exit 3")[0]["text"]
        status = status_of(client, command_id)
        assert (status["id"], status["content"], status["running"]) == (command_id, "exit 3", False)
        assert (status["exit_code"], status["error"]) == (3, "exit status 3")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", status["started_at"])
        assert status["started_at"] <= status["finished_at"]
        record = client.get(f"/code/executions/{command_id}").json()
        assert (record["language"], record["status"], record["exit_code"]) == ("command", "failed", 3)

    def test_no_status_of_what_is_not_there(self, client: httpx.Client) -> None:
        answer = client.get("/command/status/nobody")
        assert (answer.status_code, answer.json()["code"]) == (404, "INVALID_REQUEST_BODY")


class TestStarting:
    def test_the_shell_is_bash(self, client: httpx.Client) -> None:
        assert printed(client, "echo ${BASH_VERSION:+bash} {a,b}") == ["bash a b"]

    def test_it_is_bash_whatever_path_the_command_gets(self, client: httpx.Client) -> None:
        assert printed(client, "echo ${BASH_VERSION:+bash} $PATH", envs={"PATH": "/nowhere"}) == ["bash /nowhere"]

    def test_argv_is_taken_literally(self, client: httpx.Client) -> None:
        argv = ["printf", "%s\n", "$HOME", "a  b", "*", "", "'\"\\", "é;&|"]
        assert printed(client, argv=argv) == ["$HOME", "a  b", "*", "\n", "'\"\\", "é;&|"]

    def test_argv_is_shown_as_json(self, client: httpx.Client) -> None:
        command_id = command(client, argv=["echo", "a b"])[0]["text"]
        assert status_of(client, command_id)["content"] == '["echo", "a b"]'

    def test_a_relative_program_is_looked_for_in_the_cwd(self, client: httpx.Client, workspace: Path) -> None:
        (workspace / "below").mkdir()
        (workspace / "below" / "program").write_text("#!/bin/sh\necho $0 $1\n")
        (workspace / "below" / "program").chmod(0o755)
        found = printed(client, argv=["./program", "x"], cwd="below")
        assert found == ["./program x"]

    def test_a_bare_program_is_looked_for_in_the_command_s_path(self, client: httpx.Client, tmp_path: Path) -> None:
        (tmp_path / "only-here").write_text("#!/bin/sh\necho found\n")
        (tmp_path / "only-here").chmod(0o755)
        envs = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        assert printed(client, argv=["only-here"], envs=envs) == ["found"]
        assert exit_of(command(client, "only-here")) == 127

    @pytest.mark.parametrize("background", [False, True])
    def test_what_cannot_be_started_says_why(self, client: httpx.Client, background: bool) -> None:
        events = command(client, argv=["no-such-program"], background=background)
        if not background:
            error = events[-1]["error"]
            assert error["ename"] == "CommandExecError"
            assert error["evalue"] == "no-such-program: No such file or directory"
        status = status_of(client, events[0]["text"])
        assert (status["running"], status["error"]) == (False, "no-such-program: No such file or directory")

    def test_stdin_is_empty(self, client: httpx.Client) -> None:
        assert printed(client, "wc -c; readlink /proc/self/fd/0") == ["0", "/dev/null"]

    def test_it_leads_a_session_of_its_own(self, client: httpx.Client) -> None:
        assert printed(client, argv=["python3", "-c", "import os; print(os.getsid(0) == os.getpid())"]) == ["True"]


class TestFolder:
    def test_without_one_it_is_the_workspace(self, client: httpx.Client, workspace: Path) -> None:
        assert printed(client, "pwd; echo $PWD") == [str(workspace)] * 2

    def test_pwd_follows_it(self, client: httpx.Client, tmp_path: Path) -> None:
        assert printed(client, argv=["printenv", "PWD"], cwd=str(tmp_path)) == [str(tmp_path)]

    @pytest.mark.parametrize("cwd", ["$HERE/below", "${HERE}/below"])
    def test_variables_are_expanded(self, client: httpx.Client, tmp_path: Path, cwd: str) -> None:
        (tmp_path / "below").mkdir()
        command(client, f"echo HERE={tmp_path} >> $EXECD_ENVS")
        assert printed(client, "pwd", cwd=cwd) == [str(tmp_path / "below")]

    def test_home_is_expanded(self, client: httpx.Client) -> None:
        home = os.path.realpath(os.environ["HOME"])
        assert printed(client, "pwd -P", cwd="~") == [home]

    def test_a_relative_one_begins_in_the_workspace(self, client: httpx.Client, workspace: Path) -> None:
        (workspace / "relative").mkdir()
        assert printed(client, "pwd", cwd="relative") == [str(workspace / "relative")]

    @pytest.mark.parametrize(
        ("cwd", "why"),
        [
            ("/no/such/folder", GONE),
            ("/etc/passwd", "it is no folder"),
            ("$NOT_SET/x", "$NOT_SET is not"),
            ("x" * 5000, "File name too long"),
            ("a\0b", "NUL"),
        ],
    )
    @pytest.mark.parametrize("background", [False, True])
    def test_what_is_no_folder_is_refused(self, client: httpx.Client, cwd: str, why: str, background: bool) -> None:
        message = refused(client, "true", cwd=cwd, background=background)
        assert message.startswith("cwd: ")
        assert why in message


class TestVariables:
    def test_those_of_the_request(self, client: httpx.Client) -> None:
        envs = {"A": "1", "B": "x y\n$A", "É": "ü", "1A-b": "odd"}
        assert printed(client, argv=["printenv", *envs], envs=envs) == ["1", "x y", "$A", "ü", "odd"]

    def test_they_are_that_command_s_alone(self, client: httpx.Client) -> None:
        command(client, "true", envs={"ALONE": "1"})
        assert printed(client, "echo ${ALONE-not set}") == ["not set"]

    def test_what_is_written_to_execd_envs_lasts(self, client: httpx.Client) -> None:
        command(client, "echo \"LASTS='a b'\" >> $EXECD_ENVS")
        assert printed(client, "echo $LASTS") == ["a b"]
        assert printed(client, "echo $LASTS", envs={"LASTS": "mine"}) == ["mine"]

    def test_the_service_s_own_do_not_get_through(self, client: httpx.Client) -> None:
        names = {name.partition("=")[0] for name in printed(client, "env -0 | tr '\\0' '\\n'")}
        assert {name for name in names if name.startswith("EXECD_")} == {"EXECD_ENVS", "EXECD_PROCESS"}

    def test_a_listening_port_is_named_for_clients_that_look_for_jupyter(self, client: httpx.Client) -> None:
        assert exit_of(command(client, "exec 3<>/dev/tcp/127.0.0.1/$JUPYTER_PORT")) == 0

    @pytest.mark.parametrize(
        "ruin", ["printf 'A=x\\0y\\n' >> $EXECD_ENVS", "mkfifo $EXECD_ENVS.p; mv $EXECD_ENVS.p $EXECD_ENVS"]
    )
    def test_a_ruined_file_harms_nobody(self, client: httpx.Client, ruin: str) -> None:
        try:
            assert exit_of(command(client, f"cp $EXECD_ENVS kept; {ruin}")) == 0
            assert printed(client, "echo fine${A-}") == ["fine"]
        finally:
            command(client, "rm $EXECD_ENVS; mv kept $EXECD_ENVS")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "command"),
        ({"command": ""}, "command"),
        ({"argv": []}, "argv"),
        ({"argv": [""]}, "argv"),
        ({"argv": ["", "x"]}, "argv"),
        ({"command": "true", "argv": ["true"]}, "command"),
        ({"command": "a\0b"}, "NUL"),
        ({"argv": ["echo", "a\0"]}, "NUL"),
        ({"command": "true", "envs": {"A": "\0"}}, "NUL"),
        ({"command": "true", "envs": {"A=B": "c"}}, "envs"),
        ({"command": "true", "envs": {"": "c"}}, "envs"),
        ({"command": "true", "envs": {"A": 1}}, "envs.A"),
        ({"command": "true", "timeout": -1}, "timeout"),
        ({"command": "true", "timeout": 1.5}, "timeout"),
        ({"command": "true", "gid": 0}, "uid"),
        ({"command": "true", "uid": -1}, "uid"),
        ({"command": "true", "uid": 2**32 - 1}, "uid"),
        ({"command": ["true"]}, "command"),
    ],
)
def test_what_makes_no_sense_is_refused(client: httpx.Client, body: dict[str, Any], field: str) -> None:
    assert field in refused(client, **body)


def test_null_is_as_good_as_absent(client: httpx.Client) -> None:
    nothing = dict.fromkeys(["argv", "cwd", "background", "timeout", "uid", "gid", "envs"])
    assert printed(client, "echo fine", **nothing) == ["fine"]


class TestIdentity:
    IDENTITY = "echo $(id -u) $(id -g) $(id -G)"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may start processes as other users")
    @pytest.mark.parametrize(
        ("uid", "gid", "identity"), [(54321, None, "54321 54321 54321"), (54321, 4321, "54321 4321 4321")]
    )
    def test_another_one(self, client: httpx.Client, uid: int, gid: int | None, identity: str) -> None:
        assert printed(client, self.IDENTITY, uid=uid, gid=gid) == [identity]

    def test_the_service_s_own_is_no_change(self, client: httpx.Client) -> None:
        ours = printed(client, self.IDENTITY)
        assert printed(client, self.IDENTITY, uid=os.geteuid()) == ours
        assert printed(client, self.IDENTITY, uid=os.geteuid(), gid=os.getegid()) == ours

    def test_a_service_without_the_right_to_it_says_so(self, unprivileged: httpx.Client) -> None:
        own = int(printed(unprivileged, "id -u")[0])
        assert "can start nothing as another user" in refused(unprivileged, "id", uid=own + 1)
        assert "can start nothing as another user" in refused(unprivileged, "id", uid=own, gid=1)
        assert printed(unprivileged, "id -u", uid=own) == [str(own)]


def test_every_line_of_an_error_goes_where_it_belongs(client: httpx.Client) -> None:
    events = command(client, "echo a; ls /no/such/file; echo b")
    assert lines(events) == ["a", "b"]
    assert "/no/such/file" in lines(events, "stderr")[0]
