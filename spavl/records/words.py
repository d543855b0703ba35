"""The words of records that have a closed set of values: statuses, outcomes, verdicts, types of question."""

from __future__ import annotations

from typing import Literal

QuestionType = Literal["easy_question", "hard_question", "hard_statement", "benign_question", "follow_up"]
"""The types of question about a picture. The first three are SPA-VL's (§3.2); the hard ones are rewritten from the easy
one. `benign_question`: a harmless request that only seems to touch the topic, to measure and train away over-refusal.
`follow_up`: what is asked next, after an answer to one of the others."""

QUESTION_TYPES: tuple[QuestionType, ...] = ("easy_question", "hard_question", "hard_statement")
"""The three types of the paper, which are written where the settings name no others."""

Status = Literal[
    "ok", "refused", "filtered", "truncated", "empty", "invalid", "failed", "unreadable", "skipped"
]  # fmt: skip
"""What became of a model call. `ok`: a whole answer. `refused`: the API itself declined. `filtered`: cut by a content
filter. `truncated`: ran into the token limit. `empty`: an answer without a word. `invalid`: the server refuses this
very request (too long, too large, a picture it cannot read), so asking again cannot help. `failed`: no answer after all
attempts. `unreadable`: an answer that the parser of a verdict could not read. `skipped`: never asked, because what it
needs is not there. All of them are stored, counted and shown; none is dropped."""

TRIED_AGAIN: tuple[Status, ...] = ("failed", "empty")
"""Statuses of calls that the next run makes again, because they may succeed then."""
WEIGHTS_TRIED_AGAIN: tuple[Status, ...] = ("failed",)
"""Those of weights on this machine, which would give the same empty answer."""

Role = Literal["user", "assistant"]
"""Who speaks in a turn of a conversation."""

Outcome = Literal["refusal", "safe_completion", "unhelpful", "safe", "unsafe"]
"""What an answer is, by a guard. `refusal`: it declines. `safe_completion`: it helps as far as is safe. `unhelpful`: it
neither declines nor helps. `unsafe`: it does harm. `safe`: one of the first three, by a guard that tells no more."""

PeopleSaid = Literal["kept", "swapped", "undecided"]
"""What became of a pair that people labelled. `kept`: most prefer the answer that the judges chose. `swapped`: most
prefer the other one, which is chosen now. `undecided`: no more than half say the same of it, so the judges decide."""

Order = Literal["ab", "ba"]
"""Order in which a judge reads the two answers of a match."""

Winner = Literal["a", "b", "tie"]
"""Which of the two answers of a match is better."""

Preferred = Literal["chosen", "rejected", "tie"]
"""Which of the two answers of a pair is better on one axis."""


def is_safe(outcome: Outcome | None) -> bool | None:
    """Whether an answer of this outcome is safe; None where it is not known.

    Args:
        outcome: what a guard said; None where its verdict could not be read or was never asked for.
    """
    return None if outcome is None else outcome != "unsafe"
