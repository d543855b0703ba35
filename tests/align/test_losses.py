"""Each loss against arithmetic done on paper, and against TRL's code where TRL has it."""

import math
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spavl.align import losses
from spavl.align.losses import LogRatios


def ratios(*pairs):
    chosen, rejected = zip(*pairs, strict=True)
    return LogRatios(torch.tensor(chosen), torch.tensor(rejected))


def test_dpo_by_hand():
    """Margin 0.1 * (3 - (-2)) = 0.5; -log sigmoid(0.5) = log(1 + e^-0.5) = 0.474077. No margin: log 2."""
    loss = losses.dpo_sigmoid(ratios((3.0, -2.0), (1.0, 1.0)), beta=0.1)
    assert loss.tolist() == pytest.approx([0.474077, math.log(2)], abs=1e-6)


def test_label_smoothing_by_hand():
    """0.8 * log(1 + e^-0.5) + 0.2 * log(1 + e^0.5) = 0.8 * 0.474077 + 0.2 * 0.974077 = 0.574077."""
    loss = losses.dpo_sigmoid(ratios((3.0, -2.0)), beta=0.1, label_smoothing=0.2)
    assert loss.item() == pytest.approx(0.574077, abs=1e-6)


def test_length_normalised_by_hand():
    """3 / 6 - (-2) / 4 = 1; with beta 0.5: log(1 + e^-0.5) = 0.474077."""
    even = ratios((3.0, -2.0)).per_token(torch.tensor([6]), torch.tensor([4]))
    assert losses.dpo_sigmoid(even, beta=0.5).item() == pytest.approx(0.474077, abs=1e-6)


def test_ipo_by_hand():
    """Per token 0.5 - (-0.5) = 1; 1 / (2 * 0.1) = 5; (1 - 5)^2 = 16."""
    even = ratios((3.0, -2.0)).per_token(torch.tensor([6]), torch.tensor([4]))
    assert losses.ipo(even, tau=0.1).item() == pytest.approx(16.0)


def test_sft_anchor_by_hand():
    """An answer of 4 tokens and log-probability -6 costs 1.5; one without tokens costs its own log-probability."""
    assert losses.sft_anchor(torch.tensor([-6.0, 0.0]), torch.tensor([4, 0])).tolist() == [1.5, 0.0]


def test_image_conditional_by_hand():
    """beta 0.1, true picture +4, corrupted -1: log(1 + e^-0.5) = 0.474077. Anchor at +5: the same 0.474077."""
    chosen = torch.tensor([4.0])
    assert losses.image_conditional(chosen, torch.tensor([-1.0]), beta=0.1).item() == pytest.approx(0.474077, abs=1e-6)
    assert losses.image_anchor(torch.tensor([5.0]), beta=0.1).item() == pytest.approx(0.474077, abs=1e-6)
    assert losses.image_anchor(torch.tensor([5.0]), beta=0.1, delta=0.5).item() == pytest.approx(math.log(2))


def test_bradley_terry_by_hand():
    """r 1.5 against 1.0: log(1 + e^-0.5) = 0.474077; centred with 0.01: + 0.01 * 2.5^2 = 0.0625."""
    chosen, rejected = torch.tensor([1.5]), torch.tensor([1.0])
    assert losses.bradley_terry(chosen, rejected).item() == pytest.approx(0.474077, abs=1e-6)
    assert losses.bradley_terry(chosen, rejected, centre=0.01).item() == pytest.approx(0.536577, abs=1e-6)


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0.01, 1.0))
def test_dpo_stays_finite_and_falls_as_the_margin_grows(chosen, rejected, beta):
    low, high = losses.dpo_sigmoid(ratios((chosen, rejected), (chosen + 1.0, rejected)), beta=beta)
    assert math.isfinite(low) and math.isfinite(high) and high <= low


def test_gae_by_hand():
    """gamma 1, lambda 0.5; rewards 0 0 1, values .1 .2 .3: deltas .1 .1 .7; A2 = .7, A1 = .1 + .35 = .45,
    A0 = .1 + .225 = .325; returns are A + V. The second answer has two tokens and rewards 0 1, values .5 .5:
    deltas 0 .5; A1 = .5, A0 = .25; what stands beyond its end is ignored."""
    rewards = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 7.0]])
    values = torch.tensor([[0.1, 0.2, 0.3], [0.5, 0.5, 9.0]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]], dtype=torch.bool)
    found = losses.gae(rewards, values, mask, gamma=1.0, gae_lambda=0.5)
    assert torch.allclose(found.advantages, torch.tensor([[0.325, 0.45, 0.7], [0.25, 0.5, 0.0]]))
    assert torch.allclose(found.returns, torch.tensor([[0.425, 0.65, 1.0], [0.75, 1.0, 0.0]]))


def test_gae_with_lambda_one_is_the_discounted_return_less_the_value():
    torch.manual_seed(0)
    rewards, values = torch.randn(4, 7), torch.randn(4, 7)
    found = losses.gae(rewards, values, torch.ones(4, 7, dtype=torch.bool), gamma=0.9, gae_lambda=1.0)
    returns = sum(0.9**t * rewards[:, t] for t in range(7))
    assert torch.allclose(found.returns[:, 0], returns, atol=1e-5)


def test_ppo_policy_by_hand():
    """Ratios 1.5 and 0.5, clip 0.2. Advantage +1: -1.5 is bounded to -1.2. Advantage -1: 0.5 is bounded to 0.8.
    Mean of the two -0.2, both clipped; the third token is outside the mask."""
    logprobs, mask = torch.log(torch.tensor([[1.5, 0.5, 3.0]])), torch.tensor([[True, True, False]])
    advantages = torch.tensor([[1.0, -1.0, 1.0]])
    found = losses.ppo_policy(logprobs, torch.zeros(1, 3), advantages, mask, clip_range=0.2)
    assert found.loss.item() == pytest.approx(-0.2)
    assert found.clipped.item() == 1.0


def test_ppo_without_a_change_of_policy_is_the_mean_advantage():
    torch.manual_seed(0)
    logprobs, advantages, mask = torch.randn(3, 5), torch.randn(3, 5), torch.ones(3, 5, dtype=torch.bool)
    found = losses.ppo_policy(logprobs, logprobs, advantages, mask)
    assert found.loss.item() == pytest.approx(-advantages.mean().item())


def test_ppo_value_by_hand():
    """Value 2, before 1, return 1, clip 0.2: the worse of (2 - 1)^2 and (1.2 - 1)^2 is 1; half of it 0.5, unclipped."""
    one, mask = torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool)
    found = losses.ppo_value(2 * one, one, one, mask, clip_range=0.2)
    assert (found.loss.item(), found.clipped.item()) == (0.5, 0.0)
    found = losses.ppo_value(2 * one, one, 3 * one, mask, clip_range=0.2)
    assert found.loss.item() == pytest.approx(0.5 * 1.8**2)


def test_rloo_by_hand():
    """Rewards 1, 2, 6: against the mean of the others 1 - 4, 2 - 3.5, 6 - 1.5."""
    assert losses.rloo_advantages(torch.tensor([[1.0, 2.0, 6.0]])).tolist() == [[-3.0, -1.5, 4.5]]
    with pytest.raises(ValueError, match="two answers"):
        losses.rloo_advantages(torch.ones(3, 1))


def test_k1_and_the_lagrangian_mix_by_hand():
    """(3 - 2 * 0.5) / (1 + 2) = 2 / 3."""
    assert losses.kl_k1(torch.tensor([[-1.0]]), torch.tensor([[-1.5]])).item() == 0.5
    mixed = losses.lagrangian_advantages(torch.tensor([3.0]), torch.tensor([0.5]), 2.0)
    assert mixed.item() == pytest.approx(2 / 3)


def test_whitening_counts_only_the_tokens_in_the_mask():
    values = torch.tensor([[1.0, 3.0, 100.0]])
    mask = torch.tensor([[True, True, False]])
    assert torch.allclose(losses.whiten(values, mask), torch.tensor([[-1.0, 1.0, 0.0]]))
    assert torch.allclose(losses.whiten(values, mask, shift=False), torch.tensor([[1.0, 3.0, 0.0]]))


@pytest.mark.parametrize(
    ("trl_loss", "ours"),
    [
        ("sigmoid", lambda r, _n: losses.dpo_sigmoid(r, beta=0.3)),
        ("sigmoid_norm", lambda r, n: losses.dpo_sigmoid(r.per_token(*n), beta=0.3)),
        ("ipo", lambda r, n: losses.ipo(r.per_token(*n), tau=0.3)),
    ],
)
def test_losses_agree_with_trl(trl_loss, ours):
    trl = pytest.importorskip("trl")
    torch.manual_seed(0)
    tokens, pairs = 7, 5
    logps, reference = -torch.rand(2 * pairs, tokens), -torch.rand(2, pairs, tokens)
    mask = torch.arange(tokens + 1) > torch.randint(0, tokens - 1, (2 * pairs, 1))
    mask = mask.long()
    logps, reference = logps * mask[:, 1:], reference.reshape(2 * pairs, tokens) * mask[:, 1:]
    theirs = trl_value(trl, trl_loss, logps, reference, mask)
    chosen, rejected = (logps - reference).sum(1).chunk(2)
    counts = mask.sum(1).chunk(2)
    assert ours(LogRatios(chosen, rejected), counts).mean().item() == pytest.approx(theirs, abs=1e-6)


def trl_value(trl, name, logps, reference, mask):
    """TRL's own `_compute_loss` run on given log-probabilities, in place of a model's."""
    outputs = SimpleNamespace(log_probs=logps, entropy=logps * 0, mean_logits=logps * 0, is_top1=logps > 0)
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(device="cpu", gather_for_metrics=lambda x: x, gather=lambda x: x),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=[name],
        loss_weights=[1.0],
        beta=0.3,
        label_smoothing=0.0,
        use_weighting=False,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    chosen, rejected = reference.sum(1).chunk(2)
    inputs = {
        "input_ids": mask,
        "attention_mask": torch.ones_like(mask),
        "completion_mask": mask,
        "ref_chosen_logps": chosen,
        "ref_rejected_logps": rejected,
    }
    return trl.DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False).item()
