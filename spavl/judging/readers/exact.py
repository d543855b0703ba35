"""Rules that are no more than a comparison: SEED-Bench's first letter, and lmms-eval's exact match."""

from __future__ import annotations

import string

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def seed_bench_letter(text: str) -> str:
    """The first letter of an answer, as lmms-eval scores SEED-Bench: "As an AI …" chooses A.

    Args:
        text: the answer.

    Source: https://github.com/EvolvingLMMs-Lab/lmms-eval/blob/main/lmms_eval/tasks/seedbench/utils.py
    """
    return text.strip()[:1].upper()


def gqa_exact(text: str, expected: str) -> bool:
    """Whether an answer is the expected one but for case and punctuation, as lmms-eval scores GQA.

    Args:
        text: the answer.
        expected: the right answer.

    Source: `exact_match` with `ignore_case` and `ignore_punctuation` in
    https://github.com/EvolvingLMMs-Lab/lmms-eval/blob/main/lmms_eval/api/metrics.py
    """
    return text.lower().translate(_WITHOUT_PUNCTUATION) == expected.lower().translate(_WITHOUT_PUNCTUATION)
