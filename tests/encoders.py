"""Tiny random encoders of pictures, built offline in a second: real classes, real files, untrained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from tests.tiny import tiny_processor

SIZE = {"height": 24, "width": 24}
"""Size of the pictures that the towers see."""
_LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_VISION = {**_LAYERS, "image_size": 24, "patch_size": 8}


def _tokenizer() -> Any:
    tokenizer = tiny_processor().tokenizer
    tokenizer.padding_side = "right"
    return tokenizer


def _text(tokenizer: Any) -> dict[str, Any]:
    return {**_LAYERS, "vocab_size": len(tokenizer), "max_position_embeddings": 8, "bos_token_id": 1,
            "eos_token_id": 2, "pad_token_id": 0}  # fmt: skip


def clip(folder: Path) -> Path:
    """A CLIP model with its processor; features of 24 numbers."""
    tokenizer = _tokenizer()
    config = tf.CLIPConfig(text_config=_text(tokenizer), vision_config=_VISION, projection_dim=24)
    return _save(tf.CLIPModel, config, tf.CLIPProcessor(CLIPImageProcessorPil(size=SIZE, crop_size=SIZE), tokenizer),
                 folder)  # fmt: skip


def siglip(folder: Path) -> Path:
    """A SigLIP model with its processor; features of 32 numbers."""
    tokenizer = _tokenizer()
    config = tf.SiglipConfig(text_config=_text(tokenizer), vision_config=_VISION)
    return _save(tf.SiglipModel, config, tf.SiglipProcessor(SiglipImageProcessorPil(size=SIZE), tokenizer), folder)


def siglip2(folder: Path) -> Path:
    """A SigLIP 2 model of any resolution (NaFlex) with its processor; features of 32 numbers."""
    tokenizer = _tokenizer()
    vision = {**_LAYERS, "patch_size": 8, "num_patches": 9}
    config = tf.Siglip2Config(text_config=_text(tokenizer), vision_config=vision)
    pictures = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=9)
    return _save(tf.Siglip2Model, config, tf.Siglip2Processor(pictures, tokenizer), folder)


def dinov2(folder: Path) -> Path:
    """A DINOv2 model; its pooled output has 32 numbers."""
    config = tf.Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=24, patch_size=8)
    return _save(tf.Dinov2Model, config, ViTImageProcessorPil(size=SIZE), folder)


def vit_classifier(folder: Path) -> Path:
    """A ViT classifier, whose checkpoint has a head and no pooling."""
    config = tf.ViTConfig(**_VISION, num_labels=3)
    return _save(tf.ViTForImageClassification, config, ViTImageProcessorPil(size=SIZE), folder)


ENCODERS: dict[str, tuple[Callable[[Path], Path], int]] = {
    "clip": (clip, 24), "siglip": (siglip, 32), "siglip2": (siglip2, 32),
    "dinov2": (dinov2, 32), "vit classifier": (vit_classifier, 32),
}  # fmt: skip
"""What saves each into a folder, and the length of its vectors."""


def _save(kind: Any, config: Any, processor: Any, folder: Path) -> Path:
    torch.manual_seed(0)
    kind(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
