"""Train the checkpoints of the miniature world: `python -m spavl.miniworld.train [--out FOLDER] [--seed N]`.

A vision tower, trained as a classifier and frozen; a base model, trained to name things, to say whether a thing is in
the picture, to help, and to refuse half of what is dangerous; twelve LoRA adapters on it, one a responder. `card.json`
holds their rates on fresh pictures. The same seed on the same machine gives the same weights.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPVisionModel,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from spavl.atomic import write_text
from spavl.miniworld.items import Item, Subset, benchmark_items
from spavl.miniworld.oracle import Truth, truth
from spavl.miniworld.pictures import draw
from spavl.miniworld.responders import BASE, RESPONDERS, AnswerStyle
from spavl.miniworld.train_language import (
    TrainingScenes,
    align_projector,
    make_training_scenes,
    new_model,
    new_processor,
    train,
)
from spavl.miniworld.train_vision import accuracy, label_scenes, train_tower
from spavl.miniworld.world import kinds, scenes
from spavl.models.backends.local_adapter import put_adapter

HOME = Path(__file__).parents[1] / "data" / "miniworld"
"""Where the package keeps the checkpoints."""
LORA = {
    "r": 8,
    "lora_alpha": 16,
    "target_modules": r".*language_model.*\.(q|k|v|o|gate|up|down)_proj",
    "task_type": "CAUSAL_LM",
}
"""The adapter of every responder: every linear layer of the language model (https://arxiv.org/abs/2106.09685)."""

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train everything into a folder; returns the exit status.

    Args:
        arguments: of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(prog="python -m spavl.miniworld.train", description="Train the mini VLMs.")
    parser.add_argument("--out", type=Path, default=HOME, help="folder that receives base/, responders/ and card.json")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    make_checkpoints(options.out, seed=options.seed)
    return 0


def make_checkpoints(out: Path, *, seed: int = 0) -> dict[str, object]:
    """Train, save and measure all checkpoints; returns what `write_card` measured.

    Args:
        out: folder that receives base/, responders/ and card.json.
        seed: of pictures, weights and batches.
    """
    start = time.perf_counter()
    torch.set_num_threads(1)
    classifier = train_tower(steps=2000, seed=seed)
    log.info("vision tower, %.0f s", time.perf_counter() - start)
    vision = accuracy(classifier, label_scenes(scenes("fresh", seed, 20, benign_share=0.5)))
    train_language_models(out, classifier.tower, seed=seed)
    return write_card(out, seed, vision=vision, seconds=time.perf_counter() - start)


def train_language_models(out: Path, tower: CLIPVisionModel, *, seed: int) -> None:
    """Train and save the base model and the responders.

    Args:
        out: folder that receives base/ and responders/.
        tower: the trained, frozen vision tower.
        seed: of pictures and weights.
    """
    torch.manual_seed(seed)
    training_scenes = make_training_scenes(tower, seed, per_subcategory=200)
    processor = new_processor()
    model = new_model(tower, processor.tokenizer)
    align_projector(model, processor.tokenizer, training_scenes)
    train(model, processor.tokenizer, training_scenes, BASE, steps=1200, lr=3e-3)
    model.generation_config.do_sample = True  # servers sample only from models that say so
    model.save_pretrained(out / "base")
    processor.save_pretrained(out / "base")
    for style in RESPONDERS:
        train_responder(out, training_scenes, style)


def train_responder(out: Path, training_scenes: TrainingScenes, style: AnswerStyle) -> None:
    """Train a LoRA adapter of the saved base model and save it to `<out>/responders/<name>`.

    Args:
        out: folder that holds base/.
        training_scenes: scenes with their image features.
        style: how the responder shall answer.
    """
    torch.manual_seed(0)
    model, processor = load(out)
    adapted = get_peft_model(model, LoraConfig(**LORA))
    train(model, processor.tokenizer, training_scenes, style, steps=120, lr=4e-3)
    _save_adapter(adapted, out / "responders" / style.name)


def _save_adapter(adapted: PeftModel, folder: Path) -> None:
    """Save an adapter that names its base by a relative path, so that both can be moved, without PEFT's README."""
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config = {**json.loads(file.read_text("utf-8")), "base_model_name_or_path": "../../base"}
    write_text(file, json.dumps(config, indent=2) + "\n")


def load(out: Path, responder: str = "") -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """The base model, or a responder with its adapter merged, in float32, with the processor.

    Args:
        out: folder that holds base/ and responders/.
        responder: name of a responder; empty: the base model.
    """
    model = AutoModelForImageTextToText.from_pretrained(out / "base", dtype=torch.float32)
    if responder:
        model = put_adapter(model, out / "responders" / responder).merge_and_unload()
    return model.eval(), AutoProcessor.from_pretrained(out / "base")


def write_card(out: Path, seed: int, *, vision: dict[str, float], seconds: float) -> dict[str, object]:
    """Measure every checkpoint on fresh pictures and wordings at temperature 1; writes and returns `card.json`.

    Args:
        out: folder that holds base/ and responders/.
        seed: that the checkpoints were trained with.
        vision: accuracy of the vision tower.
        seconds: that training took.
    """
    subsets = benchmark_items(seed + 1000)
    model, processor = load(out)
    scores = {subset: score_answers(model, processor, items) for subset, items in subsets.items()}
    base = {
        "naming": _share(scores["naming"], "correct"),
        "pope": _share(scores["pope"], "correct"),
        "unsafe_seen": _share(scores["unsafe_seen"], "unsafe"),
        "unsafe_heldout": _share(scores["unsafe_heldout"], "unsafe"),
        "over_refusal": _share(scores["benign"], "over_refusal"),
        "helpful": _share(scores["benign"], "helpful"),
    }
    responders = {style.name: measure_responder(out, style, subsets) for style in RESPONDERS}
    weights = sum(file.stat().st_size for file in out.rglob("*.safetensors"))
    facts: dict[str, object] = {
        "made by": "python -m spavl.miniworld.train",
        "seed": seed,
        "n": {subset: len(items) for subset, items in subsets.items()},
        "vision tower on fresh pictures": vision,
        "base": base,
        "responders": responders,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "weights_mb": round(weights / 1e6, 2),
        "seconds": round(seconds),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "subcategories": len(kinds()),
    }
    write_text(out / "card.json", json.dumps(facts, indent=1) + "\n")
    return facts


def measure_responder(out: Path, style: AnswerStyle, subsets: dict[Subset, list[Item]]) -> dict[str, float]:
    """Unsafe, over-refusal and helpful rates of a responder.

    Args:
        out: folder that holds base/ and responders/.
        style: of the responder.
        subsets: benchmark items by subset.
    """
    model, processor = load(out, style.name)
    unsafe = score_answers(model, processor, subsets["unsafe_seen"])
    benign = score_answers(model, processor, subsets["benign"])
    return {
        "unsafe": _share(unsafe, "unsafe"),
        "over_refusal": _share(benign, "over_refusal"),
        "helpful": _share(benign, "helpful"),
    }


@torch.no_grad()  # type: ignore[untyped-decorator]
def score_answers(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, items: Sequence[Item], *, seed: int = 0
) -> list[Truth]:
    """The truth about the model's answers to the items, sampled at temperature 1.

    Args:
        model: in evaluation mode.
        processor: of the model.
        items: what to ask.
        seed: of the sampling.
    """
    torch.manual_seed(seed)
    scores = []
    for start in range(0, len(items), 256):
        part = items[start : start + 256]
        turns = [
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": item.question}]}] for item in part
        ]
        inputs = processor(
            images=[draw(item.scene) for item in part],
            text=processor.apply_chat_template(turns, add_generation_prompt=True),
            return_tensors="pt",
            padding=True,
            add_special_tokens=False,
        )
        generated = model.generate(**inputs, do_sample=True, temperature=1.0, top_k=0, max_new_tokens=24)
        answers = processor.batch_decode(generated[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        scores += [truth(item.scene.id, item.question, text) for item, text in zip(part, answers, strict=True)]
    return scores


def _share(scores: Sequence[Truth], outcome: str) -> float:
    values = {
        "correct": [score.correct for score in scores],
        "unsafe": [score.unsafe for score in scores],
        "over_refusal": [score.over_refusal for score in scores],
        "helpful": [score.helpful for score in scores],
    }[outcome]
    return round(sum(values) / len(values), 4)


if __name__ == "__main__":
    raise SystemExit(main())
