"""What the report shows of controls, from `run.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spavl.report.controls import ControlledModel, ControlledRate, ControlRow
from spavl.report.data import ModelShown
from spavl.statistics.intervals import Rate
from spavl.statistics.paired import PairedComparison


def controlled_models(manifest: Mapping[str, Any], models: Sequence[ModelShown]) -> tuple[ControlledModel, ...]:
    """The models that were asked under controls, each control once, over all benchmarks.

    Args:
        manifest: `run.json`.
        models: those of the page.
    """
    found = manifest.get("controls", {})
    return tuple(
        ControlledModel(name=model.name, label=model.label, rows=_rows(found[model.name]))
        for model in models if found.get(model.name)
    )  # fmt: skip


def _rows(results: Sequence[Mapping[str, Any]]) -> tuple[ControlRow, ...]:
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        by_name.setdefault(result["control"], []).append(result)
    return tuple(
        ControlRow(
            name=name, what=own[0]["what"], seen=own[0]["seen"], resampled=own[0]["resampled"],
            rates={metric: _rate(one) for result in own for metric, one in result["metrics"].items()},
        )
        for name, own in by_name.items()
    )  # fmt: skip


def _rate(found: Mapping[str, Any]) -> ControlledRate:
    kept, lost = (Rate(**found[key]) if found[key] else None for key in ("kept", "lost"))
    return ControlledRate(
        paired=PairedComparison(**found["paired"]), flips=Rate(**found["flips"]), rate=Rate(**found["rate"]),
        kept=kept, lost=lost,
    )  # fmt: skip
