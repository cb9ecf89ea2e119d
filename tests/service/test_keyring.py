"""Keys, who holds them, and who has tried too many that are none."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from execd.errors import InvalidRequest
from execd.service import keyring as module
from execd.service.caller import (
    EVERYTHING,
    Caller,
    Limits,
    Scope,
    calling,
    default_sandbox,
    is_default,
    may_see,
    tenant,
)
from execd.service.keyring import (
    BELIEVED_SECONDS,
    BLOCKED_SECONDS,
    Attempts,
    KeyRequest,
    Keyring,
    digest_of,
    limits_of,
    new_key,
    tenant_to_be,
)
from execd.settings import Settings
from execd.store import tenants as rows
from execd.store.store import Store


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# Tries as (seconds since the one before, address), and for each whether nothing more is to be heard from there.
STORIES: dict[str, tuple[list[tuple[float, str]], list[bool]]] = {
    "two are not many": ([(0, "a"), (1, "a")], [False, False]),
    "three are": ([(0, "a"), (1, "a"), (1, "a")], [False, False, True]),
    "and all that follow": ([(0, "a"), (1, "a"), (1, "a"), (30, "a"), (29, "a")], [False, False, True, True, True]),
    "for a while": ([(0, "a"), (1, "a"), (1, "a"), (BLOCKED_SECONDS, "a")], [False, False, True, False]),
    "three in a long time are not many": ([(0, "a"), (40, "a"), (40, "a")], [False, False, False]),
    "the last three count": ([(0, "a"), (50, "a"), (20, "a"), (20, "a")], [False, False, False, True]),
    "others are others": ([(0, "a"), (0, "b"), (0, "a"), (0, "c"), (0, "a"), (0, "b")], [False] * 4 + [True, False]),
}


@pytest.mark.parametrize("name", STORIES)
def test_who_has_tried_too_many(name: str) -> None:
    clock = Clock()
    attempts, heard = Attempts(clock), []
    for pause, address in STORIES[name][0]:
        clock.now += pause
        heard.append(attempts.wrong(address))
    assert [seconds is not None for seconds in heard] == STORIES[name][1]
    assert all(0 < seconds <= BLOCKED_SECONDS for seconds in heard if seconds is not None)


def test_as_many_addresses_as_there_are_cost_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 5)
    attempts = Attempts(Clock())
    for number in range(100):
        attempts.wrong(str(number))
    assert len(attempts._tries) == 5


async def made(store: Store, tenant_name: str, **wanted: object) -> str:
    """The text of a new key."""
    request = KeyRequest(tenant_name, **wanted)  # type: ignore[arg-type]

    def work(connection: Connection) -> str:
        owner = tenant_to_be(rows.tenant_named(connection, tenant_name), tenant_name, 1)
        rows.put_tenant(connection, owner)
        text, row = new_key(request, owner.id, 1)
        rows.add_key(connection, row)
        return text

    return await store.write(work)


async def test_a_key_is_its_holder_s(store: Store) -> None:
    ring = Keyring(store, Settings(quota_contexts=9, quota_executions=8))
    limits = Limits(executions=2)
    text = await made(store, "somebody", scopes=frozenset({Scope.READ}), limits=limits)
    found = await ring.find(text)
    assert found is not None
    assert found.tenant.startswith("tnt_")
    assert (found.scopes, found.limits) == (frozenset({Scope.READ}), Limits(executions=2, contexts=9))
    other = await ring.find(await made(store, "somebody"))
    assert other is not None
    assert (other.tenant, other.scopes, other.limits.executions) == (found.tenant, EVERYTHING, 8)
    assert await ring.find(text + "x") is None
    assert await ring.find("\udce4") is None


async def test_the_operator_s_tenant_has_keys_too(store: Store) -> None:
    found = await Keyring(store, Settings()).find(await made(store, "default"))
    assert found is not None
    assert found.tenant == "default"


async def test_the_store_has_no_key(store: Store) -> None:
    text = await made(store, "somebody")
    [held] = await store.read(rows.all_keys)
    assert held.key.digest == digest_of(text)
    assert text not in repr(held)
    assert len(text) > 40
    assert text.startswith(held.key.hint)


async def test_what_is_revoked_opens_nothing_after_a_moment(store: Store) -> None:
    clock = Clock()
    ring = Keyring(store, Settings(), clock)
    text = await made(store, "somebody")
    assert await ring.find(text) is not None
    [held] = await store.read(rows.all_keys)
    assert await store.write(lambda connection: rows.revoke_key(connection, held.key.id, 5))
    clock.now += BELIEVED_SECONDS
    assert await ring.find(text) is None
    assert not await store.write(lambda connection: rows.revoke_key(connection, held.key.id, 6))


async def test_what_has_expired_opens_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Keyring(store, Settings())
    text = await made(store, "somebody", expires_at=5000)
    for now, good in ((4999, True), (5000, False)):
        monkeypatch.setattr(module, "now_ms", lambda now=now: now)
        assert (await ring.find(text) is not None) is good


async def test_it_is_closed_from_the_first_key_on_for_good(store: Store) -> None:
    clock = Clock()
    ring = Keyring(store, Settings(), clock)
    assert not await ring.closed()
    await made(store, "somebody")
    clock.now += BELIEVED_SECONDS + 1
    assert await ring.closed()
    [held] = await store.read(rows.all_keys)
    await store.write(lambda connection: rows.revoke_key(connection, held.key.id, 5))
    assert await Keyring(store, Settings()).closed()


@pytest.mark.parametrize("given", [{"cookies": 1}, {"executions": -1}, {"executions": "many"}, {"executions": True}])
def test_limits_that_mean_nothing(given: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        limits_of(given)


def test_who_asks_is_told_by_where_it_is_asked() -> None:
    assert (tenant(), default_sandbox(), may_see("anybody")) == ("default", "default", True)
    with calling(Caller("tnt_1")):
        assert (tenant(), default_sandbox()) == ("tnt_1", "sb_default_1")
        assert [may_see(owner) for owner in ("tnt_1", "default", "tnt_2")] == [True, False, False]
    assert tenant() == "default"
    assert [is_default(name) for name in ("default", "sb_default_1", "sb_1", "default_1")] == [True, True, False, False]
