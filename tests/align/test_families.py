"""The freeze policies and a whole training on the families that differ most (grids, tiles, windows)."""

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import AutoModelForImageTextToText

from spavl.align.dpo.train import train_dpo
from spavl.align.policy.policy import make_policy
from spavl.config.align import AlignSettings, FreezeSettings
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair
from tests.families import CASES, build, save


@pytest.mark.parametrize("name", CASES)
def test_freeze_policies_hold_on_every_parameter_of_every_family(name):
    """`make_policy` asserts them itself; here the parts are counted on top."""
    for vision, projector, language in [
        ("frozen", "train", "lora"),
        ("lora", "frozen", "lora"),
        ("full", "frozen", "lora"),
        ("last:1", "train", "full"),
    ]:
        model, processor = build(CASES[name])
        policy = make_policy(model, processor, FreezeSettings(vision=vision, projector=projector, language=language))
        trained = {part: weights.trained > 0 for part, weights in policy.counts.items()}
        assert trained == {"vision": vision != "frozen", "projector": projector == "train", "language": True}


def pictures_of_two_sizes(folder):
    rng, words = random.Random(0), ["the", "red", "cup", "on", "a", "green", "tree", "is", "round"]
    for number, (width, height) in enumerate([(40, 40), (64, 32), (100, 60)]):
        pixels = np.random.default_rng(number).integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        for question in range(2):
            texts = (" ".join(rng.choices(words, k=rng.randint(3, 12))) for _ in range(3))
            yield Pair(f"{number}/{question}", (Picture(f"key{number}", folder / f"{number}.png"),), *texts)


@pytest.mark.parametrize("name", ["llava_next+mistral", "qwen2_5_vl", "qwen3_vl", "internvl+qwen2", "gemma3"])
def test_a_family_is_trained_on_trees_and_opens_again(name, tmp_path):
    folder = save(CASES[name], tmp_path / "base")
    pairs = list(pictures_of_two_sizes(tmp_path))
    settings = AlignSettings.model_validate(
        {
            "model": str(folder),
            "freeze": {"rank": 2, "alpha": 4},
            "optimiser": {"max_steps": 2, "warmup": 0, "learning_rate": 1e-3},
            "batching": {"pairs": 6, "packing": "tree"},
            "reference": {"mode": "live"},
        }
    )
    made = train_dpo(pairs, settings, tmp_path / "out")
    AutoModelForImageTextToText.from_pretrained(made.checkpoint)
    files = {file.name for file in folder.iterdir() if file.suffix == ".json" or file.suffix == ".jinja"}
    assert files <= {file.name for file in Path(made.checkpoint).iterdir()}
