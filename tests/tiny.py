"""A random LLaVA of a few thousand weights, built offline in a second: real classes, real files, untrained.

The processor is the slow Pillow one, for torchvision is not among our dependencies. Its vocabulary is a closed list of
words; answers are noise, but the same noise on every machine with the same `seed`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# fmt: off
WORDS = (
    "what", "is", "this", "a", "red", "blue", "green", "round", "square", "cup", "lamp", "tree", "boat", "bird",
    "hat", "key", "drum", "kite", "shoe", "in", "the", "picture", "shown", "here", "now", "tell", "me", "more",
    "about", "it", "please", "yes", "no", "i", "can", "see", "one", "two",
)
# fmt: on
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>", "USER:", "ASSISTANT:", "SYSTEM:", ".", "?", ",")

CHAT_TEMPLATE = (
    "<s>{% for message in messages %}"
    "{% if message['role'] == 'system' %}SYSTEM: {% endif %}"
    "{% if message['role'] == 'user' %}USER: {% endif %}"
    "{% if message['role'] == 'assistant' %}ASSISTANT: {% endif %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}"
    "{% endfor %}{% if message['role'] == 'assistant' %}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)

SMALL = {"hidden": 32, "vision_hidden": 32, "layers": 2, "vision_layers": 2, "image_size": 24, "patch": 8}
"""The default: 9 image tokens a picture, some 60 thousand weights."""
MINIWORLD_SIZE = {"hidden": 112, "vision_hidden": 96, "layers": 3, "vision_layers": 2, "image_size": 48, "patch": 8}
"""About 0.65 million weights and 36 image tokens a picture, as the miniature world has."""


def tiny_llava(
    folder: Path, seed: int = 0, words: tuple[str, ...] = WORDS, *, tied: bool = False, **sizes: int
) -> Path:
    """Save a random LLaVA with processor and chat template into `folder` (made if absent); returns `folder`.

    `sizes` overrides entries of `SMALL`; `tied`: head and embedding of words are one tensor. The same arguments write
    the same weights.
    """
    import torch
    from transformers import LlavaForConditionalGeneration

    size = {**SMALL, **sizes}
    processor = tiny_processor(words, size)
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(_config(len(processor.tokenizer), size, tied)).eval()
    model.generation_config.pad_token_id = 0
    model.generation_config.eos_token_id = 2
    folder = Path(folder)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def tiny_processor(words: tuple[str, ...] = WORDS, sizes: dict[str, int] | None = None) -> Any:
    """A LlavaProcessor with a word-level tokenizer that knows `SPECIAL` and `words`."""
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import LlavaProcessor, PreTrainedTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    size = sizes or SMALL
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *words])}
    backend = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
    )
    pictures = CLIPImageProcessorPil(
        size={"height": size["image_size"], "width": size["image_size"]},
        crop_size={"height": size["image_size"], "width": size["image_size"]},
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=size["patch"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def tiny_adapter(base: Path, folder: Path, seed: int = 0) -> Path:
    """Save a random, non-zero LoRA adapter on the language model of `base` into `folder`; returns `folder`."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=r".*language_model.*\.(q_proj|v_proj)"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.5)
    adapted.save_pretrained(folder)
    path = Path(folder) / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": str(base)}))
    return Path(folder)


def picture(path: Path, seed: int = 0, size: int = 48) -> Path:
    """Save a picture of coloured noise, the same for the same `seed`."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def _config(vocabulary: int, size: dict[str, int], tied: bool) -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=size["vision_hidden"],
            intermediate_size=2 * size["vision_hidden"],
            num_hidden_layers=size["vision_layers"],
            num_attention_heads=4,
            image_size=size["image_size"],
            patch_size=size["patch"],
        ),
        text_config=LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=size["hidden"],
            intermediate_size=3 * size["hidden"],
            num_hidden_layers=size["layers"],
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            initializer_range=0.2,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        ),
        image_token_index=SPECIAL.index("<image>"),
        image_seq_length=(size["image_size"] // size["patch"]) ** 2,
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
        tie_word_embeddings=tied,
    )
