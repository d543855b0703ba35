"""The miniature world as benchmarks: with a limit, the same items as without one, and no picture of any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spavl.pipeline.evaluate import limited
from spavl.pipeline.miniworld import miniworld_benchmarks


def test_a_limit_draws_the_pictures_of_its_own_items_alone(tmp_path: Path) -> None:
    whole = miniworld_benchmarks(3, 12, tmp_path / "whole")
    few = miniworld_benchmarks(3, 12, tmp_path / "few", limit=5)
    assert sum(len(benchmark.items) for benchmark in few) == 5 * 5
    assert len(list((tmp_path / "few").rglob("*.png"))) == 5 * 5
    for every, some in zip(whole, few, strict=True):
        kept, again = limited(every, 5), limited(some, 5)
        assert [replace(item, images=()) for item in again.items] == [replace(item, images=()) for item in kept.items]
        assert [item.images[0].sha256 for item in again.items] == [item.images[0].sha256 for item in kept.items]
        assert again.protocol() == kept.protocol()
