"""A model family as one checkpoint has it: facts, chat template, image placeholder tokens, position ids, modules.

Shapes: B rows, S tokens of a row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, final

import numpy as np
import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from spavl.errors import DataError, ModelError
from spavl.models.chat import ChatTurn, TextTurn, template_turn
from spavl.models.families.facts import Facts
from spavl.models.families.positions import grid_positions
from spavl.models.families.tokens import ControlTokens, turn_end_id, turn_tail
from spavl.models.thought import END, START
from spavl.pictures import Picture, capped, capped_size

Ids = list[int]
"""Token ids."""
Size = tuple[int, int]
"""Width and height of a picture in pixels."""
Part = Literal["vision", "projector", "language", "head"]
"""Parts of a vision-language model, for freezing."""
ORDINARY_SIDE, ORDINARY_RATIO = 32, 20
"""Pictures with a smaller side, or of more extreme proportions, are tried on the processor before the training."""
_TEXT_INPUTS = {"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids", "text_replacement_offsets"}


@final
@dataclass(frozen=True, eq=False)
class Family:
    """What packing, scoring and freezing need to know of a checkpoint. Made by `family_of`."""

    facts: Facts
    """What holds for every checkpoint of the family."""
    processor: Any
    """The checkpoint's processor: tokenizer, picture processor, chat template."""
    attention: Literal["tree", "eager"]
    """How the language model attends: by `spavl.models.families.attention`, or by transformers' `eager`."""
    masks: dict[str, int | None]
    """Sliding window by type of layer, None where a layer has none; one type, "", where all layers are alike."""
    image_token_id: int
    """Id of the image placeholder token, whose embeddings a picture's features replace."""
    end_ids: frozenset[int]
    """Ids of the tokens that end a turn, from `spavl.models.families.tokens.end_ids`."""
    control: ControlTokens = field(default=ControlTokens(()), repr=False)
    """Control tokens as text."""
    control_ids: frozenset[int] = frozenset()
    """Ids of the control tokens."""
    max_pixels: int | None = None
    """Pictures of more pixels are made smaller before the processor sees them; None: none is."""
    _expansions: dict[Size, str] = field(default_factory=dict, repr=False)

    # ---- text

    def chat(
        self,
        system: str,
        pictures: int,
        question: str,
        answer: str | None = None,
        *,
        earlier: Sequence[ChatTurn] = (),
    ) -> str:
        """The conversation as it is trained on: written by the chat template, an image placeholder for each picture.

        A thought that the template opens before the answer is empty here. Control tokens inside texts are broken up.

        Args:
            system: text of the system turn; empty: none.
            pictures: number of pictures in the last user turn, before its text.
            question: text of the last user turn.
            answer: text of the assistant turn after it; None: the conversation is ready for one.
            earlier: turns before the last user turn.
        """
        turns = [("system", system, 0)] if system else []
        turns += [(turn.role, turn.text, len(turn.pictures)) for turn in earlier]
        turns.append(("user", question, pictures))
        if self.opens_thought:
            text = self.write(turns, ready=True) + self._closes_thought
            return text if answer is None else text + self.control.break_up(answer) + (turn_tail(self.processor) or "")
        return self.write(turns if answer is None else [*turns, ("assistant", answer, 0)], ready=answer is None)

    def write(self, turns: Sequence[TextTurn], *, ready: bool) -> str:
        """A conversation as the chat template writes it; control tokens inside its texts are broken up.

        Args:
            turns: all of them, oldest first.
            ready: whether an answer may follow.
        """
        messages = [template_turn(role, self.control.break_up(text), pictures) for role, text, pictures in turns]
        return str(self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=ready))

    @cached_property
    def opens_thought(self) -> bool:
        """Whether the chat template opens a thought where an answer is to follow."""
        return self._ready_prompt.rstrip().endswith(START)

    @cached_property
    def _closes_thought(self) -> str:
        """What turns the thought that the template opens into an empty one: `<think>`, an empty line, `</think>`."""
        after = self._ready_prompt.rpartition(START)[2]
        return "\n" * (2 - min(len(after), 1)) + f"{END}\n\n"

    @cached_property
    def _ready_prompt(self) -> str:
        return self.write([("user", "question", 0)], ready=True)

    def tokenize(self, text: str, sizes: Sequence[Size] = ()) -> Ids:
        """Token ids of a conversation, each image placeholder expanded to the tokens of its picture.

        Args:
            text: from `chat`.
            sizes: of the pictures, in order.

        Raises:
            DataError: the text has another number of image placeholders than there are sizes.
        """
        return self.tokenize_all([text], [sizes])[0]

    def tokenize_all(self, texts: Sequence[str], sizes: Sequence[Sequence[Size]]) -> list[Ids]:
        """Token ids of several conversations, as `tokenize` gives them one by one; together they take half the time.

        The same ids as the processor's own, but for an end token that some tokenizers append to every text: it would
        stand between prompt and answer. Consecutive placeholder tokens are tokenised as one, then repeated: they
        split the text, so their number changes nothing around them.

        Args:
            texts: from `chat`.
            sizes: for each text those of its pictures, in order.

        Raises:
            DataError: a text has another number of image placeholders than there are sizes.
        """
        expanded = [self._expand(text, own) for text, own in zip(texts, sizes, strict=True)]
        short = [self._image_token_runs.sub(lambda _: self._image_token, text) for text in expanded]
        bos = self.processor.tokenizer.bos_token
        tokens: list[Ids] = [[] for _ in texts]
        for begins in (True, False):
            chosen = [n for n, text in enumerate(texts) if (bos is not None and text.startswith(bos)) == begins]
            found = (
                self.processor.tokenizer([short[n] for n in chosen], add_special_tokens=not begins) if chosen else {}
            )
            for number, ids in zip(chosen, found.get("input_ids", ()), strict=True):
                own = ids if begins else ids[: len(ids) - self.appended]
                tokens[number] = self._repeat_picture_tokens(own, expanded[number])
        return tokens

    def _expand(self, text: str, sizes: Sequence[Size]) -> str:
        """The text with the tokens of each picture in place of its placeholder."""
        parts = text.split(self.processor.image_token)
        if len(parts) != len(sizes) + 1:
            raise DataError(f"the chat template placed {len(parts) - 1} pictures where {len(sizes)} were given")
        return parts[0] + "".join(self.expansion(size) + part for size, part in zip(sizes, parts[1:], strict=True))

    def _repeat_picture_tokens(self, short: Ids, expanded: str) -> Ids:
        """The ids of a text whose runs of placeholder tokens were tokenised as one token each."""
        ids = np.asarray(short, dtype=np.int64)
        times = np.ones(len(ids), dtype=np.int64)
        runs = self._image_token_runs.findall(expanded)
        times[ids == self.image_token_id] = [len(run) // len(self._image_token) for run in runs]
        return list(ids.repeat(times).tolist())

    def answer(self, answer: str, whole: Ids, prompt: Ids) -> tuple[Ids, bool]:
        """Token ids of an answer with its end token, and whether its border is stable.

        Stable: the conversation's tokens start with the prompt's. Where they do not (the tokenizer joins letters across
        the border, or the template rewrites the prompt), the answer is tokenised on its own, as generation would
        produce it.

        Args:
            answer: text of the assistant turn.
            whole: token ids of the conversation with the answer, without white space at its end.
            prompt: token ids of the conversation without it.
        """
        stable = whole[: len(prompt)] == prompt and len(whole) > len(prompt)
        text = self.control.break_up(answer)
        ids = whole[len(prompt) :] if stable else self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        end = next((index for index, token in enumerate(ids) if token in self.end_ids), None)
        ended = [*ids, self.end_id] if end is None else ids[: end + 1]
        return ended, stable or self.opens_thought  # the border behind an empty thought is ours, not the template's

    @cached_property
    def end_id(self) -> int:
        """Id of the token that is put after an answer where the chat template wrote none."""
        for token in (turn_end_id(self.processor), self.processor.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        return min(self.end_ids)

    @cached_property
    def appended(self) -> int:
        """Number of tokens that the tokenizer puts behind every text."""
        tokenizer = self.processor.tokenizer
        plain, whole = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
        starts = range(len(whole) - len(plain) + 1)
        start = next((n for n in starts if whole[n : n + len(plain)] == plain), len(whole) - len(plain))
        return len(whole) - len(plain) - start

    @cached_property
    def unknown_id(self) -> int | None:
        """Id of the token that stands for what is outside the vocabulary; None: all text is inside."""
        unknown = self.processor.tokenizer.unk_token_id
        return None if unknown is None or unknown in self.end_ids else int(unknown)

    @cached_property
    def pad_id(self) -> int:
        """Id of the padding token: the tokenizer's own, else an end token."""
        pad = self.processor.tokenizer.pad_token_id
        return self.end_id if pad is None else int(pad)

    @cached_property
    def _image_token(self) -> str:
        return str(self.processor.tokenizer.convert_ids_to_tokens(self.image_token_id))

    @cached_property
    def _image_token_runs(self) -> re.Pattern[str]:
        return re.compile(f"(?:{re.escape(self._image_token)})+")

    # ---- pictures

    def expansion(self, size: Size) -> str:
        """The text of a picture's tokens: image placeholder tokens, and those around and between them.

        Args:
            size: width and height of the picture.
        """
        size = capped_size(size, self.max_pixels)
        key = (0, 0) if self.facts.picture_tokens == "fixed" else size
        if key not in self._expansions:
            self._expansions[key] = self._expanded(size)
        return self._expansions[key]

    def accepts(self, size: Size) -> bool:
        """Whether the processor takes a picture of this size; some refuse one of extreme proportions.

        Args:
            size: width and height of the picture.
        """
        size = capped_size(size, self.max_pixels)
        try:
            self.expansion(size)
            if min(size) < ORDINARY_SIDE or max(size) > ORDINARY_RATIO * min(size):
                self._processed([Image.new("RGB", size)])
        except Exception:  # processors raise whatever they like
            return False
        return True

    def num_picture_tokens(self, size: Size) -> int:
        """Number of image placeholder tokens of a picture.

        Args:
            size: width and height of the picture.
        """
        return self.expansion(size).count(self._image_token)

    def tokens_of(self, picture: Picture) -> int:
        """Number of image placeholder tokens of a picture, whose file is opened only where its size decides.

        Args:
            picture: the picture.
        """
        fixed = self.facts.picture_tokens == "fixed"
        return self.num_picture_tokens((ORDINARY_SIDE, ORDINARY_SIDE) if fixed else picture.size())

    def pixels(self, pictures: Sequence[Image.Image]) -> dict[str, Tensor]:
        """The vision tower's inputs (`pixel_values` and their like), by the name of the model's argument.

        Args:
            pictures: in reading order, upright and in RGB.
        """
        inputs = self._processed([capped(picture, self.max_pixels) for picture in pictures])
        return {name: value for name, value in inputs.items() if name not in _TEXT_INPUTS}

    def _expanded(self, size: Size) -> str:
        if self.facts.picture_tokens == "patches":
            image_processor = self.processor.image_processor
            patches = image_processor.get_number_of_image_patches(size[1], size[0], {})
            return self._image_token * int(patches // image_processor.merge_size**2)
        ((expanded,),) = self._processed([Image.new("RGB", size)])["text_replacement_offsets"]
        return str(expanded["replacement"])

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

    def positions(
        self,
        occurrences: Sequence[Int[np.ndarray, " _"]],
        ids: Int[np.ndarray, "B S"],
        depth: Int[np.ndarray, "B S"],
        pixels: Mapping[str, Tensor],
    ) -> Int[Tensor, "B S"] | Int[Tensor, "3 B S"]:
        """Position ids; the three are time, height and width where the family has M-RoPE.

        Args:
            occurrences: for every row, which of the pictures in `pixels` it shows.
            ids: token ids.
            depth: a token's index along its own ancestors.
            pixels: from the method of that name; `image_grid_thw` [pictures, 3] is read where the family has M-RoPE.
        """
        if self.facts.positions == "flat":
            return torch.from_numpy(depth)
        merge = self.processor.image_processor.merge_size
        grids = pixels["image_grid_thw"][:, 1:] // merge if pixels else torch.zeros(0, 2)
        rows = [
            grid_positions(line, row == self.image_token_id, [(int(h), int(w)) for h, w in grids[here]])
            for line, row, here in zip(depth, ids, occurrences, strict=True)
        ]
        return torch.from_numpy(np.stack(rows, axis=1))

    def picture_index(self, ids: Int[np.ndarray, "B S"]) -> Int[Tensor, "B S"] | None:
        """Number of the row's picture that each token belongs to, -1 for text; None where attention is causal.

        Args:
            ids: token ids.
        """
        if not self.facts.bidirectional_pictures:
            return None
        picture = ids == self.image_token_id
        starts = picture & ~np.pad(picture, ((0, 0), (1, 0)))[:, :-1]
        return torch.from_numpy(np.where(picture, starts.cumsum(axis=1) - 1, -1))

    # ---- modules

    def part_of(self, name: str) -> Part:
        """The part of the model that a parameter or module belongs to.

        Args:
            name: its full name in the model without peft's or other wrappers.

        Raises:
            ModelError: no part owns it.
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
        """Full names of the linear layers of a part, for peft's `target_modules`.

        Args:
            model: the model without peft's or other wrappers.
            part: where the layers are.
        """
        return [
            name
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and self.part_of(name) == part
        ]
