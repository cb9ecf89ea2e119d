"""Signatures by the Standard Webhooks scheme (https://www.standardwebhooks.com): who holds the secret can tell that a
message is the service's, that nobody has changed it, and that it is not an old one. Pure, but for new secrets.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"

_BYTES = 32


def new_secret() -> str:
    """A secret that nobody guesses: `whsec_` and its bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode("ascii")


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature of a message that is sent at this time, in seconds: `v1,` and the rest in base64."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    mac = hmac.digest(key, f"{message_id}.{timestamp}.".encode("ascii") + body, "sha256")
    return "v1," + base64.b64encode(mac).decode("ascii")


def headers(known: Iterable[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that a message goes out with, signed with each of these secrets."""
    signatures = " ".join(signature(secret, message_id, timestamp, body) for secret in known)
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signatures}
