"""Environment variables of one run, over the API: in contexts, sessions, and commands that are called code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest

from execd.kernel.kernelspec import bundled_kernels
from tests.live.reading import end_of, of_type, run, text_of
from tests.running_service import running_service

LOOKS = {
    "python": "import os; print(os.environ.get('A', 'absent'))",
    "bash": 'echo "${A-absent}"',
    "command": 'echo "${A-absent}"',
}


@pytest.mark.parametrize("language", LOOKS)
def test_a_run_has_them_and_the_next_has_not(client: httpx.Client, language: str) -> None:
    look = LOOKS[language]
    assert text_of(run(client, look, envs={"A": "it's"}, language=language)).strip() == "it's"
    assert text_of(run(client, look, language=language)).strip() == "absent"


def test_a_run_that_is_out_of_time_gives_them_back(client: httpx.Client, context_id: str) -> None:
    code = "import os; os.environ['A'] = 'changed'\nwhile True: pass"
    events = run(client, code, timeout=1500, envs={"A": "given"}, id=context_id)
    assert end_of(events) == ("failed", "timeout")
    assert events[-1]["interruption"]["state"] == "kept"
    assert text_of(run(client, LOOKS["python"], id=context_id)) == "absent\n"


def test_a_session_has_them_for_one_command(client: httpx.Client) -> None:
    session = client.post("/session").json()["session_id"]
    for envs, seen in (({"A": "a b"}, "a b"), ({}, "absent")):
        answer = client.post(f"/session/{session}/run", json={"command": LOOKS["bash"] + "; exit", "envs": envs})
        assert f'"{seen}' in answer.text
    client.delete(f"/session/{session}")


@pytest.mark.parametrize("language", LOOKS)
def test_a_name_that_cannot_be_is_refused(client: httpx.Client, language: str) -> None:
    body = {"code": "1", "context": {"language": language}, "envs": {"A=B": "s3cr3t"}}
    answer = client.post("/code", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")
    assert "envs.'A=B'" in answer.json()["message"]
    assert "s3cr3t" not in answer.text


def test_a_stock_kernel_refuses_them_and_runs_without(tmp_path: Path) -> None:
    kernels = tmp_path / "kernels"
    shutil.copytree(bundled_kernels() / "python", kernels / "python")
    spec = {
        "language": "stock",
        "display_name": "Stock",
        "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    }
    (kernels / "stock").mkdir()
    (kernels / "stock" / "kernel.json").write_text(json.dumps(spec))
    with running_service(tmp_path, kernels_dir=str(kernels)) as service, service.client() as client:
        body = {"code": LOOKS["python"], "context": {"language": "stock"}, "envs": {"A": "given"}}
        answer = client.post("/code", json=body)
        assert (answer.status_code, answer.json()["code"]) == (501, "NOT_SUPPORTED")
        assert "stock kernel cannot" in answer.json()["message"]
        assert text_of(run(client, LOOKS["python"], language="stock")) == "absent\n"
        assert of_type(run(client, "1", language="stock"), "result")
