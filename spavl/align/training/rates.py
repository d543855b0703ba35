"""Learning rates: of every part of the model, and over the steps of a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from spavl.config.align import OptimiserSettings


def highest_rate(part: str, settings: OptimiserSettings) -> float:
    """The highest learning rate of a part of the model.

    Args:
        part: `vision`, `projector`, or another, which has the general rate.
        settings: the rates.
    """
    own = {"projector": settings.projector_learning_rate, "vision": settings.vision_learning_rate}.get(part)
    return own or settings.learning_rate


def split_by_rate(groups: list[dict[str, Any]], rates: Mapping[int, float]) -> list[dict[str, Any]]:
    """Parameter groups of an optimiser, each split by the learning rates of its parameters.

    Args:
        groups: as the optimiser has them; the first rate of the first group stays the first, for it is the one logged.
        rates: rate of every parameter by its `id`.
    """
    split = []
    for group in groups:
        by_rate: dict[float, list[Any]] = {group["lr"]: []}
        for weight in group["params"]:
            by_rate.setdefault(rates[id(weight)], []).append(weight)
        split += [{**group, "params": weights, "lr": rate} for rate, weights in by_rate.items() if weights]
    return split


def warmup_steps(settings: OptimiserSettings, steps: int) -> int:
    """Steps in which the rate rises to its highest.

    Args:
        settings: a share or a number of steps.
        steps: of the whole training.
    """
    return int(settings.warmup if settings.warmup >= 1 else settings.warmup * steps)


def rate_schedule(optimiser: torch.optim.Optimizer, settings: OptimiserSettings, steps: int) -> LambdaLR:
    """The learning-rate schedule over all optimiser steps of a training, for every group of parameters alike.

    Args:
        optimiser: its groups have their highest rates.
        settings: the kind, warm-up, and where it ends.
        steps: of the whole training.
    """
    factor: Callable[[int], float] = partial(rate_factor, settings=settings, steps=steps)
    return LambdaLR(optimiser, factor)


def rate_factor(step: int, *, settings: OptimiserSettings, steps: int) -> float:
    """The share of its highest rate that a step has: a linear rise, then a cosine, a line, or the highest for ever.

    Args:
        step: optimiser steps done.
        settings: the kind, warm-up, and where it ends.
        steps: of the whole training.
    """
    warmup = warmup_steps(settings, steps)
    if step < warmup:
        return step / max(1, warmup)
    if settings.schedule == "constant":
        return 1.0
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    left = 1 - done if settings.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return settings.min_learning_rate + (1 - settings.min_learning_rate) * left
