"""Links that are their own key: signed, to one file of one sandbox or to one artifact, for a while."""

from __future__ import annotations

import os
import secrets
from dataclasses import astuple, dataclass
from pathlib import Path

from itsdangerous import BadData, URLSafeTimedSerializer

from execd.errors import LinkInvalid

LIFETIME = 3600

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Link:
    """What a link is good for: `action` says what is done with what is at `path`, a file or the id of an artifact;
    `user` empty is nobody in particular."""

    sandbox_id: str
    action: str
    path: str
    user: str = ""


class Links:
    """Makes links and reads them. Each data folder has a key of its own (`lasting_key`), which nobody else has; without
    one, links are good as long as this object."""

    def __init__(self, key: bytes | None = None) -> None:
        self._serializer = URLSafeTimedSerializer(key or secrets.token_bytes(_KEY_BYTES), salt="execd file link")

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


def lasting_key(file: Path) -> bytes:
    """The key in this file, made when there is none, or none that is whole. Raises OSError."""
    try:
        key = file.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) != _KEY_BYTES:
        key = secrets.token_bytes(_KEY_BYTES)
        temporary = file.with_name(f"{file.name}.new")
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
            made.write(key)
            made.flush()
            os.fsync(made.fileno())
        temporary.replace(file)
    return key
