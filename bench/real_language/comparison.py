"""Skill of a language model before and after, item by item.

Skill is kept as plain data: `perplexity` of so many `tokens`, the mean loss of every window in `window_losses`, and for
every one of the `instructions` whether it was done, with its text in `answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import stdtrit

from spavl.statistics import PairedComparison, Rate, TooFewClusters, cluster_bootstrap, compare_paired, rate

Skill = Mapping[str, Any]
"""What is kept of one model."""


def instruction_rate(found: Skill) -> Rate:
    """Share of the instructions that a model did.

    Args:
        found: its skill.
    """
    return rate(found["instructions"].values())


def compare_instructions(before: Skill, after: Skill) -> PairedComparison:
    """Instructions done before and after, one by one.

    Args:
        before: skill of the first model.
        after: skill of the second.
    """
    return compare_paired(before["instructions"], after["instructions"], better="higher")


def compare_perplexity(before: Skill, after: Skill) -> tuple[float, float, float]:
    """Relative change of perplexity with its 95 % interval: (change, low, high), 0.05 for 5 % more.

    The interval is a bootstrap over windows, which both models read; of fewer than 30 the t distribution's.

    Args:
        before: skill of the first model.
        after: skill of the second.

    Raises:
        ValueError: the two read different texts.
    """
    if before["made_of"]["text_sha256"] != after["made_of"]["text_sha256"]:
        raise ValueError("two perplexities of different texts do not compare")
    gained = np.subtract(after["window_losses"], before["window_losses"])
    change = float(np.exp(gained.mean())) - 1
    try:
        return change, *cluster_bootstrap(lambda at: float(np.exp(gained[at].mean())) - 1, range(len(gained)))
    except TooFewClusters:
        count = len(gained)
        half = float(stdtrit(max(1, count - 1), 0.975)) * float(gained.std()) / max(1, count - 1) ** 0.5
        return change, float(np.exp(gained.mean() - half)) - 1, float(np.exp(gained.mean() + half)) - 1
