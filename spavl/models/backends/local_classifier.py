"""Image classifiers from weights on this machine: any image-classification checkpoint of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

from spavl.config.models import LocalSpec
from spavl.errors import ModelError
from spavl.models.backends.device import choose_device
from spavl.models.backends.local_vlm import check_complete, load_errors, quiet
from spavl.models.identity import find_checkpoint, local_identity

BATCH = 16
"""Pictures in one forward pass."""


@final
class ImageClassifier:
    """A loaded classifier.

    Args:
        model: a transformers image classifier, in eval mode.
        processor: its image processor.
        identity: of its checkpoint.
    """

    def __init__(self, model: Any, processor: Any, identity: str) -> None:
        self.identity = identity
        self.labels: tuple[str, ...] = tuple(name for _, name in sorted(model.config.id2label.items()))
        """Its labels, in the order of its numbers."""
        self._model = model
        self._processor = processor

    def measure(self, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Probability of each label, `[N, labels]`; of labels that do not exclude each other, each for itself.

        Args:
            pictures: N of them, upright and in RGB.
        """
        with torch.inference_mode():
            found = [self._probabilities(pictures[at : at + BATCH]) for at in range(0, len(pictures), BATCH)]
        return torch.cat(found).numpy() if found else np.empty((0, len(self.labels)), np.float32)

    def _probabilities(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        inputs = self._processor(images=list(pictures), return_tensors="pt").to(self._model.device)
        logits = self._model(**inputs).logits.float()
        several = self._model.config.problem_type == "multi_label_classification"
        return (logits.sigmoid() if several else logits.softmax(dim=-1)).cpu()


def open_classifier(path: str, device: str = "auto") -> ImageClassifier:
    """The classifier of a checkpoint; it computes in float32, and no code of the checkpoint is run.

    Args:
        path: a checkpoint folder, or a Hub id.
        device: `auto` for the best there is, or the name of a torch device.

    Raises:
        ModelError: there is no such checkpoint, it is damaged or incomplete, or it is no image classifier.
    """
    spec = LocalSpec(name="classifier", path=path, dtype="float32")
    checkpoint = find_checkpoint(spec)
    with load_errors(checkpoint.folder), quiet():
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
        _refuse_other(type(config), checkpoint.folder)
        model, report = AutoModelForImageClassification.from_pretrained(
            checkpoint.folder, dtype=torch.float32, use_safetensors=True, local_files_only=True,
            output_loading_info=True,
        )  # fmt: skip
        check_complete(checkpoint.folder, model, report)
        processor = AutoImageProcessor.from_pretrained(checkpoint.folder, local_files_only=True, backend="pil")
    return ImageClassifier(model.to(choose_device(device)).eval(), processor, local_identity(spec, checkpoint))


def _refuse_other(config: type[Any], folder: Path) -> None:
    if config not in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        raise ModelError(
            f"This checkpoint is no image classifier: its configuration is {config.__name__}.", where=str(folder),
            try_="Name an image-classification checkpoint in `build.collect.filters.classifier.path`.",
        )  # fmt: skip
