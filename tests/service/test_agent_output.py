"""What a run returns and has used, from its events."""

from __future__ import annotations

from typing import Any

import pytest

from execd.events import Checkpoint, Complete, Event, Report, Result, Status, Stderr, Stdout
from execd.service.agent_output import Gatherer

END = Complete(Status.SUCCEEDED)
SAID = Report("output", {"value": {"said": 1}})
SHOWN = Result({"application/json": {"shown": 1}}, {})


def gathered(*events: Event) -> dict[str, Any]:
    detail: dict[str, Any] = {}
    gatherer = Gatherer(detail, lambda _: None)
    for event in events:
        gatherer(event)
    return detail


@pytest.mark.parametrize(
    ("events", "output"),
    [
        ((), None),
        ((SAID, Stdout("x"), SHOWN), {"said": 1}),
        ((SAID, Report("output", {"value": {"said": 2}})), {"said": 2}),
        ((Report("output", {"value": [1]}),), {"result": [1]}),
        ((Report("output", {"value": None}),), {"result": None}),
        ((Stdout("x"), SHOWN), {"shown": 1}),
        ((SHOWN, Result({"text/plain": "2"}, {}), Stdout("x")), {"text": "x"}),
        ((Stdout('{"a":'), Stdout(" 1}\n")), {"a": 1}),
        ((Stdout("[1]"),), {"text": "[1]"}),
        ((Stdout("plain"), Stderr("!")), {"text": "plain"}),
        ((Stderr("!"),), None),
        ((Stdout("x" * 70_000),), {"text": "x" * 65_536, "truncated": True}),
        ((Report("output", {"value": "x" * 1_048_576}), Stdout("small")), {"text": "small"}),
    ],
)
def test_an_output(events: tuple[Event, ...], output: Any) -> None:
    assert gathered(*events, END).get("output") == output


def test_nothing_is_returned_before_the_end_but_what_was_said() -> None:
    assert gathered(Stdout("x")) == {}
    assert gathered(SAID) == {"output": {"said": 1}}


def test_usage_adds_up() -> None:
    told = gathered(
        Report("usage", {"tokens": {"prompt_tokens": 1}, "cost": 0.25}),
        Report("usage", {"tokens": {"prompt_tokens": 2, "total_tokens": 3}, "cost": 1}),
        Stdout("é"),
        Stderr("!"),
        END,
    )
    assert told["token_usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert (told["cost"], told["output_bytes"]) == (1.25, 3)


@pytest.mark.parametrize("fields", [{}, {"tokens": 7, "cost": "much"}, {"tokens": {"a": "many"}, "cost": None}])
def test_usage_that_makes_no_sense_counts_for_nothing(fields: dict[str, Any]) -> None:
    told = gathered(Report("usage", fields), END)
    assert (told["token_usage"], told.get("cost")) == ({}, None)


def test_kinds_of_tokens_are_few() -> None:
    told = gathered(Report("usage", {"tokens": {str(number): 1 for number in range(100)}}))
    assert len(told["token_usage"]) == 20


def test_a_checkpoint_is_passed_on() -> None:
    asked: list[Checkpoint] = []
    Gatherer({}, asked.append)(Checkpoint("go?", 1))
    assert asked == [Checkpoint("go?", 1)]
