"""What is seen from inside: one user, folders of its own, and nobody else."""

from __future__ import annotations

import httpx

from tests.inside import Inside, new_sandbox
from tests.live.commanding import in_background, log_of, status_of
from tests.live.reading import Stream, is_a, kinds, of_type, run, text_of
from tests.live.uploading import upload
from tests.live.waiting import eventually


def test_one_user_with_a_home_and_a_workspace(inside: Inside) -> None:
    assert inside.out("id -un; id -u; id -g; pwd; echo $HOME; cat /proc/sys/kernel/hostname") == (
        "user\n1000\n1000\n/workspace\n/home/user\nsandbox"
    )
    assert (
        inside.out("for each in /workspace /home/user /tmp; do touch $each/mine && rm $each/mine; done; echo ok")
        == "ok"
    )
    assert not inside.ok("touch /usr/mine || touch /etc/mine || touch /mine")


def test_code_and_commands_share_processes_folders_and_users(client: httpx.Client, inside: Inside) -> None:
    code = "import os\nopen('/tmp/shared', 'w').write('kernel')\nprint(os.getuid(), os.getcwd(), os.getpid())"
    uid, folder, pid = text_of(run(client, code)).split()
    assert (uid, folder) == ("1000", "/workspace")
    assert inside.out("cat", "/tmp/shared") == "kernel"
    assert b"zygote" not in inside.read(f"/proc/{pid}/environ")
    assert inside.ok(f"kill -0 {pid}")


def test_rich_output(client: httpx.Client) -> None:
    code = (
        "import pandas\nimport matplotlib.pyplot as plt\nplt.plot([1, 4, 9])\nplt.show()\npandas.DataFrame({'a': [1]})"
    )
    events = run(client, code)
    assert kinds(events)[-1] == "execution_complete"
    shown = [set(event.get("results", {})) for event in (*of_type(events, "display"), *of_type(events, "result"))]
    assert any("image/png" in types for types in shown), events
    assert any("text/html" in types for types in shown), events


def test_a_kernel_that_dies_is_followed_by_another(client: httpx.Client, context_id: str) -> None:
    events = run(client, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", id=context_id)
    assert of_type(events, "error")[0]["error"]["ename"] == "KernelDied"
    again = run(client, "print('on')", id=context_id)
    assert kinds(again) == ["init", "context_restarted", "stdout", "execution_complete"]


def test_variables(client: httpx.Client) -> None:
    with new_sandbox(client, envs={"WHOSE": "mine"}, cwd="/workspace/a/b") as sandbox:
        assert sandbox.out("echo $WHOSE; pwd; echo K=v >>$EXECD_ENVS; ls $EXECD_ENVS") == (
            "mine\n/workspace/a/b\n/home/user/.execd-envs"
        )
        assert sandbox.out("echo $K") == "v"
        code = "import os\nprint(os.environ['K'], os.getcwd())"
        stream = client.post(f"{sandbox.execd}/code", json={"code": code, "context": {"language": "python"}})
        assert '"text":"v /workspace/a/b\\n"' in stream.text


def test_files_belong_to_the_sandbox_s_user(client: httpx.Client, inside: Inside) -> None:
    with inside.new_folder() as folder:
        path = f"{folder}/a/b"
        assert upload(client, ({"path": path, "mode": 640, "owner": "user"}, b"x")).status_code == 200
        assert inside.out("stat", "-c", "%U %G %a", path) == "user user 640"
        assert inside.out("stat", "-c", "%U %G", f"{folder}/a") == "user user"
        assert client.get("/files/info", params={"path": path}).json()[path]["owner"] == "user"
        refused = upload(client, ({"path": path, "owner": "root"}, b"x"))
        assert (refused.status_code, "one user, 1000" in refused.json()["message"]) == (400, True)
        inside.out(f"echo back >{path}")
        assert client.get("/files/download", params={"path": path}).content == b"back\n"
        assert client.post("/directories", json={f"{folder}/made": {"mode": 750}}).status_code == 200
        assert inside.out("stat", "-c", "%U %a", f"{folder}/made") == "user 750"


def test_two_sandboxes_do_not_see_each_other(client: httpx.Client) -> None:
    with new_sandbox(client) as one, new_sandbox(client) as other:
        pid = one.run("exec sleep 5417", background=True)["pid"]
        one.out("echo mine >secret-5417; for each in /tmp ~ /dev/shm; do cp secret-5417 $each; done")
        assert one.out("pgrep -cf 'sleep 541[7]'") == "1"
        assert other.run("pgrep -cf 'sleep 541[7]'")["stdout"] == "0\n"
        assert not other.ok(f"kill -0 {pid}")
        assert other.out("find / -name secret-5417 2>/dev/null; true") == ""
        assert other.names("/workspace") == []
        assert other.out("whoami; id -u") == one.out("whoami; id -u")


def test_a_sandbox_that_ends_takes_everything_with_it(client: httpx.Client) -> None:
    with new_sandbox(client) as sandbox:
        sandbox.run("trap '' TERM HUP; setsid sleep 600 & kill -STOP $!; sleep 600", background=True)
        assert client.delete(sandbox.url).status_code == 200
        assert client.post(f"{sandbox.url}/exec", json={"command": "true"}).status_code == 404


def test_a_watch_tells_what_happens_inside(client: httpx.Client, inside: Inside) -> None:
    with (
        inside.new_folder() as folder,
        client.stream("GET", "/files/watch", params={"path": folder}) as answer,
    ):
        stream = Stream(answer)
        stream.until(is_a("init"))
        inside.out(f"echo x >{folder}/made")
        assert stream.until(is_a("file_created"))["path"] == f"{folder}/made"


def test_a_background_command_outlives_its_client(client: httpx.Client, inside: Inside) -> None:
    with inside.new_folder() as folder:
        line = "echo begun; until [ -e go ]; do sleep 0.02; done; echo ended"
        command = in_background(client, line, cwd=folder)
        assert status_of(client, command)["running"] is True
        inside.out(f"touch {folder}/go")
        eventually(lambda: not status_of(client, command)["running"])
        assert log_of(client, command) == ("begun\nended\n", 12)
