"""Much output: many lines, one very large print, one very large display."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from benchmarks.client import events
from benchmarks.errors import RowFailed
from benchmarks.floors.jupyter import AsyncJupyter, async_jupyter
from benchmarks.floors.lean import LeanClient, lean_client
from benchmarks.floors.pipe import pipe
from benchmarks.measure import Take
from benchmarks.row import AtMost, Claim, Row
from benchmarks.service import Interpreter, printed
from benchmarks.workbench import Workbench

_MB = 1_000_000
_DISPLAY = f'display({{"image/png": "A" * {10 * _MB}}}, raw=True)'
_BIG_PRINT = f'print("x" * {100 * _MB})'


def lines(count: int) -> str:
    """Code that prints the numbers up to `count`, one a line."""
    return f"for i in range({count}): print(i)"


def _lines_text(count: int) -> str:
    return "".join(f"{i}\n" for i in range(count))


@contextmanager
def _against_jupyter(code: str, expected: Callable[[], str], workbench: Workbench) -> Iterator[Sequence[Take]]:
    text = expected()
    with (
        workbench.service() as service,
        service.interpreter() as interpreter,
        async_jupyter("tcp") as stock,
        lean_client(workbench) as lean,
    ):
        yield [
            lambda: {"execd": [_print_over_http(interpreter, code, text)]},
            lambda: {"jupyter_client": [_print_over_jupyter(stock, code, text)]},
            lambda: {"lean client": [lean.run(code)[0]]},
        ]


@contextmanager
def _against_pipe(code: str, expected: Callable[[], str], workbench: Workbench) -> Iterator[Sequence[Take]]:
    text = expected()
    with (
        workbench.service() as service,
        service.interpreter() as interpreter,
        lean_client(workbench) as lean,
    ):
        yield [
            lambda: {"execd": [_print_over_http(interpreter, code, text)]},
            lambda: {"pipe": [_print_to_pipe(code, text)]},
            lambda: {"lean client": [lean.run(code)[0]]},
        ]


@contextmanager
def _display(workbench: Workbench) -> Iterator[Sequence[Take]]:
    with workbench.service() as service, service.interpreter() as interpreter, lean_client(workbench) as lean:
        yield [
            lambda: {"execd": [_display_over_http(interpreter)]},
            lambda: {"lean client": [_display_over_zmq(lean)]},
        ]


def _print_over_http(interpreter: Interpreter, code: str, text: str) -> float:
    seconds, answer = interpreter.timed(code)
    _compare("execd", printed(answer), text)
    return seconds


def _print_over_jupyter(stock: AsyncJupyter, code: str, text: str) -> float:
    heard = stock.run(code)
    _compare("jupyter_client", heard.text, text)
    return heard.seconds


def _print_to_pipe(code: str, text: str) -> float:
    seconds, size = pipe(code)
    if size != len(text):
        raise RowFailed(f"the pipe carried {size} of {len(text)} bytes")
    return seconds


def _display_over_http(interpreter: Interpreter) -> float:
    seconds, answer = interpreter.timed(_DISPLAY)
    shown = [event["results"]["image/png"] for event in events(answer.body) if event["type"] == "result"]
    if [len(text) for text in shown] != [10 * _MB]:
        raise RowFailed("the display did not arrive whole")
    return seconds


def _display_over_zmq(lean: LeanClient) -> float:
    seconds, contents = lean.run(_DISPLAY)
    if max(map(len, contents)) < 10 * _MB:
        raise RowFailed("the display did not reach the lean client whole")
    return seconds


def _compare(who: str, got: str, wanted: str) -> None:
    if got != wanted:
        raise RowFailed(f"{who}: {len(got)} characters arrived, not the {len(wanted)} that were printed")


_Open = Callable[[Workbench], AbstractContextManager[Sequence[Take]]]


def _opened(
    how: Callable[..., AbstractContextManager[Sequence[Take]]], code: str, expected: Callable[[], str]
) -> _Open:
    return partial(how, code, expected)


ROWS = (
    Row(
        "100k-lines",
        "how soon 100,000 printed lines are all there",
        "s",
        (Claim("execd", "jupyter_client"), Claim("execd", "lean client")),
        _opened(_against_jupyter, lines(100_000), partial(_lines_text, 100_000)),
    ),
    Row(
        "200k-lines",
        "how soon 200,000 printed lines are all there",
        "s",
        (Claim("execd", "pipe", AtMost(0.5)), Claim("execd", "lean client")),
        _opened(_against_pipe, lines(200_000), partial(_lines_text, 200_000)),
    ),
    Row(
        "100mb-print",
        "how soon one print of 100 MB is all there",
        "s",
        (Claim("execd", "pipe", AtMost(1.2)), Claim("execd", "lean client")),
        _opened(_against_pipe, _BIG_PRINT, lambda: "x" * (100 * _MB) + "\n"),
    ),
    Row(
        "10mb-display",
        "how soon one rich output of 10 MB is there",
        "s",
        (Claim("execd", "lean client", AtMost(2.0)),),
        _display,
    ),
)
