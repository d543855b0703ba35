"""A small reward model, trained once for every test of the room."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.align.reward.train import train_reward
from spavl.config.align import AlignSettings
from spavl.preferences.pairs import Pair


@pytest.fixture(scope="session")
def reward(pairs: list[Pair], checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model that likes the rejected (long) answers less."""
    settings = AlignSettings.model_validate(
        {
            "model": str(checkpoint),
            "freeze": {"rank": 4, "projector": "frozen"},
            "optimiser": {"learning_rate": 1e-2, "max_steps": 12},
            "batching": {"pairs": 12},
            "seed": 1,
        }
    )
    return train_reward(pairs, settings, tmp_path_factory.mktemp("reward")).folder
