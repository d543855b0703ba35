"""LLaMA-Factory's own dataset loader on an export: loaded, converted, and every row through its collator's checks."""

from __future__ import annotations

import json
import logging
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def load(folder: Path, name: str, checkpoint: Path) -> dict[str, Any]:
    """What came of loading an export.

    Args:
        folder: the export.
        name: of the dataset in its `dataset_info.json`.
        checkpoint: a processor that its template `llava` fits.
    """
    _without_sound()
    import llamafactory
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.data.mm_plugin import get_mm_plugin
    from llamafactory.extras import logging as its_logging
    from llamafactory.hparams import DataArguments, ModelArguments, TrainingArguments
    from transformers import AutoProcessor

    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(f"{record.name}: {record.getMessage()}")  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    its_logging.get_logger("llamafactory").addHandler(handler)
    processor = AutoProcessor.from_pretrained(checkpoint)
    for key, value in {"image_max_pixels": 768 * 768, "image_min_pixels": 32 * 32}.items():
        setattr(processor, key, value)
    with TemporaryDirectory() as tmp:
        data = DataArguments(template="llava", dataset=name, dataset_dir=str(folder), media_dir=str(folder),
                             cutoff_len=4096, overwrite_cache=True)  # fmt: skip
        data.dataset = [name]
        model = ModelArguments(model_name_or_path=str(checkpoint), cache_dir=tmp)
        training = TrainingArguments(output_dir=tmp, use_cpu=True)
        template = get_template_and_fix_tokenizer(processor.tokenizer, data)
        found = get_dataset(template, model, data, training, "rm", processor.tokenizer, processor)["train_dataset"]
        rows = found.to_list()
        plugin = get_mm_plugin("llava", image_token="<image>")
        pictures = [picture for row in rows for picture in row["images"] or []]
        opened = plugin._regularize_images(pictures, image_max_pixels=768 * 768, image_min_pixels=1)["images"]
    return {"version": llamafactory.__version__, "rows": len(rows), "pictures": len(opened), "warnings": lines}


def _without_sound() -> None:
    """Put an empty module in the place of torchaudio where it is of another build than torch: no row has sound."""
    try:
        import torchaudio  # noqa: F401
    except (OSError, ImportError):
        sys.modules["torchaudio"] = module_from_spec(ModuleSpec("torchaudio", None))


if __name__ == "__main__":
    print(json.dumps(load(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))))
