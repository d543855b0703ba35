"""Perplexity of English prose that the standard library ships: the topics of Python's own help, without their code.

The prose is cut into windows of equal length, each read by itself; the first token of a window is not counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from pydoc_data.topics import topics

import torch

from bench.real_language.language_model import LanguageModel, open_with_eyes

WINDOW = 512
"""Tokens of a window."""
WINDOWS = 40
"""Most windows, evenly spread over the prose."""
LEAST_WORDS = 20
"""Words of the shortest paragraph that counts as prose."""


def prose() -> str:
    """The paragraphs of Python's help that are prose, each once, with an empty line between them."""
    found = (" ".join(part.split()) for _, topic in sorted(topics.items()) for part in _unindented(topic))
    return "\n\n".join(dict.fromkeys(part for part in found if _is_prose(part)))


def prose_sha256() -> str:
    """Hash of the prose, which differs between versions of Python; only figures of one text compare."""
    return sha256(prose().encode()).hexdigest()


def perplexity(folder: Path) -> float:
    """Perplexity of the language model of a vision-language checkpoint or adapter.

    Args:
        folder: the checkpoint or adapter.
    """
    return of_losses(window_losses(open_with_eyes(folder)))


def window_losses(model: LanguageModel) -> list[float]:
    """Mean negative log-likelihood a token, in nats, of every window.

    Args:
        model: the language model.
    """
    return [model.losses(torch.tensor(window)).mean().item() for window in windows(model.encode(prose()))]


def of_losses(losses: Sequence[float]) -> float:
    """Perplexity of windows of equal length.

    Args:
        losses: mean negative log-likelihood of every window, in nats.
    """
    return math.exp(sum(losses) / len(losses))


def tokens_counted(losses: Sequence[float]) -> int:
    """Tokens that a perplexity stands on.

    Args:
        losses: one for every window.
    """
    return len(losses) * (WINDOW - 1)


def windows(ids: Sequence[int]) -> list[Sequence[int]]:
    """Whole windows of a text, at most `WINDOWS`, evenly spread.

    Args:
        ids: token ids of the text.
    """
    whole = len(ids) // WINDOW
    chosen = [number * whole // WINDOWS for number in range(WINDOWS)] if whole > WINDOWS else range(whole)
    return [ids[number * WINDOW : (number + 1) * WINDOW] for number in chosen]


def _unindented(topic: str) -> list[str]:
    """Paragraphs without an indented line: code, grammar and lists are indented."""
    parts = re.split(r"\n\s*\n", topic)
    return [part for part in parts if not any(line[:1].isspace() for line in part.splitlines())]


def _is_prose(paragraph: str) -> bool:
    return (
        paragraph[:1].isupper()
        and paragraph.endswith(".")
        and "::=" not in paragraph
        and len(paragraph.split()) >= LEAST_WORDS
    )
