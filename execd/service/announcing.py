"""Announcements become deliveries: one for the URL that an execution has named, and one for each webhook of its tenant.

An announcement is made where it happens, and becomes deliveries in the very transaction that keeps what happened: no
service that ends, however it does, has kept the one without the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from execd.identifiers import new_id
from execd.service.announcement import Announcement
from execd.service.webhook_url import host_of
from execd.store import deliveries, webhooks
from execd.store.deliveries import DeliveryRow
from execd.store.webhooks import WebhookRow


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told of an execution, and the URL that it has named for that."""

    execution_id: str
    tenant: str
    url: str | None
    announcements: tuple[Announcement, ...]


def announce(connection: Connection, news: News, node: str) -> bool:
    """Make deliveries of news, which are this node's. Returns whether there are any: nearly always nobody listens."""
    made = deliveries_of(news, webhooks.enabled(connection, news.tenant), node)
    deliveries.add(connection, made)
    return bool(made)


def deliveries_of(news: News, known: Iterable[WebhookRow], node: str) -> list[DeliveryRow]:
    """A delivery for the URL that the execution has named, and one for each webhook that wants to be told."""
    known = list(known)
    made: list[DeliveryRow] = []
    for announcement in news.announcements:
        if news.url is not None:
            made.append(_delivery(news, announcement, node, news.url, None))
        wanting = [webhook for webhook in known if not webhook.events or announcement.type in webhook.events]
        made += [_delivery(news, announcement, node, webhook.url, webhook.id) for webhook in wanting]
    return made


def _delivery(news: News, announcement: Announcement, node: str, url: str, webhook_id: str | None) -> DeliveryRow:
    return DeliveryRow(
        id=new_id("msg"),
        node=node,
        tenant=news.tenant,
        execution_id=news.execution_id,
        url=url,
        host=host_of(url),
        type=announcement.type,
        created_at=announcement.at,
        webhook_id=webhook_id,
        body=announcement.record,
        due_at=announcement.at,
    )
