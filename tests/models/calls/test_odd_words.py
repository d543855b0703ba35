"""Whatever a model says, it can be written down."""

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


class Odd:
    """A model that says one thing."""

    name, identity, batch_size = "odd", "odd/1", 4

    def __init__(self, says: str) -> None:
        self.says = says

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """The same reply to everything."""
        return [Reply(self.says, detail=self.says, fingerprint=self.says) for _ in requests]

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("cut \ud83d", "cut \ufffd"), ("\ude00 cut", "\ufffd cut"), ("in \ud83d the middle", "in \ufffd the middle"),
        ("halves \ud83d\ude00 that fit", "halves \U0001f600 that fit"),
        ("\0 \x1b \ufffe \ufeff é 日 😀", "\0 \x1b \ufffe \ufeff é 日 😀"),
        ("\ufefffirst", "\ufefffirst"), ("", ""),
    ],
)  # fmt: skip
def test_half_a_character_is_kept_as_a_mark_and_harms_nothing(said: str, kept: str, tmp_path: Path) -> None:
    with CallStore(tmp_path / "calls.sqlite") as store:
        (reply,) = complete(Odd(said), [Prompt("?")], sampling=Sampling(), store=store)
    assert (reply.text, reply.detail, reply.fingerprint) == (kept, kept, kept)
    with CallStore(tmp_path / "calls.sqlite") as store:
        (again,) = complete(Odd("another"), [Prompt("?")], sampling=Sampling(), store=store)
    assert again.text == kept, "it was stored"
    records = [samples.response(samples.query(), "odd", response=reply.text)]
    write_table(tmp_path / "t.parquet", records, Response)
    assert read_table(tmp_path / "t.parquet", Response) == records
