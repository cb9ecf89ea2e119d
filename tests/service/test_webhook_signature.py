"""Signatures, as other implementations of the scheme make and check them, that of the documentation among them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from execd.service.journal import now_ms
from execd.service.webhook_signature import headers, new_secret, signature

DOCS = Path(__file__).parent.parent.parent / "docs" / "webhooks.md"

# The secret, id, time and body that the scheme's own implementations are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIME = 1614265330
BODIES = (b'{"test": 2432232314}', b"", b"{}", "\u00e9\u2028".encode(), b"x" * 100_000)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_"), "whsec_" + "/+a9" * 11], ids=["a", "b", "c"])
def test_they_are_those_of_the_scheme(secret: str, body: bytes) -> None:
    expected = Webhook(secret).sign(MESSAGE, datetime.fromtimestamp(TIME, UTC), body.decode())
    assert signature(secret, MESSAGE, TIME, body) == expected


def test_the_vector_that_is_published() -> None:
    assert signature(SECRET, MESSAGE, TIME, BODIES[0]) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_are_new() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(base64.b64decode(secret.removeprefix("whsec_"))) for secret in made} == {32}


def documented() -> Callable[..., Any]:
    """What the documentation says a receiver may do."""
    [code] = [
        found for found in re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL) if "def " in found
    ]
    names: dict[str, Any] = {}
    exec(code, names)
    found: Callable[..., Any] = names["verified"]
    return found


def by_package(secret: str, given: dict[str, str], body: bytes) -> Any:
    """What the package makes of it."""
    return Webhook(secret).verify(body, given)


@pytest.mark.parametrize("verified", [documented(), by_package], ids=["documented", "package"])
def test_receivers_can_tell(verified: Callable[..., Any]) -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    now, body = now_ms() // 1000, b'{"a": "\\u00e9"}'
    sent = headers([new, old], MESSAGE, now, body)
    for secret in (old, new):
        assert verified(secret, sent, body) == {"a": "\u00e9"}
    forged = [
        (other, sent, body),
        (new, sent, body + b" "),
        (new, {**sent, "webhook-id": "msg_other"}, body),
        (new, {**sent, "webhook-timestamp": str(now + 1)}, body),
        (new, headers([new], MESSAGE, now - 3600, body), body),
        (new, headers([new], MESSAGE, now + 3600, body), body),
        (new, {**sent, "webhook-signature": "v1,"}, body),
        (new, {**sent, "webhook-signature": ""}, body),
    ]
    for secret, given, got in forged:
        with pytest.raises((ValueError, WebhookVerificationError)):
            verified(secret, given, got)
