"""The messages of a terminal's WebSocket."""

from __future__ import annotations

import json
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.errors import InvalidFrame, TerminalInUse
from execd.service.line import Mode, Stream
from execd.wire.execd import terminal_frames as frames
from execd.wire.execd.errors import EXECD_ERRORS


@given(st.binary())
def test_binary_input(data: bytes) -> None:
    assert frames.decode(b"\x00" + data) == frames.Input(data)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_input_as_text(text: str) -> None:
    assert frames.decode(json.dumps({"type": "stdin", "data": text})) == frames.Input(text.encode())


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL", "SIGQUIT", "SIGHUP"])
def test_signals(name: str) -> None:
    assert frames.decode(json.dumps({"type": "signal", "signal": name})) == frames.Kill(signal.Signals[name])


def test_resize_and_ping() -> None:
    assert frames.decode('{"type":"resize","cols":132,"rows":50}') == frames.Resize(type="resize", cols=132, rows=50)
    assert frames.decode('{"type":"ping","more":1}') == frames.Ping(type="ping")


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"", "got nothing"),
        (b"\x01out", "got 0x01"),
        ("", "expected a JSON object: EOF"),
        ("[1]", "object"),
        ("nonsense", "JSON"),
        ("{}", "expected one of stdin, signal, resize, ping"),
        ('{"type":"exit"}', "expected one of stdin, signal, resize, ping"),
        ('{"type":"signal","signal":"SIGSTOP"}', "SIGSTOP"),
        ('{"type":"signal"}', "missing"),
        ('{"type":"resize","cols":0,"rows":5}', "cols"),
        ('{"type":"resize","cols":5,"rows":65536}', "rows"),
        ('{"type":"resize","cols":"5","rows":6}', "cols"),
        ('{"type":"stdin","data":7}', "data"),
        ('{"type":"stdin","data":"\\ud800"}', "hex escape"),
    ],
)
def test_what_means_nothing_is_refused_with_a_reason(message: str | bytes, why: str) -> None:
    with pytest.raises(InvalidFrame, match=why):
        frames.decode(message)


@given(st.binary(min_size=1).filter(lambda message: message[0] != 0))
def test_binary_that_is_no_input_is_refused(message: bytes) -> None:
    with pytest.raises(InvalidFrame, match="0x00"):
        frames.decode(message)


@given(st.text().filter(lambda text: not text.strip().startswith("{")))
def test_text_that_is_no_object_is_refused(message: str) -> None:
    with pytest.raises(InvalidFrame, match="expected"):
        frames.decode(message)


@given(st.sampled_from(list(Stream)), st.binary())
def test_output(stream: Stream, data: bytes) -> None:
    assert frames.output(stream, data) == {Stream.STDOUT: b"\x01", Stream.STDERR: b"\x02"}[stream] + data


@given(st.integers(0, 2**63 - 1), st.binary())
def test_replay(offset: int, data: bytes) -> None:
    frame = frames.replay(offset, data)
    assert (frame[0], int.from_bytes(frame[1:9], "big"), frame[9:]) == (3, offset, data)


def test_texts() -> None:
    assert frames.connected("pty_1", Mode.PIPE) == '{"type":"connected","session_id":"pty_1","mode":"pipe"}'
    assert frames.exited(0) == '{"type":"exit","exit_code":0}'
    assert frames.PONG == '{"type":"pong"}'
    shown = json.loads(frames.failed(TerminalInUse("pty_1"), EXECD_ERRORS))
    assert shown == {"type": "error", "code": "ALREADY_CONNECTED", "error": str(TerminalInUse("pty_1"))}
