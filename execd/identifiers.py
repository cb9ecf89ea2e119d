"""Identities: a prefix that says what it is, and twelve characters that nobody guesses."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_LENGTH = 12


def new_id(prefix: str) -> str:
    """`prefix_` and 12 random characters of 0-9a-z (62 bits)."""
    return f"{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
