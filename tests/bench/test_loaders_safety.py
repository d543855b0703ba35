"""The benchmark of the loaders of safety keeps its floors: it needs no model, so the tests run it whole."""

from __future__ import annotations

from bench.evaluating.loaders_safety import CHECKS, measures


def test_every_check_of_a_loader_holds() -> None:
    found = measures()
    assert len(found) == len(CHECKS) == 7 and [(one.name, one.how) for one in found if not one.holds] == []
