"""The stream of a run: its headers, its frames, and the order of its events."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.live.reading import SUCCEEDED, body_of, end_of, event_of, is_a, kinds, of_type, run, running, text_of


def raw_stream(client: httpx.Client, code: str, **headers: str) -> bytes:
    with client.stream("POST", "/code", json=body_of(code), headers=headers) as answer:
        return answer.read()


def test_headers_keep_proxies_from_holding_a_stream_back(client: httpx.Client) -> None:
    with running(client, "1") as stream:
        headers = stream.answer.headers
        stream.rest()
    assert headers["content-type"].split(";")[0] == "text/event-stream"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert headers["content-encoding"] == "identity"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/ping", 200), ("GET", "/nothing", 404), ("PUT", "/code", 405), ("POST", "/code", 415)],
)
def test_every_answer_echoes_the_request_id(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path, headers={"X-Request-ID": "my-request-7"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (status, "my-request-7")


def test_a_stream_echoes_the_request_id(client: httpx.Client) -> None:
    with client.stream("POST", "/code", json=body_of("1"), headers={"X-Request-ID": "my-request-8"}) as answer:
        answer.read()
    assert answer.headers["x-request-id"] == "my-request-8"


def test_a_request_without_an_id_is_given_one(client: httpx.Client) -> None:
    given = {client.get("/ping").headers["x-request-id"] for _ in range(3)}
    assert len(given) == 3


def test_events_come_from_init_and_ping_to_complete(client: httpx.Client) -> None:
    with running(client, "print('out'); 1 + 1") as stream:
        events = stream.rest()
    assert [event["type"] for event in events[:2]] == ["init", "ping"]
    assert events[1]["text"] == "pong"
    assert kinds(events) == ["init", "stdout", "execution_count", "result", "execution_complete"]
    assert end_of(events) == SUCCEEDED


def test_init_names_the_context_and_the_execution(client: httpx.Client, context_id: str) -> None:
    with running(client, "1", id=context_id) as stream:
        init = stream.until(is_a("init"))
    assert init["text"] == context_id
    assert init["execution_id"] == stream.execution_id


def test_frames_are_numbered_but_for_pings(client: httpx.Client) -> None:
    frames = raw_stream(client, "print(1)\n2").removesuffix(b"\n\n").split(b"\n\n")
    events = [event_of(frame) for frame in frames]
    numbered = [event for event in events if event["type"] != "ping"]
    assert [event["id"] for event in numbered] == [str(seq) for seq in range(1, len(numbered) + 1)]
    assert [event["seq"] for event in numbered] == list(range(1, len(numbered) + 1))
    assert all("id" not in event and "seq" not in event for event in of_type(events, "ping"))


def test_every_event_has_an_integer_timestamp_that_never_goes_back(client: httpx.Client) -> None:
    with running(client, "print(1)") as stream:
        times = [event["timestamp"] for event in stream.rest()]
    assert all(type(time) is int for time in times)
    assert times == sorted(times)


def test_pings_come_again_while_nothing_else_does(tight: httpx.Client) -> None:
    with running(tight, "import time\ntime.sleep(60)") as stream:
        for _ in range(4):
            stream.until(is_a("ping"))
        tight.delete("/code", params={"id": stream.execution_id}).raise_for_status()
        stream.rest()


def test_an_error_is_told_as_a_status_then_an_error_then_the_end(client: httpx.Client) -> None:
    events = run(client, "print('before')\n1 / 0")
    assert kinds(events) == ["init", "stdout", "status", "error", "execution_complete"]
    status, error = of_type(events, "status")[0], of_type(events, "error")[0]["error"]
    assert status["text"] == "error"
    assert (error["ename"], error["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert any("1 / 0" in line or "division" in line for line in error["traceback"])
    assert end_of(events) == ("failed", "error")


def test_a_syntax_error_is_an_error_like_any_other(client: httpx.Client) -> None:
    events = run(client, "def")
    assert of_type(events, "error")[0]["error"]["ename"] == "SyntaxError"
    assert end_of(events) == ("failed", "error")


def test_the_execution_count_comes_with_a_result_only(client: httpx.Client) -> None:
    assert "execution_count" not in kinds(run(client, "print(1)"))
    events = run(client, "1")
    assert kinds(events)[1:3] == ["execution_count", "result"]
    assert of_type(events, "execution_count")[0]["execution_count"] > 0


def test_a_result_has_its_text_under_both_names(client: httpx.Client) -> None:
    (result,) = of_type(run(client, "'a' * 3"), "result")
    assert result["results"] == {"text": "'aaa'", "text/plain": "'aaa'"}
    assert result["is_main_result"] is True


def test_nothing_on_the_wire_can_be_taken_for_a_line_end(client: httpx.Client) -> None:
    code = r"text = 'a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1e \U0001f600 \r\n'" + "\nprint(text, end='')\ntext"
    raw = raw_stream(client, code)
    assert raw.isascii()
    assert not any(byte < 0x20 for byte in raw.replace(b"\n", b""))
    events = [event_of(frame) for frame in raw.removesuffix(b"\n\n").split(b"\n\n")]
    assert text_of(events) == "a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1e \U0001f600 \r\n"


def test_kotlin_clients_get_bare_json_frames(client: httpx.Client) -> None:
    raw = raw_stream(client, "print(1)", **{"User-Agent": "OpenSandbox-Kotlin-SDK/1.0.4"})
    assert raw.endswith(b"\n\n")
    frames = raw.removesuffix(b"\n\n").split(b"\n\n")
    events = [json.loads(frame) for frame in frames]
    assert [event["type"] for event in events[:2]] == ["init", "ping"]
    assert kinds(events) == ["init", "stdout", "execution_complete"]
    assert text_of(events) == "1\n"


def test_an_empty_line_of_output_and_a_missing_last_line_end_are_kept(client: httpx.Client) -> None:
    assert text_of(run(client, "print('a\\n\\nb', end='')")) == "a\n\nb"


def test_the_end_says_what_the_run_took(client: httpx.Client) -> None:
    end = run(client, "sum(range(10_000))")[-1]
    assert type(end["execution_time"]) is int
    assert end["cpu_seconds"] >= 0
    assert end["peak_memory_bytes"] > 1_000_000
    assert "exit_code" not in end


def test_top_level_await_works(client: httpx.Client) -> None:
    assert text_of(run(client, "import asyncio\nawait asyncio.sleep(0)\nprint('slept')")) == "slept\n"
