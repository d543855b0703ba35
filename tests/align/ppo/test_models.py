"""Which models of PPO share a base, and what each of them trains."""

import torch

from spavl.align.ppo.rollout import prompts_of
from spavl.align.reward.train import train_reward
from tests.align.ppo.small import new_trainer, ppo_settings, score_round


def test_a_full_reward_model_has_a_base_of_its_own_and_its_critic_trains_what_it_trained(
    pairs, settings_for, checkpoint, tmp_path
):
    settings = settings_for(freeze={"language": "full"}, optimiser={"max_steps": 2}, batching={"pairs": 12})
    folder = train_reward(pairs, settings, tmp_path).folder
    trainer = new_trainer(ppo_settings(settings_for), folder, checkpoint)
    models = trainer.models
    assert models.reward.model is not models.policy.model is not models.critic.model is not models.reward.model
    assert not any("vision_tower" in name for name in models.critic.weights())
    before = {name: weight.detach().clone() for name, weight in models.reward.model.named_parameters()}
    trainer.run_round(prompts_of(pairs)[:12])
    assert all(torch.equal(before[name], weight) for name, weight in models.reward.model.named_parameters())
    moved = {name for name, weight in models.critic.model.named_parameters() if not torch.equal(before[name], weight)}
    assert moved and not any("vision" in name for name in moved)


def test_models_on_one_base_share_it_and_encode_a_picture_once(pairs, settings_for, reward, checkpoint):
    trainer = new_trainer(ppo_settings(settings_for, freeze={"projector": "frozen"}), reward, checkpoint)
    models = trainer.models
    assert models.reward.model is models.critic.model is models.policy.model and models.shared_image_features
    rollouts, minibatches, features, shared = score_round(trainer, prompts_of(pairs)[:12])
    assert all(one is not None for one in features.values())
    own = trainer.score_rollouts(minibatches, dict.fromkeys(features), rollouts)
    for name in ("old_logprobs", "rewards", "values"):
        assert torch.allclose(vars(shared)[name], vars(own)[name], atol=1e-5), name


def test_with_a_projector_in_training_each_model_encodes_pictures_itself(settings_for, reward, checkpoint):
    assert not new_trainer(ppo_settings(settings_for), reward, checkpoint).models.shared_image_features
