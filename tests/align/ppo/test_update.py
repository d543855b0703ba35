"""One round of PPO: what holds before and after the updates."""

from dataclasses import replace

import pytest
import torch

from spavl.align.ppo.rollout import prompts_of
from spavl.align.reward.model import RewardModel
from tests.align.ppo.small import new_trainer, ppo_settings, score_round

FREEZE = [{"projector": "frozen"}, {"projector": "train"}, {"language": "full"}]


@pytest.mark.parametrize("freeze", FREEZE)
def test_before_the_first_update_ratios_are_1_and_the_kl_to_the_reference_is_0(
    pairs, settings_for, reward, checkpoint, freeze
):
    trainer = new_trainer(ppo_settings(settings_for, freeze=freeze), reward, checkpoint)
    metrics = trainer.run_round(prompts_of(pairs)[:12])
    assert metrics["ratio_gap_first"] < 1e-3
    assert abs(metrics["kl"]) < 1e-4
    assert metrics["drawn_gap"] < 1e-3
    assert 0 < metrics["ended"] <= 1 and 1 <= metrics["length"] <= 14
    for name, group in trainer.models.trained().items():
        assert group, name


@pytest.mark.parametrize("freeze", FREEZE)
def test_reward_and_reference_stay_what_they_were_while_policy_and_critic_are_trained(
    pairs, settings_for, reward, checkpoint, freeze
):
    trainer = new_trainer(ppo_settings(settings_for, freeze=freeze), reward, checkpoint)
    prompts = prompts_of(pairs)[:12]
    rollouts, minibatches, _, before = score_round(trainer, prompts)
    for _ in range(3):
        trainer.run_round(prompts)
    after = trainer.score_rollouts(minibatches, trainer.encode_pictures(minibatches), rollouts)
    assert torch.allclose(before.reference_logprobs, after.reference_logprobs, atol=1e-5)
    assert torch.allclose(before.rewards, after.rewards, atol=1e-5)
    assert not torch.allclose(before.old_logprobs, after.old_logprobs, atol=1e-3)
    assert not torch.allclose(before.values, after.values, atol=1e-3)
    tokenizer = trainer.models.policy.processor.tokenizer
    texts = [tokenizer.decode(one.answer_tokens, skip_special_tokens=True) for one in rollouts]
    images, questions = zip(
        *[(one.prompt.pictures[0].source, one.prompt.row.question) for one in rollouts], strict=True
    )
    by_text = RewardModel.load(reward).score(images, questions, [text or "." for text in texts])
    whole = [n for n, one in enumerate(rollouts) if one.ended and texts[n]]
    assert whole and torch.allclose(by_text[whole], after.rewards[whole], atol=1e-4), "text and tokens have one reward"


def test_rewards_and_logprobs_change_when_the_picture_is_another(pairs, settings_for, reward, checkpoint):
    trainer = new_trainer(ppo_settings(settings_for), reward, checkpoint)
    rollouts, _, _, experience = score_round(trainer, prompts_of(pairs)[:12])
    prompts = [one.prompt for one in rollouts]
    swapped = [
        replace(one, prompt=replace(other, row=replace(one.prompt.row, pictures=other.pictures)))
        for one, other in zip(rollouts, prompts[7:] + prompts[:7], strict=True)
    ]
    minibatches = trainer.minibatches(swapped)
    other = trainer.score_rollouts(minibatches, trainer.encode_pictures(minibatches), swapped)
    assert (other.rewards - experience.rewards).abs().median() > 1e-4
    assert not torch.allclose(other.old_logprobs, experience.old_logprobs, atol=1e-4)


def test_masks_have_the_lengths_of_the_answers_and_all_is_0_beyond_them(pairs, settings_for, reward, checkpoint):
    trainer = new_trainer(ppo_settings(settings_for, ppo={"minibatches": 2}), reward, checkpoint)
    rollouts, minibatches, _, experience = score_round(trainer, prompts_of(pairs)[:12])
    lengths = torch.tensor([len(one.answer_tokens) for one in rollouts])
    assert len(set(lengths.tolist())) > 1, "answers of unequal length"
    assert torch.equal(experience.mask.sum(1), lengths)
    indices = [n for minibatch in minibatches for rollout_batch in minibatch for n in rollout_batch.indices]
    assert sorted(indices) == list(range(len(rollouts)))
    for numbers in (experience.old_logprobs, experience.reference_logprobs, experience.values):
        assert not numbers[~experience.mask].any()
    for row, (one, length) in enumerate(zip(rollouts, lengths.tolist(), strict=True)):
        scored = experience.old_logprobs[row, :length]
        assert torch.allclose(scored, torch.from_numpy(one.logprobs), atol=1e-4), "each answer's own log-probabilities"


def test_several_updates_on_a_round_move_the_ratio_and_clip_it(pairs, settings_for, reward, checkpoint):
    settings = ppo_settings(
        settings_for, optimiser={"learning_rate": 3e-2}, ppo={"epochs": 3, "minibatches": 2, "clip_range": 0.01}
    )
    trainer = new_trainer(settings, reward, checkpoint)
    metrics = trainer.run_round(prompts_of(pairs)[:12])
    assert metrics["ratio_gap_first"] < 1e-3 < metrics["ratio_gap"]
    assert metrics["clipped"] > 0
    assert trainer.schedule.last_epoch == 6


def test_a_cost_above_its_limit_raises_the_multiplier_and_one_below_lowers_it(pairs, settings_for, reward, checkpoint):
    for limit, rises in ((-50.0, True), (50.0, False)):
        cost = {"model": str(reward), "limit": limit, "rate": 0.01}
        trainer = new_trainer(ppo_settings(settings_for, ppo={"cost": cost}), reward, checkpoint)
        metrics = trainer.run_round(prompts_of(pairs)[:12])
        assert metrics["multiplier"] == 1 and metrics["cost"] == pytest.approx(metrics["reward"], abs=1e-4)
        assert (trainer.state.multiplier > 1) == rises


def test_a_round_with_fewer_pictures_than_minibatches_shares_a_picture_among_them(
    pairs, settings_for, reward, checkpoint
):
    trainer = new_trainer(ppo_settings(settings_for, ppo={"minibatches": 9}), reward, checkpoint)
    rollouts = trainer.generate(prompts_of(pairs)[:12])
    minibatches = trainer.minibatches(rollouts)
    assert len(minibatches) == 9 and all(minibatches)
    indices = [index for minibatch in minibatches for one in minibatch for index in one.indices]
    assert sorted(indices) == list(range(len(rollouts))), "every answer is trained on once"
