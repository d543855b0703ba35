"""Encoders of pictures: what is opened, what its vectors are, and what is said of what cannot be opened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
import transformers as tf
from PIL import Image
from torch import Tensor
from typing_extensions import override

from spavl.errors import ModelError
from spavl.models.backends.local_encoder import encoder_identity, open_encoder
from spavl.models.backends.local_towers import Tower, TowerEncoder
from tests import families
from tests.encoders import ENCODERS
from tests.tiny import tiny_adapter


def noise(count: int, size: tuple[int, int] = (30, 26)) -> list[Image.Image]:
    """Pictures of coloured noise."""
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)) for _ in range(count)]


@pytest.fixture(scope="module", params=sorted(ENCODERS))
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A saved encoder and the length of its vectors."""
    save, width = ENCODERS[request.param]
    return save(tmp_path_factory.mktemp("encoder")), width


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved CLIP model; not to be written into."""
    return ENCODERS["clip"][0](tmp_path_factory.mktemp("clip"))


def test_vectors_have_length_one_and_do_not_depend_on_the_batch(opened: tuple[Path, int]) -> None:
    folder, width = opened
    pictures = noise(5)
    together = open_encoder(str(folder), device="cpu").encode_images(pictures)
    alone = open_encoder(str(folder), device="cpu", batch_size=1).encode_images(pictures)
    assert together.shape == (5, width)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together, alone, atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-3)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_features_are_those_of_the_models_own_forward_pass(kind: str, tmp_path: Path) -> None:
    folder = ENCODERS[kind][0](tmp_path)
    texts, pictures = ["a red cup", "the kite is blue and it is torn in two in the picture"], noise(3)
    encoder = open_encoder(str(folder), device="cpu")
    model, processor = tf.AutoModel.from_pretrained(folder), tf.AutoProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(text=texts, images=pictures, padding="max_length", truncation=True, max_length=8,
                       return_tensors="pt")  # fmt: skip
    with torch.inference_mode():
        made = model(**inputs)
    assert np.allclose(encoder.encode_images(pictures), made.image_embeds, atol=1e-5)
    assert np.allclose(encoder.encode_texts(texts), made.text_embeds, atol=1e-5)


@pytest.mark.parametrize("family", ["llava", "llava_next+llama", "qwen2_5_vl", "idefics3", "gemma3"])
def test_the_tower_of_a_vision_language_model_is_an_encoder(family: str, tmp_path: Path) -> None:
    folder = families.save(families.CASES[family], tmp_path)
    pictures = [*noise(2), *noise(1, (60, 40))]
    vectors = open_encoder(str(folder), device="cpu").encode_images(pictures)
    alone = open_encoder(str(folder), device="cpu", batch_size=1).encode_images(pictures)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors, alone, atol=1e-4)


def test_the_miniature_world_s_tower_is_an_encoder_without_texts() -> None:
    encoder = open_encoder("miniworld:base", device="cpu")
    assert encoder.encode_images(noise(2)).shape == (2, 96)
    with pytest.raises(ModelError, match="no text tower"):
        encoder.encode_texts(["a cup"])


def test_the_identity_is_that_of_the_files_and_found_without_loading(clip: Path, tmp_path: Path) -> None:
    copy = copytree(clip, tmp_path / "copy")
    assert open_encoder(str(clip)).identity == encoder_identity(str(copy))
    config = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "logit_scale_init_value": 1.0}), "utf-8")
    assert encoder_identity(str(copy)) != encoder_identity(str(clip))


def test_nothing_given_is_nothing_returned(clip: Path) -> None:
    assert open_encoder(str(clip), device="cpu").encode_images([]).shape[0] == 0


def test_a_language_model_is_refused_with_a_sentence(tmp_path: Path) -> None:
    config = tf.LlamaConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=9
    )
    tf.LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="`llama` encodes no pictures"):
        open_encoder(str(tmp_path))


def test_an_adapter_is_refused_and_its_base_is_named(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="adapter is no encoder") as refused:
        open_encoder(str(tiny_adapter(tiny_checkpoint, tmp_path)))
    assert str(tiny_checkpoint) in refused.value.try_


def test_missing_weights_are_refused_and_never_filled_with_noise(clip: Path, tmp_path: Path) -> None:
    folder = copytree(clip, tmp_path / "clip")
    model = tf.CLIPModel.from_pretrained(folder)
    model.save_pretrained(
        folder,
        state_dict={name: weight for name, weight in model.state_dict().items() if "visual_projection" not in name},
    )
    with pytest.raises(ModelError, match="visual_projection"):
        open_encoder(str(folder))


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "processor_config.json"])
def test_an_incomplete_folder_is_refused_with_a_sentence(missing: str, clip: Path, tmp_path: Path) -> None:
    folder = copytree(clip, tmp_path / "clip")
    (folder / missing).unlink()
    with pytest.raises(ModelError) as refused:
        open_encoder(str(folder))
    assert str(folder) in str(refused.value)


class SmallMemory(Tower):
    """A tower that takes two pictures at a time."""

    @override
    def pictures(self, images: Sequence[Image.Image]) -> Tensor:
        if len(images) > 2:
            raise torch.OutOfMemoryError
        return torch.stack([torch.tensor([float(image.size[0]), 1.0]) for image in images])


def test_a_batch_that_does_not_fit_is_halved_and_no_picture_is_lost() -> None:
    encoder = TowerEncoder(SmallMemory(), identity="small", batch_size=16)
    sizes = [(width, 8) for width in range(1, 8)]
    vectors = encoder.encode_images([Image.new("RGB", size) for size in sizes])
    assert np.allclose(vectors[:, 0] / vectors[:, 1], [width for width, _ in sizes], atol=1e-4)
