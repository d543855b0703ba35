"""A family as one checkpoint shows it: its facts, its settings, and how its text and pictures become tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any, Literal, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from spavl.errors import DataError, ModelError
from spavl.models.families.attention import NAME as TREE_ATTENTION
from spavl.models.families.facts import FACTS, LANGUAGES, Facts
from spavl.models.families.positions import grid_positions

Ids = list[int]
Size = tuple[int, int]
"""Width and height of a picture."""
Part = Literal["vision", "projector", "language", "head"]
_TEXT_INPUTS = {"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids", "text_replacement_offsets"}


@final
@dataclass(frozen=True, eq=False)
class Family:
    """What layout and freezing need to know of a checkpoint. Made by `family_of`."""

    facts: Facts
    processor: Any
    attention: Literal["tree", "eager"]
    """How the language model attends."""
    masks: dict[str, int | None]
    """Sliding window by type of layer, None where a layer sees everything; one type, "", where all are alike."""
    picture_id: int
    """The token whose embedding a picture's features replace."""
    end_ids: frozenset[int]
    """Tokens that end a turn: the tokenizer's and those of the generation settings."""
    _expansions: dict[Size, str] = field(default_factory=dict, repr=False)

    # ---- text

    def chat(self, system: str, pictures: int, question: str, answer: str | None = None) -> str:
        """The conversation as the checkpoint's template writes it; without an answer, ready for one."""
        turns: list[dict[str, Any]] = [{"role": "system", "content": _words(system)}] if system else []
        turns.append({"role": "user", "content": [{"type": "image"}] * pictures + _words(question)})
        if answer is not None:
            turns.append({"role": "assistant", "content": _words(answer)})
        text: str = self.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer is None)
        return text

    def tokenize(self, text: str, sizes: Sequence[Size] = ()) -> Ids:
        """Token ids of a rendered conversation, each picture's placeholder grown to its tokens, in order of `sizes`.

        The same ids as the processor's own. A run of picture tokens is tokenised as one, then repeated: picture tokens
        split the text, so their number changes nothing around them.
        """
        parts = text.split(self.processor.image_token)
        if len(parts) != len(sizes) + 1:
            raise DataError(f"the chat template placed {len(parts) - 1} pictures where {len(sizes)} were given")
        grown = parts[0] + "".join(self.expansion(size) + part for size, part in zip(sizes, parts[1:], strict=True))
        runs = [len(run) // len(self._picture_word) for run in self._picture_runs.findall(grown)]
        short = self._picture_runs.sub(lambda _: self._picture_word, grown)
        bos = self.processor.tokenizer.bos_token
        ids = np.asarray(
            self.processor.tokenizer(short, add_special_tokens=bos is None or not text.startswith(bos))["input_ids"]
        )
        times = np.ones(len(ids), dtype=np.int64)
        times[ids == self.picture_id] = runs
        return list(ids.repeat(times).tolist())

    def answer(self, words: str, text: str, prompt: Ids, sizes: Sequence[Size]) -> tuple[Ids, bool]:
        """Tokens of the answer `words` that follows `prompt` in the conversation `text`, with its end token.

        Second comes whether the border is stable: the conversation's tokens start with the prompt's. Where they do not
        (the tokenizer joins letters across the border, or the template rewrites the prompt), the answer is tokenised on
        its own, as generation would produce it.
        """
        whole = self.tokenize(text.rstrip(), sizes)
        stable = whole[: len(prompt)] == prompt and len(whole) > len(prompt)
        ids = whole[len(prompt) :] if stable else self.processor.tokenizer(words, add_special_tokens=False)["input_ids"]
        for index, token in enumerate(ids):
            if token in self.end_ids:
                return ids[: index + 1], stable
        return [*ids, self.processor.tokenizer.eos_token_id], stable

    @cached_property
    def control_words(self) -> frozenset[str]:
        """Words that are tokens of control or stand for pictures: never allowed inside a question or an answer."""
        special = self.processor.tokenizer.all_special_tokens
        return frozenset([*special, self.processor.image_token, self._picture_word]) - {""}

    @cached_property
    def pad_id(self) -> int:
        """What fills the right of a row: the tokenizer's own, else its end token."""
        pad = self.processor.tokenizer.pad_token_id
        return int(self.processor.tokenizer.eos_token_id if pad is None else pad)

    @cached_property
    def _picture_word(self) -> str:
        return str(self.processor.tokenizer.convert_ids_to_tokens(self.picture_id))

    @cached_property
    def _picture_runs(self) -> re.Pattern[str]:
        return re.compile(f"(?:{re.escape(self._picture_word)})+")

    # ---- pictures

    def expansion(self, size: Size) -> str:
        """The words that stand for a picture of this (width, height)."""
        key = (0, 0) if self.facts.picture_tokens == "fixed" else size
        if key not in self._expansions:
            self._expansions[key] = self._expanded(size)
        return self._expansions[key]

    def tokens_of(self, size: Size) -> int:
        """Number of tokens that a picture's features replace."""
        return self.expansion(size).count(self._picture_word)

    def pixels(self, pictures: Sequence[Image.Image]) -> dict[str, Tensor]:
        """What the vision tower reads, for all pictures together, in order."""
        inputs = self._processed(pictures)
        return {name: value for name, value in inputs.items() if name not in _TEXT_INPUTS}

    def _expanded(self, size: Size) -> str:
        if self.facts.picture_tokens == "patches":
            pictures = self.processor.image_processor
            patches = pictures.get_number_of_image_patches(size[1], size[0], {})
            return self._picture_word * int(patches // pictures.merge_size**2)
        ((grown,),) = self._processed([Image.new("RGB", size)])["text_replacement_offsets"]
        return str(grown["replacement"])

    def _processed(self, pictures: Sequence[Image.Image]) -> Mapping[str, Any]:
        inputs: Mapping[str, Any] = self.processor(
            text=[self.processor.image_token] * len(pictures),
            images=[[picture] for picture in pictures],
            padding=True,
            return_tensors="pt",
            return_text_replacement_offsets=True,
        )
        return inputs

    # ---- positions and masks

    def positions(self, rows: Sequence[np.ndarray], ids: np.ndarray, depth: np.ndarray, pixels: Any) -> Tensor:
        """Position ids, [B, S] or [3, B, S]. `rows` hold, for every row, which of the encoded pictures stand in it."""
        if self.facts.positions == "flat":
            return torch.from_numpy(depth)
        merge = self.processor.image_processor.merge_size
        grids = pixels["image_grid_thw"][:, 1:] // merge if pixels else torch.zeros(0, 2)
        lines = [
            grid_positions(line, row == self.picture_id, [(int(h), int(w)) for h, w in grids[here]])
            for line, row, here in zip(depth, ids, rows, strict=True)
        ]
        return torch.from_numpy(np.stack(lines, axis=1))

    def blocks(self, ids: np.ndarray) -> Tensor | None:
        """[B, S] the picture each token belongs to, -1 for text; None where pictures are read one way, as text is."""
        if not self.facts.two_way_pictures:
            return None
        picture = ids == self.picture_id
        starts = picture & ~np.pad(picture, ((0, 0), (1, 0)))[:, :-1]
        return torch.from_numpy(np.where(picture, starts.cumsum(axis=1) - 1, -1))

    # ---- modules

    def part_of(self, name: str) -> Part:
        """Which part of the model a parameter or module belongs to, by its name in the bare model.

        Raises ModelError where no part owns it.
        """
        parts: list[tuple[Part, Sequence[str]]] = [
            ("projector", self.facts.projector),
            ("vision", self.facts.vision),
            ("language", (self.facts.language,)),
            ("head", (self.facts.head,)),
        ]
        for part, owners in parts:
            if any(name == owner or name.startswith(owner + ".") for owner in owners):
                return part
        raise ModelError(f"no part of {self.facts.name} owns '{name}'")

    def linear_names(self, model: Any, part: Part) -> list[str]:
        """Full names of the linear layers of a part of the bare model, such as peft's `target_modules` wants them."""
        return [
            name
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and self.part_of(name) == part
        ]


def family_of(model: Any, processor: Any) -> Family:
    """The family of an opened model (bare, not yet wrapped by peft), by its declared `model_type`.

    A language model that attends by `sdpa` is switched to `spavl.models.families.attention`: the same, and less work on
    trees.

    Raises ModelError with the reason where trees would be wrong: an unknown family, tower or language model (among
    them all with linear attention, which carries a state across branches), an attention kernel that takes no mask.
    """
    config = model.config
    facts = _known(FACTS, config.model_type, "vision-language models")
    if facts.towers and config.vision_config.model_type not in facts.towers:
        raise ModelError(
            f"{facts.name} with a vision tower of type '{config.vision_config.model_type}' is not supported",
            try_=f"a checkpoint with one of: {', '.join(facts.towers)}",
        )
    text = config.get_text_config()
    ends = model.generation_config.eos_token_id
    return Family(
        facts=replace(facts, projector=_spread(model, facts.projector)),
        processor=processor,
        attention=_attention(model.get_submodule(facts.language)),
        masks=_masks(text),
        picture_id=int(config.image_token_id),
        end_ids=frozenset([processor.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])]) - {None},
    )


def _attention(language: Any) -> Literal["tree", "eager"]:
    """How a language model attends; `sdpa` is switched to `sdpa` in pieces."""
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
    how = _known(LANGUAGES, text.model_type, "language models")
    if how == "one mask":
        return {"": None}
    if how == "one window":
        return {"": text.sliding_window}
    windows = {"full_attention": None, "sliding_attention": text.sliding_window}
    unknown = set(text.layer_types) - set(windows)
    if unknown:
        raise ModelError(f"layers of type {', '.join(sorted(unknown))} cannot be kept to their own branch of a tree")
    return {kind: windows[kind] for kind in sorted(set(text.layer_types))}


def _spread(model: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Lists of modules as their members, since only a module that is called can be trained in full beside LoRA."""
    lists = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList)}
    spread = ([f"{name}.{index}" for index in range(len(lists[name]))] if name in lists else [name] for name in names)
    return tuple(chain.from_iterable(spread))


def _known(table: dict[str, Any], kind: str, what: str) -> Any:
    if kind not in table:
        raise ModelError(
            f"nothing is known about {what} of type '{kind}', so a tree of answers might be silently wrong",
            try_=f"one of: {', '.join(sorted(table))}",
        )
    return table[kind]


def _words(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]
