"""Links that are their own key: signed, to one file of one sandbox, for a while."""

from __future__ import annotations

import secrets
from dataclasses import astuple, dataclass

from itsdangerous import BadData, URLSafeTimedSerializer

from execd.errors import LinkInvalid

LIFETIME = 3600


@dataclass(frozen=True, slots=True)
class Link:
    """What a link is good for: `action` is download or upload; `user` empty is nobody in particular."""

    sandbox_id: str
    action: str
    path: str
    user: str = ""


class Links:
    """Makes links and reads them. Each service signs with a key of its own, which nobody else has."""

    def __init__(self, key: bytes | None = None) -> None:
        self._serializer = URLSafeTimedSerializer(key or secrets.token_bytes(32), salt="execd file link")

    def sign(self, link: Link) -> str:
        """The link as text for a URL's path."""
        return str(self._serializer.dumps(astuple(link)))

    def read(self, token: str, action: str) -> Link:
        """The link behind such a text. Raises LinkInvalid, also for one that is good for something else."""
        try:
            link = Link(*self._serializer.loads(token, max_age=LIFETIME))
        except (BadData, TypeError):
            raise LinkInvalid from None
        if link.action != action:
            raise LinkInvalid
        return link
