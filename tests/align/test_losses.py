"""Each loss against arithmetic done on paper; `test_losses_trl.py` compares them with TRL's code."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spavl.align import losses
from spavl.align.losses import LogMeans, LogRatios


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


def test_hinge_by_hand():
    """beta 0.1: 1 - 0.5 = 0.5 at a difference of 5 nats; none left from 10 nats on, and no gradient either."""
    chosen = torch.tensor([3.0, 8.0, 20.0], requires_grad=True)
    loss = losses.hinge(LogRatios(chosen, torch.full((3,), -2.0)), beta=0.1)
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([0.5, 0.0, 0.0]) and chosen.grad.tolist() == pytest.approx([-0.1, 0.0, 0.0])


def test_robust_by_hand():
    """(0.8 * 0.474077 - 0.2 * 0.974077) / 0.6 = 0.307410."""
    loss = losses.robust(ratios((3.0, -2.0)), beta=0.1, label_smoothing=0.2)
    assert loss.item() == pytest.approx(0.307410, abs=1e-6)


@given(st.floats(-50, 50), st.floats(0.01, 0.45))
def test_robust_under_flipped_labels_is_on_average_dpo_under_right_ones(difference, share):
    """What the loss is made for: (1 - e) L(m) + e L(-m) is DPO's own loss."""
    pair, flipped = ratios((difference, 0.0)), ratios((0.0, difference))
    both = [losses.robust(one, beta=0.3, label_smoothing=share).item() for one in (pair, flipped)]
    expected = losses.dpo_sigmoid(pair, beta=0.3).item()
    assert (1 - share) * both[0] + share * both[1] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_simpo_by_hand():
    """Means -1 and -1.5, beta 2, gamma 0.5: margin 1 - 0.5 = 0.5, so 0.474077; without gamma log(1 + e^-1)."""
    means = LogMeans(torch.tensor([-1.0]), torch.tensor([-1.5]))
    assert losses.simpo(means, beta=2.0, gamma=0.5).item() == pytest.approx(0.474077, abs=1e-6)
    assert losses.simpo(means, beta=2.0, gamma=0.0).item() == pytest.approx(math.log(1 + math.exp(-1)), abs=1e-6)


def test_orpo_by_hand():
    """Odds of 0.8 are 4, of 0.5 are 1: log ratio log 4, -log sigmoid(log 4) = log 1.25; log 1.25 + 0.1 log 1.25."""
    means = LogMeans(torch.tensor([math.log(0.8)]), torch.tensor([math.log(0.5)]))
    assert losses.log_odds(torch.cat(means)).tolist() == pytest.approx([math.log(4), 0.0], abs=1e-6)
    assert losses.orpo(means, weight=0.1).item() == pytest.approx(1.1 * math.log(1.25), abs=1e-6)


@given(st.floats(-1e4, 0.0), st.floats(-1e4, 0.0))
def test_orpo_and_its_gradient_stay_finite_for_certain_and_for_hopeless_answers(chosen, rejected):
    means = torch.tensor([chosen, rejected], requires_grad=True)
    loss = losses.orpo(LogMeans(means[:1], means[1:]), weight=0.1)
    loss.sum().backward()
    assert math.isfinite(loss.item()) and means.grad.isfinite().all()


def test_kto_by_hand():
    """Baseline (0.4 - 0.1 + 0.6) / 3 = 0.3, never below 0. At baseline 1 and beta 0.1 a log-ratio of 6 is 0.5 above it:
    1 - sigmoid(0.5) = 0.377541 where it is wanted, weight 2 makes 0.755081; 1 - sigmoid(-0.5) = 0.622459 where not."""
    three = torch.tensor(3.0)
    assert losses.kto_baseline(torch.tensor(0.9), three).item() == pytest.approx(0.3)
    assert losses.kto_baseline(torch.tensor(-0.9), three).item() == 0.0
    both, baseline = torch.tensor([6.0, 6.0]), torch.tensor(1.0)
    loss = losses.kto(both, torch.tensor([True, False]), baseline, beta=0.1, desirable_weight=2.0)
    assert loss.tolist() == pytest.approx([0.755081, 0.622459], abs=1e-6)


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
