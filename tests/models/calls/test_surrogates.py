"""Whatever text a model returns can be stored, in the call store and in tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from spavl.models.base import Prompt, Reply, Request, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.records import Response
from spavl.tables import read_table, write_table
from tests import samples


class Constant:
    """A model with one answer."""

    name, identity, batch_size = "constant", "constant/1", 4

    def __init__(self, text: str) -> None:
        self.text = text

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """The same reply to every request."""
        return [Reply(self.text, detail=self.text, fingerprint=self.text) for _ in requests]

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("cut \ud83d", "cut \ufffd"), ("\ude00 cut", "\ufffd cut"), ("in \ud83d the middle", "in \ufffd the middle"),
        ("halves \ud83d\ude00 that fit", "halves \U0001f600 that fit"),
        ("\0 \x1b \ufffe \ufeff é 日 😀", "\0 \x1b \ufffe \ufeff é 日 😀"),
        ("\ufefffirst", "\ufefffirst"),
    ],
)  # fmt: skip
def test_a_lone_surrogate_is_stored_as_the_replacement_character(text: str, stored: str, tmp_path: Path) -> None:
    with CallStore(tmp_path / "calls.sqlite") as store:
        (reply,) = complete(Constant(text), [Prompt("?")], sampling=Sampling(), store=store)
    assert (reply.text, reply.detail, reply.fingerprint) == (stored, stored, stored)
    with CallStore(tmp_path / "calls.sqlite") as store:
        (again,) = complete(Constant("another"), [Prompt("?")], sampling=Sampling(), store=store)
    assert again.text == stored, "the stored reply is returned"
    records = [samples.response(samples.query(), "constant", response=reply.text)]
    write_table(tmp_path / "t.parquet", records, Response)
    assert read_table(tmp_path / "t.parquet", Response) == records
