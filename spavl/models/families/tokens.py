"""The tokens of a checkpoint that are no words: those that end a turn, and control tokens that no text may bring along.

One function each, for training, evaluation, generation and judge prompts alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, final

from spavl.models.chat import template_turn
from spavl.models.thought import END, START

_ANSWER = "xyzzy"
"""A word after which a chat template ends a turn, when the template is looked at."""
_PLACEHOLDERS = ("image_token_id", "image_token_index", "video_token_id", "video_token_index", "audio_token_id")
"""Entries of a model's configuration that hold ids of placeholder tokens: those that stand for something but text."""


def end_ids(processor: Any, generation_config: Any) -> frozenset[int]:
    """Ids of all tokens that end a turn of the assistant; 0 is an id like any other.

    Those of the tokenizer, of the generation settings, and the one that the chat template writes after an answer.

    Args:
        processor: the checkpoint's processor.
        generation_config: of the model.
    """
    named = generation_config.eos_token_id
    several = named if isinstance(named, list | tuple) else [named]
    return frozenset([processor.tokenizer.eos_token_id, *several, turn_end_id(processor)]) - {None}


def turn_end_id(processor: Any) -> int | None:
    """Id of the control token that the chat template writes after an answer; None: it writes none.

    Args:
        processor: the checkpoint's processor.
    """
    tail = turn_tail(processor)
    if tail is None:
        return None
    found = _added_pattern(processor.tokenizer).match(tail.lstrip())
    return None if found is None else int(processor.tokenizer.convert_tokens_to_ids(found[0]))


def turn_tail(processor: Any) -> str | None:
    """The text that the chat template writes after an answer; None: it writes no answers.

    Args:
        processor: the checkpoint's processor.
    """
    turns = [template_turn("user", "question"), template_turn("assistant", _ANSWER)]
    try:
        text = str(processor.apply_chat_template(turns, tokenize=False))
    except Exception:  # chat templates raise whatever they like
        return None
    return text.rpartition(_ANSWER)[2] if _ANSWER in text else None


def _added_pattern(tokenizer: Any) -> re.Pattern[str]:
    """Matches the tokens that were added to the vocabulary as whole texts."""
    added = {str(token) for token in tokenizer.added_tokens_decoder.values()} | set(tokenizer.all_special_tokens)
    return _any_of(added)


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Matches the longest of some texts; nothing where there are none."""
    return re.compile("|".join(re.escape(one) for one in sorted(texts, key=len, reverse=True)) or r"(?!)")


@final
class ControlTokens:
    """Control tokens as text: those that a model reads as the start or end of a turn, or as a picture.

    Args:
        words: the tokens; a single character is none.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = frozenset(word for word in words if len(word) > 1)
        """The tokens."""

    def in_text(self, text: str) -> str | None:
        """The first control token of a text; None where it has none.

        Args:
            text: a question or an answer.
        """
        found = self._pattern.search(text)
        return found[0] if found else None

    def break_up(self, text: str) -> str:
        """The text with a space inside each control token, which makes plain letters of it.

        What a file or another model brings must end no turn and stand for no picture.

        Args:
            text: a question, an answer, or a part of a prompt.
        """
        while (broken := self._pattern.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)) != text:
            text = broken
        return text

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return _any_of(self.words)


def control_tokens(processor: Any, config: Any) -> ControlTokens:
    """The control tokens of a checkpoint.

    All special tokens, whichever file says that they are; placeholders of pictures and the like; and other added tokens
    that the chat template writes around turns. The marks of a thought are none.

    Args:
        processor: the checkpoint's processor.
        config: of the model.
    """
    tokenizer = processor.tokenizer
    added = tokenizer.added_tokens_decoder.values()
    words = {str(token) for token in added if token.special} | set(tokenizer.all_special_tokens)
    words |= set(tokenizer.convert_ids_to_tokens(placeholder_ids(config)))
    words |= set(_any_of(str(token) for token in added if _is_mark(str(token))).findall(_of_template(processor)))
    return ControlTokens(words - {START, END})


def _is_mark(token: str) -> bool:
    """Whether an added token stands between marks, as `<|im_end|>`; others are words, tags of a page or white space."""
    return len(token) > 2 and not (token[0].isspace() or token[0].isalnum() or token[-1].isspace())


def control_ids(processor: Any, config: Any) -> frozenset[int]:
    """Ids of the control tokens of a checkpoint.

    Args:
        processor: the checkpoint's processor.
        config: of the model.
    """
    tokenizer = processor.tokenizer
    known = tokenizer.get_vocab()
    words = control_tokens(processor, config).words
    return frozenset(known[word] for word in words if word in known) | frozenset(tokenizer.all_special_ids)


def placeholder_ids(config: Any) -> list[int]:
    """Ids of the tokens that stand for pictures, videos and sound.

    Args:
        config: of the model.
    """
    entries = config.to_dict()
    return sorted({entries[name] for name in _PLACEHOLDERS if entries.get(name) is not None})


def _of_template(processor: Any) -> str:
    """What the chat template writes around the turns of a small conversation."""
    turns = [template_turn("user", "question"), template_turn("assistant", _ANSWER), template_turn("user", "question")]
    try:
        return str(processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    except Exception:  # chat templates raise whatever they like
        return ""
