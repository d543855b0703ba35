"""The benchmark of guards keeps its floors: it needs no model, so the tests run it whole."""

from __future__ import annotations

from bench.building.guards import measures


def test_every_floor_holds() -> None:
    found = measures()
    assert len(found) == 5 and [one.name for one in found if not one.holds] == []
