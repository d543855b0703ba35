"""The loss of a micro-batch is what its settings say, put together from the pure functions."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from spavl.align import losses
from spavl.align.data.batches import PairDataset
from spavl.align.dpo.formulas import METRICS, METRICS_WITHOUT_REFERENCE
from spavl.align.dpo.objective import PreferenceObjective
from spavl.align.losses import LogMeans, LogRatios
from spavl.align.policy.policy import make_policy
from spavl.config.align import FreezeSettings, LossSettings
from spavl.models.families import load_processor
from spavl.models.trees.score import Scores, answer_logprobs


@pytest.fixture(scope="module")
def policy(checkpoint):
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    made = make_policy(model, load_processor(checkpoint), FreezeSettings(rank=2))
    with torch.no_grad():
        for name, weight in made.trained().items():
            if ".lora_B" in name:
                weight.normal_(std=0.1)
    return made


@pytest.mark.parametrize(
    ("chosen_settings", "formula"),
    [
        ({}, lambda r, n, s: losses.dpo_sigmoid(r, beta=0.1)),
        ({"label_smoothing": 0.1}, lambda r, n, s: losses.dpo_sigmoid(r, beta=0.1, label_smoothing=0.1)),
        ({"length_normalised": True, "beta": 2.0}, lambda r, n, s: losses.dpo_sigmoid(r.per_token(*n), beta=2.0)),
        ({"kind": "ipo", "beta": 0.5}, lambda r, n, s: losses.ipo(r.per_token(*n), tau=0.5)),
        (
            {"sft_anchor": 0.2},
            lambda r, n, s: losses.dpo_sigmoid(r, beta=0.1) + 0.2 * losses.sft_anchor(s, n[0]),
        ),
        (
            {"image_anchor": 0.5},
            lambda r, n, s: losses.dpo_sigmoid(r, beta=0.1) + 0.5 * losses.image_anchor(r.chosen, beta=0.1),
        ),
        ({"kind": "hinge", "beta": 0.2}, lambda r, n, s: losses.hinge(r, beta=0.2)),
        (
            {"kind": "robust", "label_smoothing": 0.2, "length_normalised": True},
            lambda r, n, s: losses.robust(r.per_token(*n), beta=0.1, label_smoothing=0.2),
        ),
    ],
    ids=["sigmoid", "smoothed", "length-normalised", "ipo", "sft anchor", "image anchor", "hinge", "robust"],
)
def test_the_loss_is_what_the_settings_say(policy, pairs, chosen_settings, formula):
    micro_batch = PairDataset(pairs, policy.family, packing="tree").collate(
        [(0, 1, 2)], weight=1.0, of=3, reference=None
    )
    torch.manual_seed(0)
    answers = micro_batch.batch.answers
    scores = Scores(torch.empty(0), -10 * torch.rand(answers), torch.randint(3, 9, (answers,)))
    reference = -10 * torch.rand(answers)
    output = PreferenceObjective(policy, LossSettings(**chosen_settings)).loss(scores, reference, micro_batch)
    ratios = LogRatios(*((scores.sums - reference)[which] for which in (micro_batch.chosen, micro_batch.rejected)))
    tokens = tuple(scores.lengths[which] for which in (micro_batch.chosen, micro_batch.rejected))
    assert torch.allclose(output.losses, formula(ratios, tokens, scores.sums[micro_batch.chosen]))
    metrics = dict(zip(METRICS, output.metrics.T, strict=True))
    beta = chosen_settings.get("beta", 0.1)
    assert torch.allclose(metrics["margin"], beta * (ratios.chosen - ratios.rejected))
    assert torch.equal(metrics["accuracy"], (ratios.chosen > ratios.rejected).float())


def test_losses_without_a_reference_read_means_over_tokens(policy, pairs):
    dataset = PairDataset(pairs, policy.family, packing="tree")
    micro_batch = dataset.collate([(0, 1, 2)], weight=1.0, of=3, reference=None)
    torch.manual_seed(0)
    answers = micro_batch.batch.answers
    scores = Scores(torch.empty(0), -10 * torch.rand(answers), torch.randint(3, 9, (answers,)))
    means = LogMeans(*((scores.sums / scores.lengths)[which] for which in (micro_batch.chosen, micro_batch.rejected)))

    def loss(**chosen):
        output = PreferenceObjective(policy, LossSettings(**chosen)).loss(scores, None, micro_batch)
        return output.losses, dict(zip(METRICS_WITHOUT_REFERENCE, output.metrics.T, strict=True))

    found, metrics = loss(kind="simpo", beta=2.5, gamma=0.5, sft_anchor=0.2)
    assert torch.allclose(found, losses.simpo(means, beta=2.5, gamma=0.5) - 0.2 * means.chosen)
    assert torch.allclose(metrics["margin"], 2.5 * (means.chosen - means.rejected))
    found, metrics = loss(kind="orpo", beta=0.3)
    assert torch.allclose(found, losses.orpo(means, weight=0.3))
    assert torch.allclose(metrics["reward_rejected"], losses.log_odds(means.rejected))


def test_supervised_fine_tuning_is_a_mean_over_the_tokens_of_the_step(policy, pairs):
    dataset = PairDataset(pairs, policy.family, packing="tree", answers="chosen")
    dataset.measure([(0, 1, 2)])
    objective, totals = PreferenceObjective(policy, LossSettings(kind="sft")), dataset.totals((0, 1, 2))
    with torch.no_grad():
        whole = objective(policy.model, dataset.collate([(0, 1, 2)], weight=1.0, of=3, reference=None))
        parts = [
            objective(policy.model, dataset.collate([(n,)], weight=1.0, of=3, reference=None, totals=totals))
            for n in range(3)
        ]
        scores = answer_logprobs(policy.model, dataset.batch([(0, 1, 2)])[0], policy.family)
    mean = -scores.logprobs.mean()
    assert whole.losses.sum() / 3 == pytest.approx(mean.item(), abs=1e-5)
    assert sum(part.losses.item() for part in parts) / 3 == pytest.approx(mean.item(), abs=1e-5)


@pytest.mark.parametrize("corruption", ["crop", "blank"])
def test_the_image_conditional_loss_compares_the_answer_under_both_pictures(policy, pairs, corruption):
    settings = LossSettings(image_conditional=0.7, corruption=corruption, beta=0.3)
    micro_batch = PairDataset(pairs, policy.family, packing="tree", corruption=corruption).collate(
        [(0, 1)], weight=1.0, of=2, reference=None
    )
    objective = PreferenceObjective(policy, settings)
    plain = PreferenceObjective(policy, LossSettings(beta=0.3))
    with torch.no_grad():
        ratio = (
            answer_logprobs(policy.model, micro_batch.batch, policy.family).sums - objective.reference(micro_batch).sums
        )
        extra = objective(policy.model, micro_batch).losses - plain(policy.model, micro_batch).losses
    expected = losses.image_conditional(ratio[micro_batch.chosen], ratio[micro_batch.corrupted], beta=0.3)
    assert torch.allclose(extra, 0.7 * expected, atol=1e-5)
    assert (ratio[micro_batch.chosen] - ratio[micro_batch.corrupted]).abs().max() > 1e-4


def test_a_recorded_reference_gives_the_loss_of_a_live_one(policy, pairs):
    dataset = PairDataset(pairs, policy.family, packing="tree")
    objective = PreferenceObjective(policy, LossSettings())
    live = dataset.collate([(0, 1), (3,)], weight=1.0, of=3, reference=None)
    sums = objective.reference(live).sums.detach()
    reference = np.full((len(pairs), 2), np.nan, dtype=np.float32)
    reference[list(live.pairs)] = torch.stack([sums[live.chosen], sums[live.rejected]], 1).numpy()
    kept = dataset.collate([(0, 1), (3,)], weight=1.0, of=3, reference=reference)
    computed, recorded = objective(policy.model, live).losses, objective(policy.model, kept).losses
    assert torch.allclose(computed, recorded, atol=1e-5) and computed.std() > 1e-4


def test_a_frozen_tower_and_projector_encode_a_picture_once_for_policy_and_reference(checkpoint, pairs):
    def passes(projector):
        model = AutoModelForImageTextToText.from_pretrained(checkpoint)
        policy = make_policy(model, load_processor(checkpoint), FreezeSettings(rank=2, projector=projector))
        count = []
        policy.model.get_base_model().model.vision_tower.register_forward_hook(lambda *_: count.append(1))
        micro_batch = PairDataset(pairs, policy.family, packing="tree").collate(
            [(0, 1, 2)], weight=1.0, of=3, reference=None
        )
        loss = PreferenceObjective(policy, LossSettings())(policy.model, micro_batch).losses
        return len(count), loss

    (once, shared), (twice, apart) = passes("frozen"), passes("train")
    assert (once, twice) == (1, 2) and torch.allclose(shared, apart, atol=1e-5)
