"""What both sides train: a LLaVA with random weights, its processor, and pairs of random words about noise pictures."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import torch
import transformers as tf
from PIL import Image
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers.utils import is_torchvision_available

from spavl.pictures import Picture
from spavl.preferences.pairs import Pair

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "<image>", "USER:", "ASSISTANT:")
QUESTION_WORDS = 37
"""Words of a question: with `<s> USER: … ASSISTANT:` forty tokens, of which the first two stand before the picture."""
CHAT_TEMPLATE = (
    "<s>{% for turn in messages %}"
    "{{ {'user': 'USER: ', 'assistant': ' '}[turn['role']] }}"
    "{% for part in turn['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}"
    "{{ {'user': ' ASSISTANT:', 'assistant': '</s>'}[turn['role']] }}"
    "{% endfor %}"
)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a LLaVA: Llama with a CLIP tower, and as many image tokens as the tower has patches."""

    name: str
    """For people."""
    hidden_size: int
    """Width of the language model."""
    intermediate_size: int
    """Width inside its MLP."""
    layers: int
    """Layers of the language model."""
    heads: int
    """Attention heads of a layer."""
    vocabulary: int
    """Tokens that there are."""
    vision_hidden_size: int
    """Width of the vision tower."""
    vision_intermediate_size: int
    """Width inside its MLP."""
    vision_layers: int
    """Layers of the vision tower."""
    vision_heads: int
    """Attention heads of its layers."""
    image_size: int = 336
    """Width and height of a picture in pixels."""
    patch_size: int = 14
    """Width and height of a patch in pixels."""
    lora_rank: int = 16
    """Rank of the adapter that is trained."""
    key_value_heads: int | None = None
    """Key and value heads of a layer; None: one for every attention head."""
    tied: bool = False
    """Whether the head has the weights of the token embedding."""

    @property
    def image_tokens(self) -> int:
        """Tokens that one picture becomes."""
        return (self.image_size // self.patch_size) ** 2


SMALL = ModelShape("256 × 6", 256, 688, 6, 4, 8_000, 128, 512, 4, 2)
"""The shape that is measured on a CPU."""
SMOLLM2 = ModelShape("SmolLM2-135M", 576, 1536, 30, 9, 49_152, 128, 512, 4, 2, key_value_heads=3, tied=True)
"""A pretrained language model's shape under the small tower, with 576 image tokens.
Source: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct, config.json."""
SMOLLM2_SMALL_PICTURES = replace(SMOLLM2, image_size=84)
"""The same with 36 image tokens."""
LLAVA_7B = ModelShape("LLaVA-1.5-7B", 4096, 11_008, 32, 32, 32_064, 1024, 4096, 24, 16)
"""The shape that is measured on a GPU. Source: https://huggingface.co/llava-hf/llava-1.5-7b-hf, config.json."""


def random_model(shape: ModelShape, device: str, dtype: torch.dtype, seed: int = 0) -> Any:
    """A LLaVA with random weights, which are the same for one seed on one device.

    Args:
        shape: its sizes.
        device: where it is made and used.
        dtype: of its weights.
        seed: of its weights.
    """
    config = tf.LlavaConfig(
        vision_config=tf.CLIPVisionConfig(
            hidden_size=shape.vision_hidden_size,
            intermediate_size=shape.vision_intermediate_size,
            num_hidden_layers=shape.vision_layers,
            num_attention_heads=shape.vision_heads,
            image_size=shape.image_size,
            patch_size=shape.patch_size,
        ),
        text_config=tf.LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.key_value_heads or shape.heads,
            tie_word_embeddings=shape.tied,
            max_position_embeddings=4096,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        ),
        image_token_index=SPECIAL_TOKENS.index("<image>"),
        image_seq_length=shape.image_tokens,
        tie_word_embeddings=shape.tied,
    )
    torch.manual_seed(seed)
    with torch.device(device):
        model = tf.AutoModelForImageTextToText.from_config(config, dtype=dtype)
    model.generation_config.pad_token_id = 0
    model.generation_config.eos_token_id = 2
    return model.eval()


def make_processor(shape: ModelShape) -> Any:
    """A processor for pictures of the tower's size and text in which every word is a token.

    Args:
        shape: of the model.
    """
    words = {word: index for index, word in enumerate([*SPECIAL_TOKENS, *_words(shape)])}
    backend = Tokenizer(WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    size = {"height": shape.image_size, "width": shape.image_size}
    kind = tf.CLIPImageProcessor if is_torchvision_available() else tf.CLIPImageProcessorPil
    return tf.LlavaProcessor(
        image_processor=kind(size=size, crop_size=size),
        tokenizer=tf.PreTrainedTokenizerFast(
            tokenizer_object=backend,
            pad_token="<pad>",
            bos_token="<s>",
            eos_token="</s>",
            unk_token="<unk>",
            extra_special_tokens={"image_token": "<image>"},
        ),
        patch_size=shape.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def random_pairs(shape: ModelShape, count: int, *, questions: int = 3, seed: int = 0) -> list[Pair]:
    """Pairs of random words: answers have 60 to 140 tokens, 100 on average.

    Chosen and rejected answers share no word, so that there is something to be learned.
    Pictures are kept uncompressed at the tower's size, so that neither side decodes or resizes.

    Args:
        shape: of the model.
        count: how many pairs.
        questions: pairs of a picture.
        seed: of words and pictures.
    """
    generator = random.Random(seed)
    words = _words(shape)
    made: list[Pair] = []
    for number in range(count):
        if number % questions == 0:
            picture = _noise(shape.image_size, seed * 1_000_003 + number)
        question = generator.choices(words, k=QUESTION_WORDS)
        answers = [generator.choices(half, k=generator.randint(59, 139)) for half in (words[::2], words[1::2])]
        texts = [" ".join(text) for text in (question, *answers)]
        made.append(Pair(f"pair{number}", (Picture(f"picture{seed}/{number // questions}", picture),), *texts))
    return made


def _words(shape: ModelShape) -> list[str]:
    return [f"w{index}" for index in range(shape.vocabulary - len(SPECIAL_TOKENS))]


def _noise(side: int, seed: int) -> bytes:
    file = BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "BMP")
    return file.getvalue()
