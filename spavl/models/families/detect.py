"""Which family a loaded model is of, by what its configuration declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Literal

import torch

from spavl.errors import ModelError
from spavl.models.families.attention import NAME as TREE_ATTENTION
from spavl.models.families.facts import FACTS, LANGUAGES
from spavl.models.families.family import Family
from spavl.models.families.tokens import ControlTokens, control_ids, control_tokens, end_ids


def family_of(model: Any, processor: Any, max_pixels: int | None = None) -> Family:
    """The family of a loaded model, by its declared `model_type`.

    A language model that attends by `sdpa` is switched to `spavl.models.families.attention`: the same result, with less
    work on trees.

    Args:
        model: the model, not yet wrapped by peft.
        processor: its processor.
        max_pixels: pictures of more are made smaller. None: none is.

    Raises:
        ModelError: packed trees would be wrong: an unknown family, vision tower or language model (among them all with
            linear attention, which carries a state across branches), an attention kernel that takes no mask.
    """
    config = model.config
    facts = _known(FACTS, config.model_type, "vision-language models")
    if facts.towers and config.vision_config.model_type not in facts.towers:
        raise ModelError(
            f"{facts.name} with a vision tower of type '{config.vision_config.model_type}' is not supported",
            try_=f"a checkpoint with one of: {', '.join(facts.towers)}",
        )
    text = config.get_text_config()
    return Family(
        facts=replace(facts, projector=_list_members(model, facts.projector)),
        processor=processor,
        attention=_attention(model.get_submodule(facts.language)),
        masks=_masks(text),
        image_token_id=int(config.image_token_id),
        end_ids=end_ids(processor, model.generation_config),
        control=ControlTokens({*control_tokens(processor, config).words, processor.image_token}),
        control_ids=control_ids(processor, config),
        max_pixels=max_pixels,
    )


def _attention(language: Any) -> Literal["tree", "eager"]:
    """How a language model attends; `sdpa` is switched to `sdpa` in blocks."""
    found = language.config._attn_implementation
    if found == "eager":
        return "eager"
    if found not in ("sdpa", TREE_ATTENTION):
        raise ModelError(
            f"trees need an attention that takes a mask, this model was opened with '{found}'",
            try_="open it with attn_implementation='sdpa'",
        )
    language.set_attn_implementation(TREE_ATTENTION)
    return "tree"


def _masks(text: Any) -> dict[str, int | None]:
    """Sliding windows by type of layer, from the language model's configuration."""
    how = _known(LANGUAGES, text.model_type, "language models")
    if how == "one mask":
        return {"": None}
    if how == "one window":
        return {"": text.sliding_window}
    windows = {"full_attention": None, "sliding_attention": text.sliding_window}
    unknown = set(text.layer_types) - set(windows)
    if unknown:
        raise ModelError(
            f"layers of type {', '.join(sorted(unknown))} carry state from one branch of a tree to another"
        )
    return {kind: windows[kind] for kind in sorted(set(text.layer_types))}


def _list_members(model: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Module lists replaced by their members, since only a module that is called can be trained in full beside LoRA."""
    lists = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList)}
    members = ([f"{name}.{index}" for index in range(len(lists[name]))] if name in lists else [name] for name in names)
    return tuple(chain.from_iterable(members))


def _known(table: dict[str, Any], kind: str, what: str) -> Any:
    if kind not in table:
        raise ModelError(
            f"{what} of type '{kind}' are not supported: answers packed as trees might be scored wrongly",
            try_=f"one of: {', '.join(sorted(table))}",
        )
    return table[kind]
