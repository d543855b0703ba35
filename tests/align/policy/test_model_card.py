"""The model card is one that the Hub reads, and says what the weights were made from."""

import pytest
from huggingface_hub import ModelCard

from spavl.align.policy.model_card import model_card
from spavl.align.preflight.checks import PreflightReport
from spavl.config.align import AlignSettings

REPORT = PreflightReport(
    pairs=1200, pictures=400, trained={"projector": 2112, "vision": 0, "language": 16384}, packing="tree"
)


def card(**settings):
    text = model_card(
        AlignSettings.model_validate(settings), REPORT, step=40, why="the last step", identity="local:1a2b"
    )
    return ModelCard(text)


def test_the_header_is_what_the_hub_reads():
    made = card(model="llava-hf/llava-1.5-7b-hf", method="ppo")
    assert made.data.to_dict() == {
        "base_model": "llava-hf/llava-1.5-7b-hf",
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["safety", "preference-alignment", "ppo", "spavl"],
    }
    assert made.content.startswith("---\nbase_model: llava-hf/llava-1.5-7b-hf\n")


@pytest.mark.parametrize("model", ["/models/llava", "./llava", "miniworld:base"])
def test_a_base_that_is_not_on_the_hub_is_in_the_text_only(model):
    made = card(model=model)
    assert made.data.base_model is None and "base_model" not in made.content
    assert f"- Base model: `{model}` (`local:1a2b`)" in made.text


def test_the_text_says_what_was_trained_on_what_and_how():
    text = card(model="./llava", loss={"beta": 0.3}).text
    assert text.startswith("# llava, aligned by DPO\n")
    assert "1,200 preference pairs on 400 pictures" in text and "Weights of step 40: the last step." in text
    assert "- Trained: projector (2,112 weights), language (16,384 weights)\n" in text
    assert "```yaml\nmodel: ./llava\nloss:\n  beta: 0.3\n```" in text
    assert "measure on your own pictures" in text
