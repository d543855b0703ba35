"""The option that an answer chooses by the rules published for ScienceQA: LLaVA's, and that of lmms-eval."""

from __future__ import annotations

import re

LETTERS = "ABCDE"
"""Letters that a question of ScienceQA may have."""
_STATED = re.compile(rf"The answer is ([{LETTERS}])")
_STATED_AT_END = re.compile(rf"The answer is ([{LETTERS}])\.")


def llava_science_qa_option(text: str) -> str | None:
    """LLaVA's rule: the letter alone, a letter with a full stop and a blank at the beginning, or "The answer is B".

    Args:
        text: the answer.

    Source: https://github.com/haotian-liu/LLaVA/blob/main/llava/eval/eval_science_qa.py
    """
    words = text.replace("\n", ". ")
    alone = words.strip()
    if alone and alone in list(LETTERS):
        return alone
    if len(words) >= 3 and words[0] in LETTERS and words[1:3] == ". ":
        return words[0]
    stated = _STATED_AT_END.search(words) or _STATED.search(words)
    return stated.group(1) if stated else None


def lmms_eval_science_qa_option(text: str, letters: str = LETTERS) -> str | None:
    """The rule of lmms-eval: the letter alone in any case, or any capital with a full stop at the beginning.

    Args:
        text: the answer.
        letters: letters of the question's options.

    Source: https://github.com/EvolvingLMMs-Lab/lmms-eval/blob/main/lmms_eval/tasks/scienceqa/utils.py
    """
    words = text.strip()
    if len(words) == 1 and words.upper() in letters:
        return words.upper()
    if len(words) >= 2 and words[0].isupper() and words[1] == ".":
        return words[0] if words[0] in letters else None
    return None
