"""A call store with real keys, and ways to damage its file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from spavl.models.base import Reply
from spavl.models.calls.keys import key_of
from spavl.models.calls.store import CallStore


def request_of(number: int, model: str = "endpoint:alpha") -> str:
    """A canonical request."""
    turns = [{"images": [], "role": "user", "text": f"Question {number}?"}]
    return json.dumps({"model": model, "sampling": {"max_tokens": 8}, "system": "", "turns": turns}, sort_keys=True)


def fill(path: Path, count: int, *, text: str = "Answer", **changed: object) -> list[str]:
    """Store so many replies. Returns their keys."""
    requests = [request_of(number) for number in range(count)]
    with CallStore(path) as store:
        for number, request in enumerate(requests):
            reply = Reply(f"{text} {number:06d}", prompt_tokens=7, completion_tokens=3, cost=0.5)
            store.put(key_of(request), replace(reply, **changed), request)  # type: ignore[arg-type]
    return [key_of(request) for request in requests]


def flip(path: Path, text: str) -> None:
    """Turn one bit of each place in the file where a text stands."""
    data = path.read_bytes()
    assert text.encode() in data
    path.write_bytes(data.replace(text.encode(), bytes([text.encode()[0] ^ 1]) + text.encode()[1:]))


def leaf_pages(path: Path) -> list[tuple[int, int]]:
    """(first byte, length) of the pages that hold the rows."""
    with closing(sqlite3.connect(path)) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    data = path.read_bytes()
    return [(at, size) for at in range(size, len(data), size) if data[at] == 0x0D]


@contextmanager
def column_of(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes rows as no program of ours does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection
