"""JSON bodies: what is taken, and what is said about what is not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from execd.errors import BodyTooLarge, InvalidRequest, WrongContentType
from execd.wire.body import check_json_type, parse_model, read_bytes, read_model
from execd.wire.execd.schemas import InputLine, RunCode, RunCommand, RunInSession

DEEP = '{"code": ' + "[" * 100_000 + "]" * 100_000 + "}"
FAR = 10**400


def parsed(text: str | bytes) -> RunCode:
    return parse_model(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"), RunCode)


@pytest.mark.parametrize(
    "text",
    [
        '{"code": "x"}',
        '\ufeff{"code": "x"}',
        ' \r\n\t{"code": "x"} \n',
        '{"code": "x", "unknown": {"a": [1]}, "context": {"language": "python", "more": 1}}',
        '{"code": "x"}{"code": "y"}',
        '{"code": "x"} garbage',
        '{"code": "y", "code": "x"}',
        '{"code": "x", "context": {"language": "python", "cwd": null}, "timeout": null}',
    ],
)
def test_what_is_taken(text: str) -> None:
    assert parsed(text).code == "x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "body: expected a JSON object, got nothing"),
        ("  \n", "body: expected a JSON object, got nothing"),
        ("null", "body: expected a JSON object, got null"),
        ("[]", "body: expected a JSON object, got an array"),
        ("true", "body: expected a JSON object, got a boolean"),
        ("7", "body: expected a JSON object, got the number 7"),
        ('"text"', "body: expected a JSON object, got the string 'text'"),
        ("{", "body: expected JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("code=x", "body: expected JSON: Expecting value: line 1 column 1 (char 0)"),
        (b'{"code": "\xff"}', "body: expected JSON in UTF-8, byte 10 is not"),
        (DEEP, "body: expected JSON that is not nested this deep"),
        ("{}", "code: this field is missing"),
        ('{"code": null}', "code: this field is missing"),
        ('{"code": 7}', "code: expected a valid string, got the number 7"),
        ('{"code": {"a": 1}}', "code: expected a valid string, got an object"),
        ('{"code": true}', "code: expected a valid string, got a boolean"),
        ('{"code": ""}', "code: expected a string that is not empty, got the string ''"),
        ('{"code": "x", "context": "python"}', "context: expected an object, got the string 'python'"),
        ('{"code": "x", "context": {"language": 7}}', "context.language: expected a valid string, got the number 7"),
        ('{"code": "x", "context": {"cwd": "a\\u0000b"}}', "context.cwd: expected a path without NUL bytes"),
        ('{"code": "x", "timeout": "5"}', "timeout: expected a valid integer, got the string '5'"),
        ('{"code": "x", "timeout": 1.5}', "timeout: expected a valid integer, got the number 1.5"),
        ('{"code": "x", "timeout": 0}', "timeout: expected greater than 0, got the number 0"),
        ('{"code": "x", "timeout": true}', "timeout: expected a valid integer, got a boolean"),
        ('{"code": "x", "timeout": NaN}', "timeout: expected "),
        ('{"code": "x", "allow_stdin": "yes"}', "allow_stdin: expected a valid boolean, got the string 'yes'"),
        (f'{{"code": {"9" * 5000}}}', "body: expected JSON: "),
    ],
)
def test_what_is_wrong_is_said(text: str | bytes, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parsed(text)
    assert str(refused.value).startswith(said)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", ['{"code": "\\ud800"}', '{"code": "a\\udfffb"}'])
def test_lone_surrogates_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^code: expected .*(surrogate|unicode|valid)") as refused:
        parsed(text)
    str(refused.value).encode()


@pytest.mark.parametrize("model", [RunCode, RunCommand, RunInSession])
def test_no_time_limit_is_too_long_to_compute_with(model: type[Any]) -> None:
    raw = json.dumps({"code": "x", "command": "x", "timeout": FAR}).encode()
    assert parse_model(raw, model).timeout / 1000 >= 10**12


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"command": "a", "argv": ["a"]}', "body: expected exactly one of command and argv, not empty"),
        ('{"command": "a", "gid": 0}', "body: expected uid together with gid"),
        ('{"command": "a", "envs": []}', "envs: expected an object, got an array"),
    ],
)
def test_what_does_not_go_together_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_model(text.encode(), RunCommand)
    assert str(refused.value) == said


def test_the_field_is_named() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parsed('{"code": "x", "context": {"language": 7}}')
    assert refused.value.field == "context.language"


@given(st.text())
def test_any_text_that_is_unicode_arrives_as_it_was(text: str) -> None:
    raw = json.dumps({"value": text}).encode()
    try:
        text.encode()
    except UnicodeEncodeError:
        with pytest.raises(InvalidRequest):
            parse_model(raw, InputLine)
    else:
        assert parse_model(raw, InputLine).value == text


@given(st.binary(max_size=60))
def test_garbage_is_refused_with_a_reason(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_model(raw, RunCode)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", "application/json;x", "application/vnd.api+json"],
)
def test_types_that_are_json(content_type: str) -> None:
    check_json_type(content_type)


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "text/json", "text/x+json", "application/jsonx", "json"],
)
def test_types_that_are_not(content_type: str) -> None:
    with pytest.raises(WrongContentType):
        check_json_type(content_type)


def request_of(chunks: Iterable[bytes], **headers: str) -> Request:
    parts = list(chunks) or [b""]
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, start=1)
    ]
    pending = iter(messages)

    async def receive() -> Message:
        return next(pending)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


@pytest.mark.parametrize("chunks", [[], [b"12345"], [b"12", b"", b"345"]])
async def test_a_body_within_the_bound_is_read_whole(chunks: list[bytes]) -> None:
    assert await read_bytes(request_of(chunks), 5) == b"".join(chunks)


@pytest.mark.parametrize(
    ("chunks", "length"), [([b"123456"], ""), ([b"123", b"456"], ""), ([], "6"), ([], "9" * 5000), ([b"123456"], "5")]
)
async def test_a_longer_one_is_refused(chunks: list[bytes], length: str) -> None:
    headers = {"content_length": length} if length else {}
    with pytest.raises(BodyTooLarge, match="larger than the 5 bytes"):
        await read_bytes(request_of(chunks, **headers), 5)


async def test_the_rest_of_a_long_body_is_not_read() -> None:
    def endless() -> Iterable[bytes]:
        yield from [b"123", b"456"]

    request = request_of([*endless(), b"never read"])
    with pytest.raises(BodyTooLarge):
        await read_bytes(request, 5)
    assert (await request.receive())["body"] == b"never read"


async def test_a_request_becomes_a_model() -> None:
    body = b'{"value": "x"}'
    assert (await read_model(request_of([body], content_type="application/json"), InputLine, 100)).value == "x"
    with pytest.raises(WrongContentType):
        await read_model(request_of([body], content_type="text/plain"), InputLine, 100)
