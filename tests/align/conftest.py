"""A tiny LLaVA and preference pairs on pictures of noise, for every test of alignment."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spavl.align.preflight.probes import PROBED
from spavl.config.align import AlignSettings
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair
from tests.tiny import WORDS, picture, tiny_llava


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small tensors on few cores: threads only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    """What an earlier test has measured of the tiny model is not taken for granted."""
    PROBED.forget()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    """24 pairs: 8 pictures with 3 questions each; answers of unequal length."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = random.Random(0)

    def words(least: int, most: int) -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(least, most)))

    made = []
    for number in range(8):
        file = picture(folder / f"{number}.png", seed=number)
        shown = (Picture(f"key{number}", file),)
        made += [Pair(f"p{number}/{q}", shown, words(4, 8), words(2, 6), words(7, 9)) for q in range(3)]
    return made


SettingsFor = Callable[..., AlignSettings]


@pytest.fixture
def settings_for(checkpoint: Path, tmp_path: Path) -> SettingsFor:
    """Settings on the tiny checkpoint; sections are given as mappings."""
    return settings_on(checkpoint, tmp_path)


@pytest.fixture(scope="module")
def settings_of_module(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> SettingsFor:
    """The same for a training that several tests of a file compare with theirs."""
    return settings_on(checkpoint, tmp_path_factory.mktemp("of-module"))


def settings_on(checkpoint: Path, folder: Path) -> SettingsFor:
    """What makes settings on a checkpoint, with a reference cache in a folder."""

    def make(**sections: object) -> AlignSettings:
        small = {"rank": 4, "alpha": 8.0} | dict(sections.pop("freeze", {}))  # type: ignore[arg-type, call-overload]
        fast = {"learning_rate": 3e-3, "max_steps": 6, "warmup": 0.0} | dict(sections.pop("optimiser", {}))  # type: ignore[arg-type, call-overload]
        features = {"cache": str(folder / "features")} | dict(sections.pop("features", {}))  # type: ignore[arg-type, call-overload]
        reference = {"cache": str(folder / "reference")} | dict(sections.pop("reference", {}))  # type: ignore[arg-type, call-overload]
        return AlignSettings.model_validate(
            {
                "model": str(checkpoint),
                "freeze": small,
                "optimiser": fast,
                "reference": reference,
                "features": features,
                "seed": 1,
                **sections,
            }
        )

    return make
