"""A tiny random checkpoint of every family, built offline: real classes, real files, real picture processors.

Language models are two layers of 32. All weights are random, with a variance at which a wrong mask, position or picture
is noticed: as built, biases are zero, and so is Gemma's projector. Every language model that can have a sliding window
has one, shorter than the sequences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as tf
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from spavl.models.families.processors import NoVideos, without_videos
from spavl.models.trees.pack import Row
from spavl.pictures import Picture

WINDOW = 32
"""Sliding window of the models that have one; shorter than any answer's sequence."""
PIXELS = 32
"""Side of the tower's picture, where it has one; patches are of 8."""


@dataclass(frozen=True)
class Case:
    """A checkpoint to be tested."""

    name: str
    """`model_type`, and the language model where the family has several."""
    build: Callable[[], tuple[Any, Any]]
    slides: bool
    """Whether some layers have a sliding window."""
    sizes: bool
    """Whether the number of picture tokens depends on the picture's size."""


def build(case: Case, seed: int = 0) -> tuple[Any, Any]:
    """Model and processor, in memory."""
    torch.manual_seed(seed)
    model, processor = case.build()
    with torch.no_grad():
        for weight in model.parameters():
            if bool((weight == weight.flatten()[0]).all()):
                weight += 0.2 * torch.randn_like(weight)
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    return model.eval(), processor


def save(case: Case, folder: Path) -> Path:
    """The checkpoint as a folder."""
    model, processor = build(case)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def rows(pictures: int = 2, sizes: tuple[tuple[int, int], ...] = ((60, 40), (36, 76))) -> list[Row]:
    """Three questions × two answers of unequal length for each of some pictures of noise."""
    questions = {
        "what is shown here": ("a red cup", "nothing that i would call a cup, it is green"),
        "tell me more": ("no", "it is a long and rather dull story of two shoes"),
        "what about the kite": ("the kite is blue and it is torn", "kites are not shown"),
    }
    made = []
    for number in range(pictures):
        noise = np.random.default_rng(number).integers(0, 256, (*sizes[number % len(sizes)][::-1], 3), dtype=np.uint8)
        picture = Picture(f"p{number}", Image.fromarray(noise))
        made += [Row(f"p{number}/{q}", q, answers, (picture,), "be kind") for q, answers in questions.items()]
    return made


# ---- tokenizers and templates


def tokenizer(special: dict[str, str], extra: tuple[str, ...] = (), **named: str) -> Any:
    """A BPE of bytes, a few merges, and special tokens; `special` become attributes such as `image_token`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ċ", "Ċ"), ("t", "h"), ("th", "e"), ("Ġ", "i"), ("Ġi", "s")]
    vocabulary = ["<pad>", "<s>", "</s>", *alphabet, *("".join(pair) for pair in merges)]
    backend = Tokenizer(BPE({word: index for index, word in enumerate(vocabulary)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(word, special=True) for word in [*special.values(), *extra]])
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", **named}
    return tf.PreTrainedTokenizerFast(tokenizer_object=backend, extra_special_tokens=special, **names)


def template(picture: str, *, user: str, end: str, assistant: str, stop: str, system: str, start: str = "") -> str:
    """A chat template from the text before and after each turn."""
    return (
        f"{start}{{% for m in messages %}}"
        f"{{{{ {{'user': {user!r}, 'system': {system!r}, 'assistant': {assistant!r}}}[m['role']] }}}}"
        f"{{% for c in m['content'] %}}{{{{ {picture!r} if c['type'] == 'image' else c['text'] }}}}{{% endfor %}}"
        f"{{{{ {stop!r} if m['role'] == 'assistant' else {end!r} }}}}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ {assistant.rstrip(' ')!r} }}}}{{% endif %}}"
    )


CHATML = {
    "user": "<|im_start|>user\n",
    "end": "<|im_end|>\n",
    "assistant": "<|im_start|>assistant\n",
    "stop": "<|im_end|>\n",
    "system": "<|im_start|>system\n",
}
IM = ("<|im_start|>",)


# ---- language models and towers


def language(kind: str, vocabulary: int, **more: Any) -> Any:
    """Settings of a small language model, with a sliding window if it can have one."""
    slides = {
        "mistral": {"sliding_window": WINDOW},
        "phi3": {"sliding_window": WINDOW, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
        "qwen2": {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
        "qwen3": {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1, "head_dim": 8},
    }
    return tf.AutoConfig.for_model(kind, **{**_small(vocabulary), **slides.get(kind, {}), **more})


def _small(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "initializer_range": 0.25,
        "pad_token_id": 0,
    }


def tower(kind: str = "clip_vision_model") -> Any:
    """Settings of a small vision tower."""
    return tf.AutoConfig.for_model(
        kind,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=PIXELS,
        patch_size=8,
        **({"initializer_range": 0.1, "initializer_factor": 5.0} if kind == "clip_vision_model" else {}),
    )


def _square() -> dict[str, Any]:
    return {"size": {"height": PIXELS, "width": PIXELS}}


# ---- families


def llava(kind: str = "llama") -> tuple[Any, Any]:
    """The template of the published checkpoints: it writes no end token after an answer."""
    tok = tokenizer({"image_token": "<image>"})
    chat = template("<image>\n", user="USER: ", end=" ", assistant="ASSISTANT: ", stop=" ", system="")
    processor = tf.LlavaProcessor(
        image_processor=tf.CLIPImageProcessorPil(**_square(), crop_size={"height": PIXELS, "width": PIXELS}),
        tokenizer=tok,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat,
    )
    config = tf.LlavaConfig(
        vision_config=tower(),
        text_config=language(kind, len(tok)),
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
    )
    return tf.LlavaForConditionalGeneration(config), processor


GRID = [[32, 64], [64, 32], [64, 64]]


def llava_next(kind: str = "mistral") -> tuple[Any, Any]:
    """Tiles by the picture's shape."""
    tok = tokenizer({"image_token": "<image>"})
    chat = template("<image>\n", user="[INST] ", end=" [/INST]", assistant=" ", stop="</s>", system="", start="<s>")
    processor = tf.LlavaNextProcessor(
        image_processor=tf.LlavaNextImageProcessorPil(
            size={"shortest_edge": PIXELS},
            crop_size={"height": PIXELS, "width": PIXELS},
            image_grid_pinpoints=GRID,
        ),
        tokenizer=tok,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat,
    )
    config = tf.LlavaNextConfig(
        vision_config=tower(),
        text_config=language(kind, len(tok)),
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=GRID,
        image_seq_length=16,
    )
    return tf.LlavaNextForConditionalGeneration(config), processor


def llava_onevision(kind: str = "qwen2") -> tuple[Any, Any]:
    """Tiles, a SigLIP tower, a language model whose second layer has a sliding window."""
    tok = tokenizer({"image_token": "<image>", "video_token": "<video>"}, IM, eos_token="<|im_end|>")
    processor = without_videos("LlavaOnevisionProcessor")(
        image_processor=tf.LlavaOnevisionImageProcessorPil(**_square(), image_grid_pinpoints=GRID),
        tokenizer=tok,
        video_processor=NoVideos(),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=template("<image>\n", **CHATML),
    )
    config = tf.LlavaOnevisionConfig(
        vision_config=tower("siglip_vision_model"),
        text_config=language(kind, len(tok)),
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        video_token_index=tok.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=GRID,
    )
    return tf.LlavaOnevisionForConditionalGeneration(config), processor


def _qwen(kind: str, tower_settings: dict[str, Any], text_settings: dict[str, Any]) -> tuple[Any, Any]:
    marks = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    edges = {"vision_bos_token": "<|vision_start|>", "vision_eos_token": "<|vision_end|>"}
    tok = tokenizer({**marks, **edges}, IM, eos_token="<|im_end|>", pad_token="<pad>")
    classes = {
        "qwen2_vl": ("Qwen2VLProcessor", tf.Qwen2VLConfig, tf.Qwen2VLForConditionalGeneration),
        "qwen2_5_vl": ("Qwen2_5_VLProcessor", tf.Qwen2_5_VLConfig, tf.Qwen2_5_VLForConditionalGeneration),
        "qwen3_vl": ("Qwen3VLProcessor", tf.Qwen3VLConfig, tf.Qwen3VLForConditionalGeneration),
    }
    name, Config, Model = classes[kind]
    pictures = tf.Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 1024, "longest_edge": 4096}
    )
    chat = template("<|vision_start|><|image_pad|><|vision_end|>", **CHATML)
    build = without_videos(name)
    processor = build(image_processor=pictures, tokenizer=tok, video_processor=NoVideos(), chat_template=chat)
    ids = {f"{name}_token_id": tok.convert_tokens_to_ids(marks[f"{name}_token"]) for name in ("image", "video")}
    vision = {"patch_size": 8, "temporal_patch_size": 2, "spatial_merge_size": 2, "initializer_range": 0.1}
    config = Config(
        vision_config={**vision, **tower_settings},
        text_config={**_small(len(tok)), "bos_token_id": 1, "eos_token_id": 2, **text_settings},
        vision_start_token_id=tok.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tok.convert_tokens_to_ids("<|vision_end|>"),
        **ids,
    )
    return Model(config), processor


_MROPE = {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [2, 1, 1]}
_SLIDING = {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}


def qwen2_vl() -> tuple[Any, Any]:
    """Positions with time, height and width; the second layer has a sliding window."""
    vision = {"depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2}
    return _qwen("qwen2_vl", vision, {"rope_parameters": _MROPE, **_SLIDING})


def qwen2_5_vl() -> tuple[Any, Any]:
    """As Qwen2-VL; the tower has window attention."""
    vision = {"depth": 2, "hidden_size": 16, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 24}
    windows = {"window_size": 32, "fullatt_block_indexes": [1]}
    return _qwen("qwen2_5_vl", {**vision, **windows}, {"rope_parameters": _MROPE, **_SLIDING})


def qwen3_vl() -> tuple[Any, Any]:
    """Interleaved positions; features of the tower's middle layers are added in the language model's first ones."""
    vision = {"depth": 3, "hidden_size": 16, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 24}
    stack = {"deepstack_visual_indexes": [0, 1], "num_position_embeddings": 16}
    text = {"rope_parameters": {**_MROPE, "mrope_interleaved": True}, "head_dim": 8}
    return _qwen("qwen3_vl", {**vision, **stack}, text)


def internvl(kind: str = "qwen2") -> tuple[Any, Any]:
    """Tiles by the picture's shape."""
    marks = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tok = tokenizer({**marks, "video_token": "<video>"}, IM, eos_token="<|im_end|>")
    processor = without_videos("InternVLProcessor")(
        image_processor=tf.GotOcr2ImageProcessorPil(**_square(), min_patches=1, max_patches=4),
        tokenizer=tok,
        video_processor=NoVideos(),
        image_seq_length=4,
        chat_template=template("<IMG_CONTEXT>\n", **CHATML),
    )
    vision = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = tf.InternVLConfig(
        vision_config=tf.InternVLVisionConfig(**vision, image_size=[PIXELS] * 2, patch_size=[8] * 2),
        text_config=language(kind, len(tok)),
        image_token_id=tok.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    return tf.InternVLForConditionalGeneration(config), processor


def idefics3() -> tuple[Any, Any]:
    """Tiles with row and column marks."""
    return _idefics(tf.Idefics3ImageProcessorPil, tf.Idefics3Config, tf.Idefics3ForConditionalGeneration)


def smolvlm() -> tuple[Any, Any]:
    """As Idefics3."""
    return _idefics(tf.SmolVLMImageProcessorPil, tf.SmolVLMConfig, tf.SmolVLMForConditionalGeneration)


def _idefics(Pictures: Any, Config: Any, Model: Any) -> tuple[Any, Any]:
    marks = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    fixed = ("<fake_token_around_image>", "<global-img>", "<|im_start|>", *marks)
    tok = tokenizer({"image_token": "<image>"}, fixed, eos_token="<end_of_utterance>")
    turns = {"user": "User:", "end": "<end_of_utterance>\n", "assistant": "Assistant: ", "system": "System: "}
    processor = tf.Idefics3Processor(
        image_processor=Pictures(size={"longest_edge": 2 * PIXELS}, max_image_size={"longest_edge": PIXELS}),
        tokenizer=tok,
        image_seq_len=4,
        chat_template=template("<image>", **turns, stop="<end_of_utterance>\n", start="<|im_start|>"),
    )
    config = Config(
        vision_config=_idefics_tower(),
        text_config=language("llama", len(tok)),
        image_token_id=tok.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    return Model(config), processor


def _idefics_tower() -> dict[str, Any]:
    layers = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    return {**layers, "image_size": PIXELS, "patch_size": 8, "initializer_range": 0.1}


def gemma3() -> tuple[Any, Any]:
    """Bidirectional attention inside pictures; the first layer's sliding window is shorter than a picture."""
    marks = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tok = tokenizer(marks, ("<start_of_turn>",), eos_token="<end_of_turn>")
    turn = "<start_of_turn>"
    processor = tf.Gemma3Processor(
        image_processor=tf.Gemma3ImageProcessorPil(**_square()),
        tokenizer=tok,
        image_seq_length=16,
        chat_template=template(
            "<start_of_image>",
            user=f"{turn}user\n",
            end="<end_of_turn>\n",
            assistant=f"{turn}model\n",
            stop="<end_of_turn>\n",
            system=f"{turn}system\n",
            start="<s>",
        ),
    )
    text = {"head_dim": 8, "query_pre_attn_scalar": 8, "layer_types": ["sliding_attention", "full_attention"]}
    config = tf.Gemma3Config(
        vision_config=tower("siglip_vision_model"),
        text_config={**_small(len(tok)), **text, "sliding_window": WINDOW},
        mm_tokens_per_image=16,
        image_token_index=tok.convert_tokens_to_ids("<image_soft_token>"),
        boi_token_index=tok.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tok.convert_tokens_to_ids("<end_of_image>"),
    )
    return tf.Gemma3ForConditionalGeneration(config), processor


CASES = {
    case.name: case
    for case in (
        Case("llava", llava, slides=False, sizes=False),
        Case("llava+mistral", lambda: llava("mistral"), slides=True, sizes=False),
        Case("llava+phi3", lambda: llava("phi3"), slides=True, sizes=False),
        Case("llava_next+mistral", llava_next, slides=True, sizes=True),
        Case("llava_next+llama", lambda: llava_next("llama"), slides=False, sizes=True),
        Case("llava_onevision+qwen2", llava_onevision, slides=True, sizes=True),
        Case("qwen2_vl", qwen2_vl, slides=True, sizes=True),
        Case("qwen2_5_vl", qwen2_5_vl, slides=True, sizes=True),
        Case("qwen3_vl", qwen3_vl, slides=False, sizes=True),
        Case("internvl+qwen2", internvl, slides=True, sizes=True),
        Case("internvl+qwen3", lambda: internvl("qwen3"), slides=True, sizes=True),
        Case("idefics3", idefics3, slides=False, sizes=True),
        Case("smolvlm", smolvlm, slides=False, sizes=True),
        Case("gemma3", gemma3, slides=True, sizes=False),
    )
}
"""Every family, and every language model that is known to take a 4-D mask."""
