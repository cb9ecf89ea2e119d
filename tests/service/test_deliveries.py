"""Deliveries: found when they are due, tried in fair shares, ended as they should."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
from sqlalchemy import Connection
from standardwebhooks import Webhook

from execd.events import Complete, Reason, Status, Stdout
from execd.kernel.request import ExecuteRequest
from execd.service import deliveries as module
from execd.service.caller import tenant
from execd.service.deliveries import NO_RECORD, OF_A_TENANT, TO_A_HOST, Deliveries, signing_secrets
from execd.service.execution import Execution, Origin
from execd.service.executions import Executions
from execd.service.meters import Meters
from execd.service.recorder import Recorder, recording
from execd.service.rendering import Rendering, Renderings
from execd.service.transcript import transcript
from execd.service.webhook_sender import GONE, Outcome
from execd.settings import Settings
from execd.store import deliveries, webhooks
from execd.store import executions as execution_rows
from execd.store.deliveries import DeliveryRow, WantedDeliveries
from execd.store.store import Store
from execd.store.webhooks import WebhookRow
from tests.live.waiting import eventually_found

URL = "https://hooks.example/hook"
TAKEN, REFUSED = Outcome(200), Outcome(500, "it answered: 500")


@dataclass
class Post:
    """What is sent, and what comes of it: by URL, in their order, the last again and again. A URL of which nothing is
    known answers when it is let."""

    outcomes: Mapping[str, list[Outcome | Exception]] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    under_way: list[str] = field(default_factory=list)
    most: int = 0
    let: anyio.Event = field(default_factory=anyio.Event)
    _news: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        self.sent.append((url, dict(headers), json.loads(body)))
        self.under_way.append(url)
        self.most = max(self.most, len(self.under_way))
        self._tell()
        try:
            if url not in self.outcomes:
                await self.let.wait()
                return TAKEN
            known = self.outcomes[url]
            outcome = known.pop(0) if len(known) > 1 else known[0]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        finally:
            self.under_way.remove(url)

    async def count(self, wanted: int) -> None:
        """Return when so much was sent."""
        with anyio.fail_after(60):
            while len(self.sent) < wanted:
                await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()


class Desk:
    """Executions whose ends are delivered."""

    def __init__(self, store: Store, recorder: Recorder, post: Post, **settings: Any) -> None:
        self.store = store
        self.settings = Settings(**{"webhook_retry": 0.01, **settings})
        self.meters = Meters()
        self.executions = Executions(self.settings, recorder, self.meters, Renderings(Rendering(_standing, _ended)))
        self.work = Deliveries(self.settings, self.executions, self.meters, post)
        self.executions.when_announced(self.work.look)
        self._numbers = iter(range(10_000))

    async def ended(self, url: str | None = URL, owner: str = "default", output: str = "") -> Execution:
        """An execution that has ended."""
        origin = Origin(f"run_{next(self._numbers)}", "ctx_1", "python", tenant=owner, webhook_url=url)
        execution = await self.executions.new(ExecuteRequest("1"), origin)
        execution.start()
        if output:
            execution.emit(Stdout(output))
        execution.finish(Complete(Status.FAILED, Reason.ERROR))
        await execution.ended.wait()
        return execution

    async def rows(self, owner: str = "default") -> list[DeliveryRow]:
        """All deliveries of a tenant, from the oldest on."""

        def work(connection: Connection) -> list[DeliveryRow]:
            return deliveries.page(connection, WantedDeliveries(owner), 9999)

        return list(reversed(await self.store.read(work)))

    async def settled(self, owner: str = "default") -> list[DeliveryRow]:
        """The same, once none is pending."""
        return await eventually_found(partial(self.rows, owner), lambda found: all(row.ended_at for row in found))

    async def delivered(self, execution: Execution) -> None:
        """Return when its record says so."""
        get = partial(self.executions.get, execution.id)
        await eventually_found(get, lambda found: found.webhook_delivery == "delivered")


def _standing(execution: Execution) -> dict[str, Any]:
    return {"id": execution.id, "for": tenant()}


async def _ended(execution: Execution) -> dict[str, Any]:
    return {**_standing(execution), "stdout": (await transcript(execution)).stdout, "list": ["x"] * 2000}


@asynccontextmanager
async def delivering(store: Store, post: Post, **settings: Any) -> AsyncIterator[Desk]:
    """Deliveries under way while the block runs."""
    async with recording(store) as recorder, anyio.create_task_group() as tasks:
        desk = Desk(store, recorder, post, **settings)
        tasks.start_soon(desk.work.run)
        yield desk
        tasks.cancel_scope.cancel()


async def test_tried_until_it_is_taken(store: Store) -> None:
    post = Post({URL: [REFUSED, Outcome(error="it hung up"), TAKEN]})
    async with delivering(store, post) as desk:
        execution = await desk.ended(output="text")
        [row] = await desk.settled()
        assert (row.state, row.attempts, row.last_status, row.last_error) == ("delivered", 3, 200, None)
        assert (await desk.executions.get(execution.id)).webhook_delivery == "delivered"
        secret = (await store.write(lambda connection: signing_secrets(connection, "default")))[0]
        for url, headers, message in post.sent:
            assert (url, headers["webhook-id"]) == (URL, row.id)
            Webhook(secret).verify(json.dumps(message, separators=(",", ":")), headers)
            assert message["type"] == "execution.failed"
            assert message["data"]["stdout"] == "text"
            # What is shown is shown to its tenant.
            assert (message["data"]["id"], message["data"]["for"]) == (execution.id, "default")
        assert b'outcome="pending"} 2.0' in desk.meters.exposition()


async def test_a_receiver_that_wants_to_be_left_alone_is(store: Store) -> None:
    post = Post({URL: [Outcome(503, "it answered: 503", retry_after=1800)]})
    async with delivering(store, post) as desk:
        await desk.ended()
        [row] = await eventually_found(desk.rows, lambda found: found[0].attempts == 1)
        assert row.due_at is not None
        assert row.due_at - row.created_at >= 1_800_000


async def test_given_up_when_its_time_is_over(store: Store) -> None:
    async with delivering(store, Post({URL: [REFUSED]}), webhook_give_up=0.2) as desk:
        execution = await desk.ended()
        [row] = await desk.settled()
        assert (row.state, row.last_error, row.due_at) == ("failed", "it answered: 500", None)
        assert row.attempts > 1
        assert (await desk.executions.get(execution.id)).webhook_delivery == "failed"


async def test_a_host_that_is_slow_has_its_share_and_no_more(store: Store) -> None:
    quick = "https://quick.example/"
    post = Post({quick: [TAKEN]})
    async with delivering(store, post) as desk:
        for _ in range(TO_A_HOST * 3):
            await desk.ended()
        await post.count(TO_A_HOST)
        execution = await desk.ended(quick)
        await desk.delivered(execution)
        assert post.under_way == [URL] * TO_A_HOST
        post.let.set()
        assert {row.state for row in await desk.settled()} == {"delivered"}
        assert len(post.sent) == TO_A_HOST * 3 + 1
        assert post.most == TO_A_HOST + 1


async def test_a_tenant_that_has_many_hosts_has_its_share_and_no_more(store: Store) -> None:
    quick = "https://quick.example/"
    post = Post({quick: [TAKEN]})
    async with delivering(store, post) as desk:
        for number in range(OF_A_TENANT + 8):
            await desk.ended(f"https://h{number}.example/", "tnt_1")
        await post.count(OF_A_TENANT)
        await desk.ended(quick, "tnt_2")
        assert [row.state for row in await desk.settled("tnt_2")] == ["delivered"]
        assert len(post.under_way) == OF_A_TENANT
        post.let.set()
        assert {row.state for row in await desk.settled("tnt_1")} == {"delivered"}


async def test_a_webhook_that_is_gone(store: Store) -> None:
    hook = WebhookRow("wh_1", "default", "https://gone.example/", 1)
    await store.write(lambda connection: webhooks.add(connection, hook))
    post = Post({hook.url: [Outcome(GONE, "it answered: 410", final=True)], URL: [Outcome(GONE, "gone", final=True)]})
    async with delivering(store, post) as desk:
        await desk.ended()
        rows = await desk.settled()
        assert {(row.webhook_id, row.state, row.attempts) for row in rows} == {
            (None, "failed", 1),
            ("wh_1", "failed", 1),
        }
        found = await store.read(lambda connection: webhooks.get(connection, "wh_1"))
        assert found is not None
        assert (found.disabled_at is not None, found.disabled_why) == (True, "it answered 410: it wants nothing more")
        # A URL that an execution has named is no webhook: the next one that names it is sent to.
        await desk.ended()
        assert len(await desk.settled()) == 3


async def test_a_webhook_that_was_removed_or_disabled_is_sent_nothing(store: Store) -> None:
    hook = WebhookRow("wh_1", "default", URL, 1)
    row = DeliveryRow("msg_1", "node_1", "default", "run_9", URL, "h", "execution.failed", 1, "wh_1", {}, due_at=1)

    def work(connection: Connection) -> None:
        webhooks.add(connection, hook)
        webhooks.disable(connection, "wh_1", "why", 2)
        deliveries.add(connection, [row])

    await store.write(work)
    post = Post({URL: [TAKEN]})
    async with delivering(store, post) as desk:
        [found] = await desk.settled()
        assert (found.state, found.last_error) == ("failed", module.NO_WEBHOOK)
        assert post.sent == []


async def test_a_record_that_is_not_kept_any_more_disables_nothing(store: Store) -> None:
    hook = WebhookRow("wh_1", "default", URL, 1)
    row = DeliveryRow("msg_1", "node_1", "default", "run_9", URL, "h", "execution.failed", 1, "wh_1", due_at=1)
    await store.write(lambda connection: webhooks.add(connection, hook))
    await store.write(lambda connection: deliveries.add(connection, [row]))
    async with delivering(store, Post()) as desk:
        [found] = await desk.settled()
        assert (found.state, found.last_error) == ("failed", NO_RECORD)
        assert [found.id for found in await store.read(partial(webhooks.enabled, tenant="default"))] == ["wh_1"]


async def test_another_node_s_are_left_alone(store: Store) -> None:
    theirs = DeliveryRow("msg_1", "node_2", "default", "run_9", URL, "h", "execution.failed", 1, body={}, due_at=1)
    await store.write(lambda connection: deliveries.add(connection, [theirs]))
    async with delivering(store, Post({URL: [TAKEN]})) as desk:
        execution = await desk.ended()
        await desk.delivered(execution)
        assert [(row.id, row.state) for row in await desk.rows() if row.node == "node_2"] == [("msg_1", "pending")]


async def test_the_next_service_goes_on_with_what_is_due(store: Store) -> None:
    first = Post()
    async with delivering(store, first) as desk:
        await desk.ended()
        await first.count(1)
    # It ended while that was under way.
    second = Post({URL: [TAKEN]})
    async with delivering(store, second) as desk:
        [row] = await desk.settled()
        assert (row.state, row.attempts) == ("delivered", 1)
    assert [headers["webhook-id"] for _, headers, _ in (*first.sent, *second.sent)] == [row.id] * 2


async def test_a_large_record_is_shortened(store: Store) -> None:
    post = Post({URL: [TAKEN]})
    async with delivering(store, post, webhook_size=32_768) as desk:
        await desk.ended(output="x" * 600_000 + "the end")
        await desk.settled()
    [(_, _, message)] = post.sent
    assert message["shortened"] == ["stdout"]
    assert message["data"]["stdout"] == ("x" * 600_000 + "the end")[-16384:]
    assert len(message["data"]["list"]) == 2000


async def test_a_defect_takes_nothing_else_along(store: Store) -> None:
    post = Post({URL: [RuntimeError("a defect"), TAKEN]})
    async with delivering(store, post) as desk:
        await desk.ended()
        [row] = await desk.settled()
        assert (row.state, row.attempts) == ("delivered", 2)


async def test_they_go_with_their_executions(store: Store) -> None:
    post = Post({URL: [TAKEN]})
    async with delivering(store, post) as desk:
        execution = await desk.ended()
        await desk.settled()
        await store.write(lambda connection: execution_rows.remove(connection, [execution.id]))
        assert await desk.rows() == []
