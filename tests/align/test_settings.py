"""The settings files that reproduce a paper or fit a machine are whole, and say what they claim."""

from pathlib import Path

import pytest

from spavl.config import Settings, load_settings

FOLDER = Path(__file__).parents[2] / "settings"


@pytest.mark.parametrize("name", ["paper-dpo", "lora-one-gpu"])
def test_a_settings_file_is_valid(name):
    assert load_settings(Settings, FOLDER / f"{name}.yaml", []).align.method == "dpo"


def test_the_papers_numbers_are_the_papers():
    align = load_settings(Settings, FOLDER / "paper-dpo.yaml", []).align
    optimiser = align.optimiser
    assert (optimiser.learning_rate, optimiser.warmup, optimiser.schedule, optimiser.max_grad_norm) == (
        1e-6,
        10,
        "cosine",
        1.0,
    )
    assert (align.loss.beta, align.batching.pairs, optimiser.epochs) == (0.1, 8, 1)
    assert (align.freeze.vision, align.freeze.projector, align.freeze.language) == ("frozen", "train", "full")
    assert not align.loss.sft_anchor and not align.loss.label_smoothing
