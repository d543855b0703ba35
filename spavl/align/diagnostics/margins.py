"""Margins of fixed pairs while a model trains: the whole, and what the first tokens of the answers earn of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spavl.align.data.micro_batch import MicroBatch
from spavl.align.diagnostics.sample import DiagnosticSample, Shown
from spavl.align.dpo.objective import PreferenceObjective
from spavl.align.training.trainer import PairLoss, PairTrainer, inference_mode
from spavl.align.validation.held_out import HeldOutPairs
from spavl.models.trees.score import Scores, answer_logprobs

COLUMNS = 4
"""Numbers of a pair: margin, what of it the first tokens earn, and the tokens of the chosen and the rejected answer."""


class ReadsMargins(Protocol):
    """What reads the margins of a micro-batch."""

    def remember(self, sample: DiagnosticSample) -> None:
        """Read what it needs of the model before training; called before the first step.

        Args:
            sample: the pairs that will be measured.
        """
        ...

    def __call__(self, model: Any, micro_batch: MicroBatch, key: tuple[str, int]) -> Float[Tensor, "P 2"]:
        """Margin of every pair, and what of it the first tokens earn, NaN where that is not known.

        Args:
            model: the model in training, wrapped or not.
            micro_batch: the pairs, on the model's device.
            key: names the micro-batch; the same pairs have the same key at every measurement.
        """
        ...


@final
class PolicyMargins:
    """Margins of a policy: beta times the gain of the chosen answer over that of the rejected one.

    What the model said before training is read once, and kept.

    Args:
        objective: of the training.
        first_tokens: how many tokens of an answer are its first.
        device: where the model is.
    """

    def __init__(self, objective: PreferenceObjective, first_tokens: int, device: torch.device) -> None:
        self._objective = objective
        self._first = first_tokens
        self._device = device
        self._reference: dict[tuple[str, int], Tensor] = {}

    def remember(self, sample: DiagnosticSample) -> None:
        """Read the log-probabilities of all tokens; the model is its own reference as long as nothing was trained.

        Args:
            sample: the pairs that will be measured.
        """
        views: dict[str, HeldOutPairs | None] = dict(sample.views.items())
        views["trained"] = sample.trained
        with inference_mode(self._objective.policy.model):
            for name, passes in views.items():
                for number, one in enumerate(passes.micro_batches() if passes else ()):
                    scores = self._scores(self._objective.policy.model, one.to(self._device))
                    self._reference[name, number] = scores.logprobs.cpu()

    def __call__(self, model: Any, micro_batch: MicroBatch, key: tuple[str, int]) -> Float[Tensor, "P 2"]:
        """Margin of every pair, and what of it the first tokens earn.

        Args:
            model: the policy's model, wrapped or not.
            micro_batch: the pairs, on the model's device.
            key: names the micro-batch.
        """
        batch, scores = micro_batch.batch, self._scores(model, micro_batch)
        gained = self._objective.settings.beta * (scores.logprobs - self._reference[key].to(scores.logprobs.device))
        early = gained * (places(batch.owner, batch.answers) < self._first)
        sums = torch.stack([gained, early], dim=1)
        by_answer = sums.new_zeros(batch.answers, 2).index_add(0, batch.owner, sums)
        return by_answer[micro_batch.chosen] - by_answer[micro_batch.rejected]

    def _scores(self, model: Any, micro_batch: MicroBatch) -> Scores:
        with self._objective.precision():
            return answer_logprobs(model, micro_batch.batch, self._objective.policy.family)


@final
class RewardMargins:
    """Margins of a reward model: the reward of the chosen answer less that of the rejected one.

    Args:
        loss: of the training; one of its metrics is the margin.
    """

    def __init__(self, loss: PairLoss) -> None:
        self._loss = loss
        self._column = loss.metrics.index("margin")

    def remember(self, sample: DiagnosticSample) -> None:
        """Nothing: a reward is compared with no reference.

        Args:
            sample: the pairs that will be measured.
        """

    def __call__(self, model: Any, micro_batch: MicroBatch, key: tuple[str, int]) -> Float[Tensor, "P 2"]:
        """Margin of every pair; a reward is read at the end of an answer, and no token earns a part of it.

        Args:
            model: the model in training, wrapped or not.
            micro_batch: the pairs, on the model's device.
            key: names the micro-batch.
        """
        margin = self._loss(model, micro_batch).metrics[:, self._column]
        return torch.stack([margin, torch.full_like(margin, torch.nan)], dim=1)


def places(owner: Int[Tensor, " N"], answers: int) -> Int[Tensor, " N"]:
    """Place of every scored token in its answer, from 0.

    Args:
        owner: answer of each token, in order of answers.
        answers: how many there are.
    """
    lengths = torch.bincount(owner, minlength=answers)
    return torch.arange(len(owner), device=owner.device) - (lengths.cumsum(0) - lengths)[owner]


@dataclass(frozen=True, slots=True)
class Margins:
    """What was read of P pairs."""

    margin: Float[np.ndarray, " P"]
    """Margin."""
    first: Float[np.ndarray, " P"]
    """What of it the first tokens earn; NaN where that is not known."""
    chosen: Float[np.ndarray, " P"]
    """Tokens of the chosen answer."""
    rejected: Float[np.ndarray, " P"]
    """Tokens of the rejected answer."""


@dataclass(frozen=True, slots=True)
class MeasuredMargins:
    """Margins of a sample at a step."""

    views: Mapping[Shown, Margins]
    """Of its pairs, by what they show."""
    trained: Margins | None
    """Of the pairs that are trained on, where the others are held out."""


def measure_margins(trainer: PairTrainer, read: ReadsMargins, sample: DiagnosticSample) -> MeasuredMargins:
    """Margins of all pairs; each device computes its share, and all get the same numbers.

    Args:
        trainer: of the model.
        read: reads them.
        sample: the pairs.
    """
    with inference_mode(trainer.policy.model):
        views = {shown: _margins(trainer, read, passes, shown) for shown, passes in sample.views.items()}
        trained = None if sample.trained is None else _margins(trainer, read, sample.trained, "trained")
    return MeasuredMargins(views, trained)


def _margins(trainer: PairTrainer, read: ReadsMargins, passes: HeldOutPairs, name: str) -> Margins:
    device = trainer.args.device
    found = torch.zeros(len(passes), COLUMNS, device=device)
    for number, micro_batch in enumerate(passes.micro_batches()):
        moved = micro_batch.to(device)
        lengths = torch.bincount(moved.batch.owner, minlength=moved.batch.answers)
        rows = torch.stack([lengths[moved.chosen], lengths[moved.rejected]], dim=1)
        read_now = read(trainer.model_wrapped, moved, (name, number)).float()
        if micro_batch.weight:
            found[list(moved.pairs)] = torch.cat([read_now, rows.float()], dim=1)
    whole = trainer.accelerator.reduce(found, reduction="sum").double().cpu().numpy()
    return Margins(whole[:, 0], whole[:, 1], whole[:, 2], whole[:, 3])
