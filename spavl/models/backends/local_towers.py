"""Towers that make vectors of pictures and texts: dual encoders, vision models, and those of vision-language models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageTextToText
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING,
    MODEL_MAPPING,
)
from typing_extensions import override

from spavl.errors import ModelError
from spavl.models.backends.local_vlm import check_complete, load_errors, quiet
from spavl.models.families import FACTS
from spavl.models.families.processors import load_processor

T = TypeVar("T")

OTHER_MODELS = "Name a checkpoint of CLIP, SigLIP or another dual encoder, of DINOv2, ViT or another vision model."
"""What is suggested where a checkpoint encodes no pictures."""
TEXT_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"})
"""What a processor makes of a text."""


class Tower(ABC):
    """A loaded model that makes vectors, of any length."""

    @abstractmethod
    def pictures(self, images: Sequence[Image.Image]) -> Tensor:
        """Vectors [N, D] of pictures.

        Args:
            images: N of them, upright and in RGB.
        """

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Vectors [N, D] of texts.

        Args:
            texts: N of them.

        Raises:
            ModelError: it has no text tower.
        """
        raise ModelError(
            f"This encoder has no text tower, so that pictures cannot be found by words ({len(texts)} were given).",
            try_="Name a checkpoint of CLIP, SigLIP or another dual encoder.",
        )


@final
class TowerEncoder:
    """An ImageEncoder over a tower.

    Args:
        tower: makes the vectors.
        identity: of its checkpoint.
        batch_size: pictures in one forward pass; halved when memory runs out.
    """

    def __init__(self, tower: Tower, *, identity: str, batch_size: int) -> None:
        self.identity = identity
        self._tower = tower
        self._fitting_batch = batch_size

    def encode_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Vectors [N, D] of pictures, each of length one.

        Args:
            images: N of them, upright and in RGB.

        Raises:
            ModelError: it cannot take one of them, or gives no vector for each.
        """
        return self._encode(self._tower.pictures, images, "pictures")

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors [N, D] of texts, each of length one.

        Args:
            texts: N of them; what is longer than the text tower reads is cut off.

        Raises:
            ModelError: it has no text tower, or gives no vector for each.
        """
        return self._encode(self._tower.texts, texts, "texts")

    def _encode(self, encode: Callable[[Sequence[T]], Tensor], given: Sequence[T], what: str) -> NDArray[np.float32]:
        rows: list[NDArray[np.float32]] = []
        done = 0
        while done < len(given):
            batch = given[done : done + self._fitting_batch]
            try:
                with torch.inference_mode():
                    rows.append(_of_length_one(encode(batch), len(batch), what))
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                self._fitting_batch = max(1, len(batch) // 2)
                continue
            except ModelError:
                raise
            except Exception as error:  # processors raise whatever they like
                raise ModelError(f"The encoder cannot take these {what}: {type(error).__name__}: {error}") from error
            done += len(batch)
        return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)


def _of_length_one(vectors: Tensor, count: int, what: str) -> NDArray[np.float32]:
    if vectors.ndim != 2 or len(vectors) != count:
        raise ModelError(f"The encoder gives {tuple(vectors.shape)} numbers for {count} {what}, and not a vector each.",
                         try_=OTHER_MODELS)  # fmt: skip
    if not bool(torch.isfinite(vectors).all()):
        raise ModelError(f"The encoder gives vectors of {what} with numbers that are not finite.", try_=OTHER_MODELS)
    found: NDArray[np.float32] = torch.nn.functional.normalize(vectors.float(), dim=-1).cpu().numpy()
    return found


@final
class DualTower(Tower):
    """CLIP, SigLIP and their like: a tower for pictures and one for texts.

    Args:
        model: with `get_image_features` and `get_text_features`.
        processor: its processor.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self._model = model
        self._processor = processor
        longest = model.config.text_config.max_position_embeddings
        self._longest = min(longest, processor.tokenizer.model_max_length)

    @override
    def pictures(self, images: Sequence[Image.Image]) -> Tensor:
        """The model's own picture features, [N, D].

        Args:
            images: N of them, upright and in RGB.
        """
        inputs = self._processor.image_processor(images=list(images), return_tensors="pt")
        found: Tensor = self._model.get_image_features(**inputs.to(self._model.device)).pooler_output
        return found

    @override
    def texts(self, texts: Sequence[str]) -> Tensor:
        """The model's own text features, [N, D].

        Args:
            texts: N of them; what is longer than the text tower reads is cut off.
        """
        inputs = self._processor.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self._longest, return_tensors="pt"
        )  # SigLIP was trained on texts padded to full length; for the others padding changes nothing
        found: Tensor = self._model.get_text_features(**inputs.to(self._model.device)).pooler_output
        return found


@final
class VisionTower(Tower):
    """A vision model without texts: its pooled output, or the mean of its patches where it pools none.

    Args:
        model: the vision model.
        processor: its picture processor.
        pools: whether its pooled output is trained; a classifier's checkpoint may have none.
    """

    def __init__(self, model: Any, processor: Any, *, pools: bool) -> None:
        self._model = model
        self._processor = processor
        self._pools = pools

    @override
    def pictures(self, images: Sequence[Image.Image]) -> Tensor:
        """Pooled outputs, or means of patches, [N, D].

        Args:
            images: N of them, upright and in RGB.
        """
        inputs = self._processor(images=list(images), return_tensors="pt")
        made: Mapping[str, Tensor] = self._model(**inputs.to(self._model.device))
        pooled = made.get("pooler_output") if self._pools else None
        return made["last_hidden_state"].mean(1) if pooled is None else pooled.flatten(1)


@final
class LanguageModelTower(Tower):
    """The vision tower of a vision-language model: the mean of a picture's patches.

    Args:
        model: the vision-language model.
        processor: its processor.
        fixed: every picture has the same number of patches, which are taken from the tower; else they are taken where
            they enter the language model, for only there it is known which are whose.
        device: name of the torch device that the tower is on.
    """

    def __init__(self, model: Any, processor: Any, *, fixed: bool, device: str) -> None:
        self._model = model
        self._processor = processor
        self._fixed = fixed
        self._device = device

    @override
    def pictures(self, images: Sequence[Image.Image]) -> Tensor:
        """Means of the patches of pictures, [N, D].

        Args:
            images: N of them, upright and in RGB.
        """
        inputs = self._processor(
            text=[self._processor.image_token] * len(images), images=[[image] for image in images],
            padding=True, return_tensors="pt",
        ).to(self._device)  # fmt: skip
        pixels = {name: value for name, value in inputs.items() if name not in TEXT_INPUTS}
        made = self._model.get_image_features(**pixels, return_dict=True)
        if self._fixed:
            return made.last_hidden_state.mean(1)
        return torch.stack([patches.flatten(0, -2).mean(0) for patches in made.pooler_output])


def load_tower(folder: Path, device: str) -> Tower:
    """The tower of a checkpoint, in float32 and in eval mode.

    Args:
        folder: the checkpoint; only safetensors weights are read.
        device: name of the torch device.

    Raises:
        ModelError: the folder is damaged or incomplete, or its model encodes no pictures.
    """
    with load_errors(folder), quiet():
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if type(config) in MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING:
            model, report = _load(AutoModel, folder)
            check_complete(folder, model, report)
            return DualTower(model.to(device), load_processor(folder))
        if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
            return _language_model_tower(folder, str(config.model_type), device)
        if type(config) in MODEL_MAPPING and MODEL_MAPPING[type(config)].main_input_name == "pixel_values":
            return _vision_tower(folder, device)
    raise ModelError(
        f"A model of type `{config.model_type}` encodes no pictures.", where=str(folder), try_=OTHER_MODELS
    )


def _load(kind: Any, folder: Path, dtype: str = "float32") -> tuple[Any, dict[str, Any]]:
    """The model, and what transformers says of its weights."""
    model, report = kind.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
    )
    return model.eval(), report


def _vision_tower(folder: Path, device: str) -> Tower:
    """The tower of a vision model; a classifier's head is left out, and it may have no pooling of its own."""
    model, report = _load(AutoModel, folder)
    untrained = {name for name in report["missing_keys"] if name.startswith("pooler.")}
    check_complete(folder, model, {**report, "missing_keys": set(report["missing_keys"]) - untrained,
                                   "unexpected_keys": []})  # fmt: skip
    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    return VisionTower(model.to(device), processor, pools=not untrained)


def _language_model_tower(folder: Path, kind: str, device: str) -> Tower:
    """The tower of a vision-language model, of whose language model nothing is read: its weights stay in their file."""
    facts = FACTS.get(kind)
    if facts is None:
        raise ModelError(
            f"Which part of a model of type `{kind}` encodes pictures is not known.", where=str(folder),
            try_=f"Of vision-language models there are: {', '.join(sorted(FACTS))}. {OTHER_MODELS}",
        )  # fmt: skip
    model, report = _load(AutoModelForImageTextToText, folder, "auto")
    check_complete(folder, model, report)
    parts = tuple(f"{name}." for name in (*facts.vision, *facts.projector))
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if f"{name}.".startswith(parts) and tensor.is_floating_point():
            tensor.data = tensor.data.to(device, torch.float32)
    fixed = facts.picture_tokens == "fixed"
    return LanguageModelTower(model, load_processor(folder), fixed=fixed, device=device)
