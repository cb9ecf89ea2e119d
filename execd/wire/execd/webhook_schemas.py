"""The bodies that are about webhooks, in and out. Times are Unix milliseconds."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from execd.wire.execd.schemas import Body, Text


class NewWebhook(Body):
    """POST /v1/webhooks."""

    url: Text = Field(min_length=1, description="An https:// URL.")
    events: list[Text] = Field([], max_length=20, description="Types of events that it is sent. None: all.")
    description: Annotated[Text, Field(max_length=1000)] = ""


class WebhookInfo(BaseModel):
    """A webhook."""

    id: str
    url: str
    events: list[str] = Field(description="Types of events that it is sent; none of them is all.")
    description: str
    created_at: int
    disabled_at: int | None = Field(description="Since when it is sent nothing; null while it is.")
    disabled_why: str | None


class CreatedWebhook(WebhookInfo):
    """A new webhook, and its secret, which is told now and never again."""

    secret: str


class WebhookList(BaseModel):
    """All webhooks, from the oldest on."""

    items: list[WebhookInfo]


class SigningSecret(BaseModel):
    """A secret that what is sent is signed with from now on."""

    secret: str


class WebhookTest(BaseModel):
    """What came of sending something."""

    delivered: bool
    status: int | None = Field(description="The status that was answered; null without an answer.")
    error: str | None = Field(description="Why it was not delivered.")


class DeliveryInfo(BaseModel):
    """One message to one URL. Its id is its webhook-id, in all attempts."""

    id: str
    webhook_id: str | None = Field(description="null: the execution has named the URL.")
    execution_id: str
    url: str
    type: str
    state: str = Field(description="pending, delivered or failed")
    attempts: int
    created_at: int
    next_attempt_at: int | None = Field(description="null once no attempt follows.")
    last_status: int | None = Field(description="The status of the last answer; null where there was none.")
    last_error: str | None = Field(description="Why the last attempt was no success.")
    ended_at: int | None


class DeliveryPage(BaseModel):
    """Some deliveries, the newest first."""

    items: list[DeliveryInfo]
    next_cursor: str | None = Field(description="Where the next page begins; null on the last.")
