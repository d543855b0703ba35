"""Who may use a review's page: the token in its address, as of every page, and the tokens of persons."""

from __future__ import annotations

import secrets
import unicodedata
from hashlib import sha256

from spavl.web.access import TOKEN, access_token, address, is_known_host, is_loopback, name_of, number_of

__all__ = [
    "TOKEN",
    "access_token",
    "address",
    "hash_of",
    "is_known_host",
    "is_loopback",
    "name_of",
    "name_said",
    "number_of",
    "personal_token",
]


def personal_token() -> str:
    """A new token of a person, by which a device is known as theirs."""
    return secrets.token_urlsafe(24)


def name_said(text: str) -> str:
    """A name as it is kept: one blank between words, and letters with accents in one of the ways to write them.

    Args:
        text: what somebody typed.
    """
    return unicodedata.normalize("NFC", " ".join(text.split()))


def hash_of(token: str) -> str:
    """What is kept of a person's token.

    Args:
        token: the token.
    """
    return sha256(token.encode("utf-8", "replace")).hexdigest()
