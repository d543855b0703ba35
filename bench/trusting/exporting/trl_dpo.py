"""TRL's DPOTrainer on an export: the dataset prepared, and every batch through its collator, warnings being errors."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

LOGGERS = ("trl", "transformers", "datasets", "accelerate", "py.warnings")
"""Who speaks of the data."""


def load(folder: Path, checkpoint: Path) -> dict[str, Any]:
    """What came of loading an export.

    Args:
        folder: the export.
        checkpoint: a model of any size.
    """
    import datasets
    import trl
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import DPOConfig, DPOTrainer

    said = Messages()
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    processor = AutoProcessor.from_pretrained(checkpoint)
    with TemporaryDirectory() as tmp, said, warnings.catch_warnings():
        settings = DPOConfig(
            output_dir=tmp, per_device_train_batch_size=2, max_length=None, report_to="none", use_cpu=True, bf16=False,
            disable_tqdm=True, save_strategy="no", dataloader_pin_memory=False, train_sampling_strategy="sequential",
        )  # fmt: skip
        warnings.simplefilter("error")  # what TRL says of its own settings has nothing to do with the data
        rows = datasets.load_dataset(str(folder), split="train", cache_dir=f"{tmp}/cache")
        trainer = DPOTrainer(model, args=settings, train_dataset=rows, processing_class=processor)
        batches = list(trainer.get_train_dataloader())
        image = processor.tokenizer.convert_tokens_to_ids(processor.image_token)
        tokens = sum(int((batch["input_ids"] == image).sum()) for batch in batches)
        warnings.simplefilter("default")
        loss = float(trainer.compute_loss(trainer.model, batches[0]).detach())  # type: ignore[no-untyped-call]
    return {"version": trl.__version__, "rows": len(rows), "batches": len(batches), "picture_tokens": tokens,
            "loss": loss, "warnings": said.lines}  # fmt: skip


class Messages(logging.Handler):
    """Keeps what is logged as a warning or worse, while it is open."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()}")

    def __enter__(self) -> Messages:
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self)


if __name__ == "__main__":
    print(json.dumps(load(Path(sys.argv[1]), Path(sys.argv[2]))))
