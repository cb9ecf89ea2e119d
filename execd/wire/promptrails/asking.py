"""What requests of this dialect ask for: pages, filters, ids, and whose everything is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from execd.errors import InvalidRequest, NotOffered
from execd.events import Status
from execd.service.agent import AgentConfig, Version
from execd.service.approvals import Verdict
from execd.service.caller import caller
from execd.wire.operation import Parameter
from execd.wire.promptrails.answers import MetaBody
from execd.wire.promptrails.schemas import NewVersion, VersionConfig
from execd.wire.promptrails.schemas import Verdict as VerdictBody
from execd.wire.query import whole_number
from execd.wire.statuses import WORDS

_LIMIT = 20
_LIMIT_MOST = 100
_LAST_PAGE = 10**9
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PageWanted:
    """A page of a list, from 1 on."""

    page: int
    limit: int

    @property
    def offset(self) -> int:
        """How many are before it."""
        return (self.page - 1) * self.limit

    def meta(self, total: int) -> MetaBody:
        """What is said of it where there are so many in all."""
        pages = -(-total // self.limit)
        return MetaBody(total=total, page=self.page, limit=self.limit, pages=pages, total_pages=pages)


def page_wanted(query: Mapping[str, str]) -> PageWanted:
    """The page that a query asks for. A limit that is out of bounds is none. Raises InvalidRequest."""
    page = whole_number("page", query.get("page", ""), 1)
    limit = whole_number("limit", query.get("limit", ""), _LIMIT)
    return PageWanted(min(max(page, 1), _LAST_PAGE), limit if 1 <= limit <= _LIMIT_MOST else _LIMIT)


def status_wanted(given: str) -> str | None:
    """The status that a word of either generation stands for, as the store has it. Raises InvalidRequest."""
    if not given:
        return None
    if given not in _STATUSES:
        raise InvalidRequest(f"expected one of {', '.join(_STATUSES)}, got {given[:40]!r}", "status")
    return _STATUSES[given].value


def path_id(request: Request, name: str) -> str:
    """An id in the path. No database takes a NUL, and no id has one."""
    return str(request.path_params[name]).replace("\0", "\ufffd")


def filter_of(query: Mapping[str, str], name: str) -> str | None:
    """A filter in the query, None where there is none."""
    return query.get(name, "").replace("\0", "\ufffd") or None


def verdict_of(body: VerdictBody, *, approve: bool) -> Verdict:
    """What is decided, by whom it says, or else by the key that it comes with."""
    who = caller()
    return Verdict(approve, body.reason, body.decided_by or (who.key_id if who else None) or "")


def version_of(body: NewVersion, agent_id: str) -> Version:
    """The version that is to be made. Raises NotOffered."""
    if body.approval_policy.mode != "any_member":
        raise NotOffered("approval_policy: whoever has a key may decide here, which is the mode any_member")
    return Version(
        "", agent_id, 0, body.version, _config(body.config), body.input_schema, body.output_schema, body.message
    )


def _config(body: VersionConfig) -> AgentConfig:
    given = body.model_dump(exclude={"memory_mb"})
    return AgentConfig(**given, memory=None if body.memory_mb is None else body.memory_mb * _MIB)


_STATUSES: Mapping[str, Status] = {
    word: status
    for status, words in WORDS.items()
    for word in (words.promptrails, words.promptrails_newer)
    if word is not None
}

PAGE_PARAMETERS = (
    Parameter("page", "Which page, from 1 on.", type="integer"),
    Parameter("limit", f"How many a page holds: {_LIMIT}, or up to {_LIMIT_MOST}.", type="integer"),
)
