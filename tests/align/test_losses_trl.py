"""Losses over pairs and single answers against TRL's own code: value and gradient on the same log-probabilities."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from spavl.align import losses
from spavl.align.losses import LogMeans, LogRatios

trl = pytest.importorskip("trl")
TOKENS, PAIRS, BETA, SMOOTHING = 7, 5, 0.3, 0.2


class Answers:
    """Log-probabilities of the tokens of 2 × PAIRS answers, chosen ones first, under a policy and a reference."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.mask = (torch.arange(TOKENS + 1) > torch.randint(0, TOKENS - 1, (2 * PAIRS, 1))).long()
        self.logps = (-torch.rand(2 * PAIRS, TOKENS) * self.mask[:, 1:]).requires_grad_()
        self.reference = -torch.rand(2 * PAIRS, TOKENS) * self.mask[:, 1:]

    @property
    def counts(self) -> tuple[Tensor, Tensor]:
        return self.mask.sum(1).chunk(2)

    @property
    def ratios(self) -> LogRatios:
        return LogRatios(*(self.logps - self.reference).sum(1).chunk(2))

    @property
    def means(self) -> LogMeans:
        return LogMeans(*(self.logps.sum(1) / self.mask.sum(1)).chunk(2))

    def gradient(self, loss: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(loss, self.logps, retain_graph=True)
        return found


def agree(answers: Answers, ours: Tensor, theirs: Tensor) -> None:
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    assert torch.allclose(answers.gradient(ours), answers.gradient(theirs), atol=1e-7)
    assert answers.gradient(ours).abs().max() > 1e-4, "a loss without a gradient would agree with anything"


@pytest.mark.parametrize(
    ("trl_loss", "ours"),
    [
        ("sigmoid", lambda a: losses.dpo_sigmoid(a.ratios, beta=BETA).mean()),
        ("sigmoid_norm", lambda a: losses.dpo_sigmoid(a.ratios.per_token(*a.counts), beta=BETA).mean()),
        ("ipo", lambda a: losses.ipo(a.ratios.per_token(*a.counts), tau=BETA).mean()),
        ("hinge", lambda a: losses.hinge(a.ratios, beta=BETA).mean()),
        ("robust", lambda a: losses.robust(a.ratios, beta=BETA, label_smoothing=SMOOTHING).mean()),
        ("sft", lambda a: -(a.logps * a.mask[:, 1:])[:PAIRS].sum() / a.mask[:PAIRS, 1:].sum()),
    ],
)
def test_losses_of_dpo_trainer(trl_loss: str, ours: Any) -> None:
    answers = Answers()
    agree(answers, ours(answers), dpo_trainer(trl_loss, answers))


def test_simpo_of_cpo_trainer() -> None:
    from trl.experimental.cpo import CPOTrainer

    answers, gamma = Answers(), 0.5
    settings = SimpleNamespace(
        alpha=0.0, beta=BETA, loss_type="simpo", simpo_gamma=gamma, label_smoothing=0.0,
        accelerator=SimpleNamespace(device="cpu"),
    )  # fmt: skip
    theirs, _, _ = CPOTrainer.cpo_loss(settings, *answers.means)
    agree(answers, losses.simpo(answers.means, beta=BETA, gamma=gamma).mean(), theirs.mean())


def test_the_odds_ratio_of_orpo_trainer() -> None:
    """Its likelihood counts the prompt's tokens too, and stands apart; the odds ratio is what is compared."""
    from trl.experimental.orpo import ORPOTrainer

    answers = Answers()
    settings = SimpleNamespace(beta=BETA, accelerator=SimpleNamespace(device="cpu"))
    ratio, _, _, _, _ = ORPOTrainer.odds_ratio_loss(settings, *answers.means)
    theirs = -answers.means.chosen.mean() - ratio.mean()
    agree(answers, losses.orpo(answers.means, weight=BETA).mean(), theirs)


@pytest.mark.parametrize("moved", [0.4, -0.4], ids=["moved away", "baseline 0"])
def test_kto_of_kto_trainer(moved: float) -> None:
    """TRL's answers to other prompts have log-ratios of their own; in the second case their mean is below zero."""
    answers = Answers()
    labels = torch.arange(2 * PAIRS) % 3 > 0
    mismatched = moved + torch.rand(2 * PAIRS) - 0.5
    found = losses.kto_baseline(mismatched.sum(), torch.tensor(float(len(mismatched))))
    ours = losses.kto(
        (answers.logps - answers.reference).sum(1), labels, found, beta=BETA, desirable_weight=1.5,
        undesirable_weight=0.7,
    )  # fmt: skip
    agree(answers, ours.mean(), kto_trainer(answers, labels, mismatched))


def outputs_of(logps: Tensor) -> SimpleNamespace:
    """What TRL's head returns of tokens, beside numbers that are only logged."""
    return SimpleNamespace(
        log_probs=logps, entropy=logps.detach() * 0, mean_logits=logps.detach() * 0, is_top1=logps > 0
    )


def accelerator() -> SimpleNamespace:
    return SimpleNamespace(device="cpu", gather_for_metrics=lambda x: x, gather=lambda x: x)


def dpo_trainer(name: str, answers: Answers) -> Tensor:
    """DPOTrainer's own `_compute_loss` run on given log-probabilities, in place of a model's."""
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=accelerator(),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=[name],
        loss_weights=[1.0],
        beta=BETA,
        label_smoothing=SMOOTHING if name == "robust" else 0.0,
        use_weighting=False,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    chosen, rejected = answers.reference.sum(1).chunk(2)
    inputs = {
        "input_ids": answers.mask,
        "attention_mask": torch.ones_like(answers.mask),
        "completion_mask": answers.mask,
        "ref_chosen_logps": chosen,
        "ref_rejected_logps": rejected,
    }
    loss: Tensor = trl.DPOTrainer._compute_loss(trainer, lambda **_: outputs_of(answers.logps), inputs, False)
    return loss


def kto_trainer(answers: Answers, labels: Tensor, mismatched: Tensor) -> Tensor:
    """KTOTrainer's own `_compute_loss`, likewise."""
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=accelerator(),
        aux_loss_enabled=False,
        precompute_ref_logps=True,
        calculate_KL=True,
        loss_type="kto",
        beta=BETA,
        desirable_weight=1.5,
        undesirable_weight=0.7,
        _compute_kl_logps=lambda *_: mismatched,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    inputs = {
        "input_ids": answers.mask,
        "attention_mask": torch.ones_like(answers.mask),
        "completion_mask": answers.mask,
        "label": labels,
        "ref_logps": answers.reference.sum(1),
        "ref_KL_logps": torch.zeros_like(mismatched),
    }
    loss: Tensor = trl.KTOTrainer._compute_loss(trainer, lambda **_: outputs_of(answers.logps), inputs, False)
    return loss
