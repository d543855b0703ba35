"""The colour of every model, the same in figures, tables and labels."""

from __future__ import annotations

from collections.abc import Sequence

from spavl.report.data import ModelShown

ALIGNED = 5
"""Colours of aligned models; a sixth model begins again with the first."""


def colour_of(model: ModelShown, models: Sequence[ModelShown]) -> str:
    """The name of a model's colour: that of its role, of which aligned models have one each.

    Args:
        model: the model that is drawn.
        models: all models of the page.
    """
    if model.role != "aligned":
        return model.role
    index = [m.name for m in models if m.role == "aligned"].index(model.name)
    return f"aligned-{index % ALIGNED + 1}"
