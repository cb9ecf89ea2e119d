"""What requests of this dialect ask for."""

from __future__ import annotations

import pytest

from execd.errors import InvalidRequest, NotOffered
from execd.service.agent import AgentConfig
from execd.wire.body import parse_model
from execd.wire.promptrails.asking import page_wanted, status_wanted, version_of
from execd.wire.promptrails.generation import is_newer
from execd.wire.promptrails.schemas import ExecuteAgent, NewVersion


@pytest.mark.parametrize(
    ("query", "page", "limit", "offset"),
    [
        ({}, 1, 20, 0),
        ({"page": "3", "limit": "10"}, 3, 10, 20),
        ({"page": "0", "limit": "0"}, 1, 20, 0),
        ({"limit": "100"}, 1, 100, 0),
        ({"limit": "101"}, 1, 20, 0),
    ],
)
def test_a_page(query: dict[str, str], page: int, limit: int, offset: int) -> None:
    wanted = page_wanted(query)
    assert (wanted.page, wanted.limit, wanted.offset) == (page, limit, offset)


def test_a_page_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="page: expected a whole number"):
        page_wanted({"page": "two"})


@pytest.mark.parametrize(("total", "pages"), [(0, 0), (1, 1), (20, 1), (21, 2)])
def test_how_many_pages_there_are_is_said_in_both_words(total: int, pages: int) -> None:
    meta = page_wanted({}).meta(total)
    assert (meta.total, meta.pages, meta.total_pages) == (total, pages, pages)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("", None),
        ("pending", "queued"),
        ("awaiting_approval", "awaiting_approval"),
        ("waiting_approval", "awaiting_approval"),
        ("completed", "succeeded"),
        ("rejected", "rejected"),
    ],
)
def test_a_status_of_either_generation(word: str, status: str | None) -> None:
    assert status_wanted(word) == status


def test_an_unknown_status_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"waiting_approval.*got 'done'"):
        status_wanted("done")


@pytest.mark.parametrize(
    ("agent", "newer"),
    [
        ("promptrails-python/0.9.1", True),
        ("promptrails-python/0.8.0", False),
        ("promptrails-python/1.0.0", True),
        ("promptrails-go/0.7.0", True),
        ("promptrails-go/0.6.9", False),
        ("promptrails-js/0.9.0", False),
        ("curl/8", False),
        ("", False),
    ],
)
def test_a_generation_is_told_by_its_user_agent(agent: str, newer: bool) -> None:
    assert is_newer(agent) is newer


def test_a_version_without_more_than_its_code() -> None:
    body = parse_model(b'{"version": "1", "config": {"code": "1", "prompt_id": "p"}}', NewVersion)
    assert version_of(body, "agt_1").config == AgentConfig(code="1")


def test_memory_is_given_in_mebibytes() -> None:
    body = parse_model(b'{"version": "1", "config": {"code": "1", "memory_mb": 64, "timeout": 2}}', NewVersion)
    assert version_of(body, "agt_1").config == AgentConfig(code="1", memory=64 * 1024 * 1024, timeout=2.0)


def test_a_policy_that_nobody_would_hold_to_is_refused() -> None:
    body = parse_model(b'{"version": "1", "config": {}, "approval_policy": {"mode": "admins"}}', NewVersion)
    with pytest.raises(NotOffered, match="any_member"):
        version_of(body, "agt_1")


@pytest.mark.parametrize("given", [b'{"input": {"x": NaN}}', b'{"input": {"x": "\\ud800"}}', b'{"input": [1]}', b"{}"])
def test_an_input_that_no_kernel_could_be_given_is_refused(given: bytes) -> None:
    with pytest.raises(InvalidRequest, match="input"):
        parse_model(given, ExecuteAgent)
