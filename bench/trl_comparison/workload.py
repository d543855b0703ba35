"""What both sides are given: a random LLaVA of one shape, its processor, and pairs of random words about noise."""

from __future__ import annotations

import random
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import torch
import transformers as tf
from PIL import Image
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers.utils import is_torchvision_available

from spavl.align.data.pairs import Pair

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>", "USER:", "ASSISTANT:")
QUESTION_WORDS = 37
"""With `<s> USER: … ASSISTANT:` forty tokens, of which the first two stand before the picture."""
TEMPLATE = (
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
    """Sizes of a LLaVA: Llama under CLIP, with as many image tokens as the tower has patches."""

    name: str
    hidden: int
    inner: int
    layers: int
    heads: int
    vocabulary: int
    vision_hidden: int
    vision_inner: int
    vision_layers: int
    vision_heads: int
    side: int = 336
    patch: int = 14
    rank: int = 16

    @property
    def image_tokens(self) -> int:
        """Tokens that one picture becomes."""
        return (self.side // self.patch) ** 2


SMALL = ModelShape("256 × 6", 256, 688, 6, 4, 8_000, 128, 512, 4, 2)
"""The shape of the rows for a CPU."""
LLAVA_7B = ModelShape("LLaVA-1.5-7B", 4096, 11_008, 32, 32, 32_064, 1024, 4096, 24, 16)
"""https://huggingface.co/llava-hf/llava-1.5-7b-hf, config.json."""


def model(shape: ModelShape, device: str, dtype: torch.dtype, seed: int = 0) -> Any:
    """Random weights, the same for one seed on one device, made where they will be used."""
    config = tf.LlavaConfig(
        vision_config=tf.CLIPVisionConfig(
            hidden_size=shape.vision_hidden,
            intermediate_size=shape.vision_inner,
            num_hidden_layers=shape.vision_layers,
            num_attention_heads=shape.vision_heads,
            image_size=shape.side,
            patch_size=shape.patch,
        ),
        text_config=tf.LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.inner,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            max_position_embeddings=4096,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        ),
        image_token_index=SPECIAL.index("<image>"),
        image_seq_length=shape.image_tokens,
    )
    torch.manual_seed(seed)
    with torch.device(device):
        made = tf.AutoModelForImageTextToText.from_config(config, dtype=dtype)
    made.generation_config.pad_token_id = 0
    made.generation_config.eos_token_id = 2
    return made.eval()


def processor(shape: ModelShape) -> Any:
    """A word is a token; pictures come at the tower's size."""
    words = {word: index for index, word in enumerate([*SPECIAL, *_words(shape)])}
    backend = Tokenizer(WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    size = {"height": shape.side, "width": shape.side}
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
        patch_size=shape.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def pairs(shape: ModelShape, count: int, *, questions: int = 3, seed: int = 0) -> list[Pair]:
    """Pairs with `questions` questions a picture; answers of 60 to 140 tokens, 100 on average.

    Chosen and rejected answers share no word, so that there is something to be learned.
    Pictures are kept uncompressed at the tower's size, so that neither side decodes or resizes.
    """
    drawn = random.Random(seed)
    words = _words(shape)
    made: list[Pair] = []
    for number in range(count):
        if number % questions == 0:
            picture = _noise(shape.side, seed * 1_000_003 + number)
        question = drawn.choices(words, k=QUESTION_WORDS)
        answers = [drawn.choices(half, k=drawn.randint(59, 139)) for half in (words[::2], words[1::2])]
        said = [" ".join(text) for text in (question, *answers)]
        made.append(Pair(f"pair{number}", picture, f"picture{seed}/{number // questions}", *said))
    return made


def _words(shape: ModelShape) -> list[str]:
    return [f"w{index}" for index in range(shape.vocabulary - len(SPECIAL))]


def _noise(side: int, seed: int) -> bytes:
    file = BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "BMP")
    return file.getvalue()
