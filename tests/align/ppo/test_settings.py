"""The paper's reward model and PPO as settings files: whole, valid, and with the paper's numbers."""

from pathlib import Path

from spavl.config import Settings, load_settings

FOLDER = Path(__file__).parents[3] / "settings"


def test_the_papers_reward_model_has_the_papers_numbers():
    align = load_settings(Settings, FOLDER / "paper-rm.yaml", []).align
    optimiser, freeze = align.optimiser, align.freeze
    steps = (optimiser.learning_rate, optimiser.schedule, optimiser.warmup, optimiser.epochs)
    assert steps == (3e-5, "constant", 0.03, 1)
    assert (align.batching.pairs, freeze.rank, freeze.alpha) == (32, 256, 512)
    assert (freeze.vision, freeze.projector, align.validation.measure_every) == ("frozen", "train", 50)


def test_the_papers_ppo_has_the_papers_numbers_and_finds_its_reward_model():
    align = load_settings(Settings, FOLDER / "paper-ppo.yaml", []).align
    ppo, optimiser = align.ppo, align.optimiser
    assert (optimiser.learning_rate, optimiser.schedule, optimiser.warmup, optimiser.max_grad_norm) == (
        1e-6,
        "cosine",
        10,
        1.0,
    )
    assert (ppo.kl_coef, ppo.gamma, ppo.gae_lambda, ppo.clip_range, ppo.value_clip_range) == (
        0.1,
        1.0,
        1.0,
        0.2,
        0.2,
    )
    assert (ppo.prompts, ppo.answers, ppo.epochs, ppo.minibatches) == (8, 1, 1, 1)
    assert not (ppo.whiten or ppo.normalize_reward or ppo.missing_eos_penalty)
    reward = load_settings(Settings, FOLDER / "paper-rm.yaml", [])
    assert align.reward.folder == f"{reward.out}/align/reward"
    assert align.freeze == reward.align.freeze, "the same shape of adapter for policy, reward and critic"
