"""Tables of model families: what a declared `model_type` means for freezing, position ids and attention masks.

Read from the source of transformers 5.23; every row is tested on a tiny random checkpoint by `bench/parity.py`, which
writes what it measured to `docs/reference/families.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds for every checkpoint of a model family.

    Module names are those of its `…ForConditionalGeneration` class.
    """

    name: str
    """Published name of the family."""
    vision: tuple[str, ...]
    """The vision tower's modules; they may contain the projector."""
    projector: tuple[str, ...]
    """Modules and bare parameters between vision tower and language model."""
    language: str = "model.language_model"
    """The language model without its head."""
    head: str = "lm_head"
    """The linear layer from hidden states to logits."""
    towers: tuple[str, ...] = ()
    """`model_type`s of vision tower that these facts hold for; empty: the family has one."""
    positions: Literal["flat", "grid"] = "flat"
    """`flat`: one position id a token. `grid`: time, height and width; a picture's tokens share a start (M-RoPE)."""
    token_types: str = ""
    """The model's argument that tells picture tokens from text; empty: it needs none to make positions or masks."""
    bidirectional_pictures: bool = False
    """The tokens of one picture attend to each other in both directions."""
    picture_tokens: Literal["fixed", "patches", "by processor"] = "by processor"
    """How many image placeholder tokens a picture has. `fixed`: always the same. `patches`: its processor counts the
    patches. `by processor`: known only by running the processor on a picture of that size."""
    projector_reads: Literal["layers", "last layer", "last state", "inside the tower", "windows", ""] = ""
    """What of the tower the projector reads, so that it can be kept without running the tower again. `layers`: hidden
    states of the layers that the configuration names. `last layer`: the same, where the last layer stands for the
    tower's own output. `last state`: the tower's own output. `inside the tower`: the projector is a part of the tower,
    and reads what its modules are given. `windows`: so too, and the tower orders the patches by its windows. Empty: not
    known."""
    several_pictures: bool = True
    """Several pictures in one conversation are encoded as each would be alone."""
    processor: str = ""
    """Class composed of picture processor and tokenizer where `processor_needs` are missing; empty: never composed."""
    processor_needs: tuple[str, ...] = ()
    """Packages that the checkpoint's own processor imports for videos alone."""


_PROJECTOR = ("model.multi_modal_projector",)
_CLIP_LIKE = ("clip_vision_model", "siglip_vision_model")

FACTS: dict[str, Facts] = {
    "llava": Facts(
        name="LLaVA-1.5",
        vision=("model.vision_tower",),
        projector=_PROJECTOR,
        towers=_CLIP_LIKE,
        picture_tokens="fixed",
        projector_reads="layers",
    ),
    "llava_next": Facts(
        name="LLaVA-NeXT",
        vision=("model.vision_tower",),
        projector=(*_PROJECTOR, "model.image_newline"),
        towers=_CLIP_LIKE,
        projector_reads="layers",
    ),
    "llava_onevision": Facts(
        name="LLaVA-OneVision",
        vision=("model.vision_tower",),
        projector=(*_PROJECTOR, "model.image_newline"),
        towers=_CLIP_LIKE,
        several_pictures=False,
        processor="LlavaOnevisionProcessor",
        processor_needs=("torchvision",),
        projector_reads="layers",
    ),
    "qwen2_vl": Facts(
        name="Qwen2-VL",
        vision=("model.visual",),
        projector=("model.visual.merger",),
        positions="grid",
        token_types="mm_token_type_ids",
        picture_tokens="patches",
        processor="Qwen2VLProcessor",
        processor_needs=("torchvision",),
        projector_reads="inside the tower",
    ),
    "qwen2_5_vl": Facts(
        name="Qwen2.5-VL",
        vision=("model.visual",),
        projector=("model.visual.merger",),
        positions="grid",
        token_types="mm_token_type_ids",
        picture_tokens="patches",
        processor="Qwen2_5_VLProcessor",
        processor_needs=("torchvision",),
        projector_reads="windows",
    ),
    "qwen3_vl": Facts(
        name="Qwen3-VL",
        vision=("model.visual",),
        projector=("model.visual.merger", "model.visual.deepstack_merger_list"),
        positions="grid",
        token_types="mm_token_type_ids",
        picture_tokens="patches",
        processor="Qwen3VLProcessor",
        processor_needs=("torchvision",),
        projector_reads="inside the tower",
    ),
    "internvl": Facts(
        name="InternVL (HF port)",
        vision=("model.vision_tower",),
        projector=_PROJECTOR,
        processor="InternVLProcessor",
        processor_needs=("torchvision",),
        projector_reads="last layer",
    ),
    "idefics3": Facts(
        name="Idefics3",
        vision=("model.vision_model",),
        projector=("model.connector",),
        language="model.text_model",
        projector_reads="last state",
    ),
    "smolvlm": Facts(
        name="SmolVLM",
        vision=("model.vision_model",),
        projector=("model.connector",),
        language="model.text_model",
        processor="Idefics3Processor",
        processor_needs=("torchvision", "num2words"),
        projector_reads="last state",
    ),
    "gemma3": Facts(
        name="Gemma 3",
        vision=("model.vision_tower",),
        projector=_PROJECTOR,
        token_types="token_type_ids",
        bidirectional_pictures=True,
        projector_reads="last state",
    ),
}
"""Facts by `model_type` of the whole model."""

LANGUAGES: dict[str, Literal["one mask", "one window", "by layer type"]] = {
    "llama": "one mask",
    "mistral": "one window",
    "phi3": "one window",
    "qwen2": "by layer type",
    "qwen3": "by layer type",
    "qwen2_vl_text": "by layer type",
    "qwen2_5_vl_text": "by layer type",
    "qwen3_vl_text": "one mask",
    "gemma3_text": "by layer type",
}
"""How a language model takes a 4-D attention mask, by its declared `model_type`. A given mask silently switches sliding
windows off, so it must contain them. `one mask`: no layer has a window. `one window`: every layer has. `by layer type`:
a mask for each type of layer."""
