"""Code that asks for a line: refused at once by default, answered over HTTP when the client said that it can."""

from __future__ import annotations

import httpx

from tests.live.reading import CANCELLED, SUCCEEDED, Stream, end_of, is_a, of_type, run, running, text_of


def answer(client: httpx.Client, stream: Stream, value: str) -> int:
    return client.post(f"/code/executions/{stream.execution_id}/input", json={"value": value}).status_code


def test_input_fails_at_once_unless_it_was_allowed(client: httpx.Client) -> None:
    events = run(client, "input('name? ')")
    assert of_type(events, "input_request") == []
    assert of_type(events, "error")[0]["error"]["ename"] == "StdinNotImplementedError"
    assert end_of(events) == ("failed", "error")


def test_input_is_asked_for_and_answered(client: httpx.Client, context_id: str) -> None:
    with running(client, "name = input('name? ')\nprint('hello', name)", allow_stdin=True, id=context_id) as stream:
        asked = stream.until(is_a("input_request"))
        assert (asked["prompt"], asked["password"]) == ("name? ", False)
        assert client.get(f"/code/executions/{stream.execution_id}").json()["awaiting_input"] is True
        assert answer(client, stream, "Ünïcode \u2028 \U0001f600") == 200
        assert end_of(stream.rest()) == SUCCEEDED
    assert text_of(stream.seen) == "hello Ünïcode \u2028 \U0001f600\n"
    assert client.get(f"/code/executions/{stream.execution_id}").json()["awaiting_input"] is False


def test_a_password_is_asked_for_as_one(client: httpx.Client, context_id: str) -> None:
    code = "import getpass\nprint(len(getpass.getpass('secret: ')))"
    with running(client, code, allow_stdin=True, id=context_id) as stream:
        asked = stream.until(is_a("input_request"))
        assert (asked["prompt"], asked["password"]) == ("secret: ", True)
        assert answer(client, stream, "xyzzy") == 200
        stream.rest()
    assert text_of(stream.seen) == "5\n"
    assert "xyzzy" not in str(stream.seen)


def test_several_lines_are_asked_for_one_by_one(client: httpx.Client, context_id: str) -> None:
    with running(client, "print([input() for _ in range(3)])", allow_stdin=True, id=context_id) as stream:
        for value in ("a", "", "c"):
            stream.until(is_a("input_request"))
            assert answer(client, stream, value) == 200
        stream.rest()
    assert text_of(stream.seen) == "['a', '', 'c']\n"


def test_an_answer_that_nobody_asked_for_is_a_conflict(client: httpx.Client, context_id: str) -> None:
    with running(client, "import time\ntime.sleep(600)", allow_stdin=True, id=context_id) as stream:
        refused = client.post(f"/code/executions/{stream.execution_id}/input", json={"value": "x"})
        assert (refused.status_code, refused.json()["code"]) == (409, "CONFLICT")
        client.delete("/code", params={"id": context_id}).raise_for_status()
        assert end_of(stream.rest()) == CANCELLED
    assert answer(client, stream, "x") == 409


def test_a_second_answer_is_a_conflict(client: httpx.Client, context_id: str) -> None:
    code = "input()\nimport time\ntime.sleep(600)"
    with running(client, code, allow_stdin=True, id=context_id) as stream:
        stream.until(is_a("input_request"))
        assert [answer(client, stream, "x"), answer(client, stream, "y")] == [200, 409]
        client.delete("/code", params={"id": context_id}).raise_for_status()


def test_an_answer_to_nothing_is_not_found(client: httpx.Client) -> None:
    refused = client.post("/code/executions/run_000000000000/input", json={"value": "x"})
    assert (refused.status_code, refused.json()["code"]) == (404, "EXECUTION_NOT_FOUND")


def test_output_of_a_thread_does_not_take_the_question_back(client: httpx.Client, context_id: str) -> None:
    code = """
import threading
asked = threading.Event()
def talk():
    asked.wait()
    for _ in range(5): print('meanwhile', flush=True)
thread = threading.Thread(target=talk)
thread.start()
threading.Timer(0.2, asked.set).start()
print(f"got {input('? ')}\\n", end='')
thread.join()
"""
    with running(client, code, allow_stdin=True, id=context_id) as stream:
        stream.until(is_a("input_request"))
        stream.until(is_a("stdout"))
        assert answer(client, stream, "it") == 200
        assert end_of(stream.rest()) == SUCCEEDED
    assert "got it\n" in text_of(stream.seen)


def test_the_prompt_of_an_interrupted_question_is_not_left_behind(client: httpx.Client, context_id: str) -> None:
    with running(client, "input('first? ')", allow_stdin=True, id=context_id) as stream:
        stream.until(is_a("input_request"))
        client.delete("/code", params={"id": context_id}).raise_for_status()
        assert end_of(stream.rest()) == CANCELLED
    with running(client, "print(input('second? '))", allow_stdin=True, id=context_id) as stream:
        assert stream.until(is_a("input_request"))["prompt"] == "second? "
        assert answer(client, stream, "two") == 200
        stream.rest()
    assert text_of(stream.seen) == "two\n"
