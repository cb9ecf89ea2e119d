"""The errors of a run: few and small ones pass, and what is too much is counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from execd.events import Error, Event, StatusChanged, Stdout, Truncated
from execd.service.budget import OutputBudget
from execd.service.failures import ERROR_BYTES, ROOM, Failures, error_size, shortened

texts = st.text(st.sampled_from(["a", "é", "😀", "\ud800", "\n"]), max_size=30)
numbers = st.integers(1, 4000)
huge = st.builds(str.__mul__, texts, numbers)
errors = st.builds(Error, huge, huge, st.lists(huge, max_size=5).map(tuple))


@given(errors)
def test_a_huge_error_is_shortened_to_its_ends(error: Error) -> None:
    kept = shortened(error)
    assert error_size(kept) <= max(ERROR_BYTES + 1024, 0)
    assert error.ename.startswith(kept.ename)
    assert error.evalue.startswith(kept.evalue)
    assert "\n".join(error.traceback).endswith("\n".join(kept.traceback))
    assert bool(kept.traceback) is bool(error.traceback)
    if error_size(error) <= ERROR_BYTES:
        assert kept == error


def test_what_fits_passes_as_it_is() -> None:
    failures = Failures()
    status, error = StatusChanged("error"), Error("E", "e", ("line",))
    assert [*failures.admit(status, hold=False), *failures.admit(error, hold=False)] == [status, error]
    assert (failures.settle(), failures.dropped) == ([], 0)


def test_of_too_many_the_last_is_kept_and_the_others_are_counted() -> None:
    failures = Failures()
    passed: list[Event] = []
    sent = [Error("E", f"{number} " + "x" * 10_000) for number in range(1000)]
    for error in sent:
        passed += failures.admit(StatusChanged("error"), hold=False)
        passed += failures.admit(error, hold=False)
    told = [event for event in passed if isinstance(event, Error)]
    assert told == sent[: len(told)]
    assert ROOM - 20_000 < sum(map(error_size, told)) <= ROOM
    assert failures.settle() == [StatusChanged("error"), sent[-1]]
    assert failures.seen == sum(map(error_size, sent))
    assert failures.dropped == sum(map(error_size, sent[len(told) : -1]))


def test_once_one_is_held_back_none_overtakes_it() -> None:
    failures = Failures()
    assert failures.admit(Error("E", "held"), hold=True) == []
    assert failures.admit(StatusChanged("error"), hold=False) == []


def test_the_budget_tells_how_much_of_an_error_is_missing() -> None:
    budget = OutputBudget(4096, 1024, 4096)
    error = Error("E", "x" * 1_000_000)
    [kept] = budget.admit(error)
    assert kept == shortened(error)
    missing = error_size(error) - error_size(shortened(error))
    assert budget.settle() == [Truncated("error", missing, error_size(error))]


def test_the_budget_holds_an_error_back_behind_the_tail() -> None:
    budget = OutputBudget(4096, 1024, 4096)
    budget.exhaust()
    assert budget.admit(Stdout("end\n")) == []
    assert budget.admit(Error("E", "e")) == []
    assert budget.settle() == [Stdout("end\n"), Error("E", "e")]
