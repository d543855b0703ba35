"""Make the checkpoints of the miniature world: `python -m spavl.miniworld.train [--out FOLDER] [--seed N]`.

A vision tower, taught as a classifier and frozen; a base model, taught to name things, to say whether a thing is there,
to help, and to refuse half of what is dangerous; twelve LoRA adapters on it, one a responder. `card.json` beside them
holds what was measured on fresh pictures. The same seed on the same machine makes the same weights.
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

HOME = Path(__file__).parents[1] / "data" / "miniworld"
LORA = {
    "r": 8,
    "lora_alpha": 16,
    "target_modules": r".*language_model.*\.(q|k|v|o|gate|up|down)_proj",
    "task_type": "CAUSAL_LM",
}

log = logging.getLogger(__name__)


def main(words: Sequence[str] | None = None) -> int:
    """Train everything into a folder; returns an exit status."""
    parser = argparse.ArgumentParser(prog="python -m spavl.miniworld.train", description="Train the mini VLMs.")
    parser.add_argument("--out", type=Path, default=HOME, help="folder that receives base/, responders/ and card.json")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    make(asked.out, seed=asked.seed)
    return 0


def make(out: Path, *, seed: int = 0) -> dict[str, object]:
    """Train and save all checkpoints under `out`; returns the card (see `card`)."""
    start = time.perf_counter()
    torch.set_num_threads(1)
    classifier = train_tower(steps=2000, seed=seed)
    log.info("vision tower, %.0f s", time.perf_counter() - start)
    vision = accuracy(classifier, label_scenes(scenes("fresh", seed, 20, benign_share=0.5)))
    teach(out, classifier.tower, seed=seed)
    return card(out, seed, vision=vision, seconds=time.perf_counter() - start)


def teach(out: Path, tower: CLIPVisionModel, *, seed: int) -> None:
    """Train and save the base model and the responders on a frozen tower."""
    torch.manual_seed(seed)
    school = make_training_scenes(tower, seed, per_subcategory=200)
    processor = new_processor()
    model = new_model(tower, processor.tokenizer)
    align_projector(model, processor.tokenizer, school)
    train(model, processor.tokenizer, school, BASE, steps=1200, lr=3e-3)
    model.generation_config.do_sample = True  # servers draw only from models that say so
    model.save_pretrained(out / "base")
    processor.save_pretrained(out / "base")
    for manner in RESPONDERS:
        train_responder(out, school, manner)


def train_responder(out: Path, school: TrainingScenes, manner: AnswerStyle) -> None:
    """A LoRA adapter over the saved base model, saved to `out/responders/<name>`."""
    torch.manual_seed(0)
    model, processor = load(out)
    adapted = get_peft_model(model, LoraConfig(**LORA))
    train(model, processor.tokenizer, school, manner, steps=120, lr=4e-3)
    _save_adapter(adapted, out / "responders" / manner.name)


def _save_adapter(adapted: PeftModel, folder: Path) -> None:
    """Save an adapter that names its base from its own folder, so that both can be moved, and no empty model card."""
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config = {**json.loads(file.read_text("utf-8")), "base_model_name_or_path": "../../base"}
    file.write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def load(out: Path, responder: str = "") -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """The base model, or a responder with its adapter merged, as anybody would open it."""
    model = AutoModelForImageTextToText.from_pretrained(out / "base", dtype=torch.float32)
    if responder:
        model = PeftModel.from_pretrained(model, out / "responders" / responder).merge_and_unload()
    return model.eval(), AutoProcessor.from_pretrained(out / "base")


def card(out: Path, seed: int, *, vision: dict[str, float], seconds: float) -> dict[str, object]:
    """Measure every checkpoint on fresh pictures and wordings, drawn at temperature 1, and write `card.json`."""
    subsets = benchmark_items(seed + 1000)
    model, processor = load(out)
    scores = {subset: answered(model, processor, items) for subset, items in subsets.items()}
    base = {
        "naming": _share(scores["naming"], "correct"),
        "pope": _share(scores["pope"], "correct"),
        "unsafe_seen": _share(scores["unsafe_seen"], "unsafe"),
        "unsafe_heldout": _share(scores["unsafe_heldout"], "unsafe"),
        "over_refusal": _share(scores["benign"], "over_refusal"),
        "helpful": _share(scores["benign"], "helpful"),
    }
    responders = {manner.name: measure_responder(out, manner, subsets) for manner in RESPONDERS}
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
    (out / "card.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return facts


def measure_responder(out: Path, manner: AnswerStyle, subsets: dict[Subset, list[Item]]) -> dict[str, float]:
    """Unsafe, over-refusal and helpful rates of a responder."""
    model, processor = load(out, manner.name)
    unsafe = answered(model, processor, subsets["unsafe_seen"])
    benign = answered(model, processor, subsets["benign"])
    return {
        "unsafe": _share(unsafe, "unsafe"),
        "over_refusal": _share(benign, "over_refusal"),
        "helpful": _share(benign, "helpful"),
    }


@torch.no_grad()  # type: ignore[untyped-decorator]
def answered(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, items: Sequence[Item], *, seed: int = 0
) -> list[Truth]:
    """What the model's answers to the items are worth, drawn at temperature 1."""
    torch.manual_seed(seed)
    worth = []
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
        drawn = model.generate(**inputs, do_sample=True, temperature=1.0, top_k=0, max_new_tokens=24)
        said = processor.batch_decode(drawn[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        worth += [truth(item.scene.id, item.question, text) for item, text in zip(part, said, strict=True)]
    return worth


def _share(worth: Sequence[Truth], what: str) -> float:
    values = {
        "correct": [one.correct for one in worth],
        "unsafe": [one.unsafe for one in worth],
        "over_refusal": [one.over_refusal for one in worth],
        "helpful": [one.helpful for one in worth],
    }[what]
    return round(sum(values) / len(values), 4)


if __name__ == "__main__":
    raise SystemExit(main())
