"""Code whose output is streamed in Nullspace's form: run, hung up on, resumed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.coding import Coding, texts, types
from tests.live.generations import Generation
from tests.live.reading import run

_LINES = re.compile(rb"((: keepalive|data: \{[\x20-\x7e]*\})\n\n)+")
CODE = "import sys\nprint('é\\u2028a')\nprint('e', file=sys.stderr)\n6 * 7"


@pytest.fixture
def coding(generation: Generation) -> Coding:
    return Coding(generation)


def test_its_form(coding: Coding) -> None:
    answer = coding.post("/execute", {"code": CODE})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
    assert _LINES.fullmatch(answer.content), answer.content
    assert answer.headers["EXECD-EXECUTION-ID"].startswith("run_")


def test_its_events(coding: Coding) -> None:
    events = coding.execute(CODE)
    assert types(events) == ["stdout", "stderr", "number_of_executions", "result"]
    assert (texts(events, "stdout"), texts(events, "stderr")) == ("é\u2028a\n", "e\n")
    assert events[-2]["execution_count"] == 1
    assert (events[-1]["text"], events[-1]["data"], events[-1]["is_main_result"]) == ("42", {"text/plain": "42"}, True)
    seqs = [event["seq"] for event in events]
    assert seqs == sorted(set(seqs))
    assert all(event["timestamp"] > 10**12 for event in events)


def test_an_error_is_an_event(coding: Coding) -> None:
    *_, error, count = coding.execute("1 / 0")
    assert (error["type"], error["name"], error["value"]) == ("error", "ZeroDivisionError", "division by zero")
    assert error["traceback"].count("\n") > 1
    assert (count["type"], count["execution_count"]) == ("number_of_executions", 1)


def test_where_it_runs(coding: Coding) -> None:
    context = coding.context()
    coding.execute("here = 1", context_id=context, language="cobol")
    assert types(coding.execute("here", context_id=context))[-1] == "result"
    assert "error" in types(coding.execute("here"))
    assert texts(coding.execute("echo $((6 * 7))", language="bash"), "stdout") == "42\n"
    coding.execute("there = 1", language="python")
    assert types(coding.execute("there", language="python3"))[-1] == "result"


REFUSED: list[tuple[Any, int, str]] = [
    ({"code": "1", "context_id": "ctx_none"}, 404, "not_found"),
    ({"code": "1", "language": "cobol"}, 400, "invalid_request"),
    ({"code": "1", "timeout": -1}, 400, "invalid_request"),
    ({"code": "1", "envs": []}, 400, "invalid_request"),
    ({}, 400, "invalid_request"),
    ([], 400, "invalid_request"),
]


def test_what_is_refused_is_no_stream(coding: Coding) -> None:
    for body, status, code in REFUSED:
        answer = coding.post("/execute", body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body
    answer = coding.client.post(coding.url("/execute"), content=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "invalid_request")
    answer = coding.generation.post(f"{coding.generation.prefix}none", "/code/execute", code="1")
    assert (answer.status_code, answer.json()["code"]) == (404, f"{coding.generation.noun}_not_found")


def test_hanging_up_stops_nothing_and_a_stream_is_resumed(coding: Coding, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"print('one', flush=True)\nwhile not os.path.exists({str(go)!r}): pass\nprint('two')\n3"
    coding.execute("import os")
    with coding.executing(code) as stream:
        first = next(stream)
    assert first["text"] == "one\n"
    with coding.events(stream.run_id, after_seq=first["seq"]) as resumed:
        assert resumed.run_id == stream.run_id
        go.touch()
        rest = list(resumed)
    assert (types(rest), texts(rest, "stdout")) == (["stdout", "number_of_executions", "result"], "two\n")
    with coding.events(stream.run_id) as again:
        assert list(again) == [first, *rest]
    with coding.events(stream.run_id, headers={"Last-Event-ID": str(rest[-2]["seq"])}) as again:
        assert list(again) == rest[-1:]


def test_what_cannot_be_resumed(coding: Coding) -> None:
    with coding.executing("1") as stream:
        list(stream)
    for query, status in (({"after_seq": "x"}, 400), ({"after_seq": 1000}, 400)):
        answer = coding.get(f"/runs/{stream.run_id}/events", **query)
        assert (answer.status_code, answer.json()["code"]) == (status, "invalid_request")
    answer = coding.get("/runs/run_none/events")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    other = coding.generation.url(coding.generation.create()["id"], f"/code/runs/{stream.run_id}/events")
    assert coding.client.get(other).status_code == 404


def test_it_is_recorded_as_any_run_is(coding: Coding) -> None:
    with coding.executing("print('a')\n1", timeout=5) as stream:
        list(stream)
    run = coding.ended(stream.run_id)
    assert (run["status"], run["timeout_secs"]) == ("succeeded", 5)
    assert run["execution"]["logs"]["stdout"] == ["a\n"]
    assert [found["id"] for found in coding.get("/runs").json()["items"]] == [stream.run_id]


def test_the_same_key_is_the_same_run(coding: Coding) -> None:
    key = {"Idempotency-Key": "k1"}
    with coding.executing("n = globals().get('n', 0) + 1\nn", headers=key) as first:
        events = list(first)
    with coding.executing("n = globals().get('n', 0) + 1\nn", headers=key) as second:
        assert (second.run_id, list(second)) == (first.run_id, events)
    assert coding.execute("n")[-1]["text"] == "1"
    [context] = coding.get("/contexts").json()
    coding.client.delete(coding.url(f"/contexts/{context['id']}"))
    with coding.executing("n", headers=key, context_id=context["id"]) as third:
        assert third.run_id == first.run_id
    assert coding.get("/contexts").json() == []


def test_one_that_is_cancelled_while_it_waits_says_so(coding: Coding) -> None:
    context = coding.context()
    held = coding.held(context)
    with coding.executing("1", context_id=context) as stream:
        assert coding.post(f"/runs/{stream.run_id}/cancel").status_code == 200
        [told] = list(stream)
    assert (told["type"], told["name"], told["value"]) == ("error", "Cancelled", "the run was cancelled")
    coding.post(f"/runs/{held['id']}/cancel")


@pytest.mark.parametrize("name", ["sandboxes", "machines"])
def test_comments_keep_a_silent_stream_alive(tight: httpx.Client, name: str) -> None:
    generation = Generation(tight, name)
    coding = Coding(generation)
    with coding.executing("while True: pass") as stream:
        stream.until_comments(4)
        coding.post(f"/runs/{stream.run_id}/cancel")
        assert "error" in types(list(stream))
    tight.delete(generation.url(coding.id))


def test_an_update_is_one_more_result_here_and_none_in_the_record(coding: Coding) -> None:
    code = "from IPython.display import clear_output, display\nprint('gone')\nclear_output()\n"
    code += "shown = display('one', display_id='d')\nshown.update('two')"
    with coding.executing(code) as stream:
        results = [event for event in stream if event["type"] == "result"]
    assert [(event["text"], event["display_id"]) for event in results] == [("'one'", "d"), ("'two'", "d")]
    execution = coding.ended(stream.run_id)["execution"]
    assert [result["text"] for result in execution["results"]] == ["'two'"]
    assert execution["logs"]["stdout"] == []


def test_artifacts_come_with_links(coding: Coding) -> None:
    with coding.executing("open('out.txt', 'w').write('hello')") as stream:
        [artifact] = [event["artifact"] for event in stream if event["type"] == "artifact"]
    assert (artifact["name"], artifact["kind"], artifact["execution_count"]) == ("out.txt", "file", 1)
    [kept] = coding.ended(stream.run_id)["execution"]["artifacts"]
    for found in (artifact, kept):
        assert found["id"] == artifact["id"]
        assert httpx.get(found["download_url"]).content == b"hello"


def test_artifacts_of_a_cell_without_a_value_have_its_number(coding: Coding) -> None:
    coding.execute("pass")
    events = coding.execute("with open('out.txt', 'w') as file: pass")
    assert types(events) == ["artifact", "number_of_executions"]
    assert (events[0]["artifact"]["execution_count"], events[1]["execution_count"]) == (2, 2)


def test_runs_of_other_apis_are_followed_too(coding: Coding) -> None:
    execd = httpx.Client(base_url=f"{coding.client.base_url}{coding.generation.url(coding.id)}/proxy/44772", timeout=60)
    with execd:
        init, *_ = run(execd, "print('a')")
    with coding.events(init["execution_id"]) as stream:
        assert texts(list(stream), "stdout") == "a\n"
