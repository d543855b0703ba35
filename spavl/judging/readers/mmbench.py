"""The option that an answer chooses by the rule with which MMBench is scored where no language model is asked.

First what MMBench's own code infers: the only letter among the words, with or without a mark, else the only option
whose text stands in the answer. What is left, lmms-eval's `mmbench_en_dev_static` reads by a list of forms, of which
the one it trusts most decides, and of equal ones the last: `mmbench_static_option`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

LETTERS = "ABCDE"
"""Letters that are looked for among the words, whatever options there are."""
_AROUND = (
    ("", "."), ("", ","), ("", ":"), ("", ")"), ("", ")."), ("(", ")"), ("(", ")."), (":", ""), (":", ","), (":", "."),
    (":", ")"), (":", ")."),
)  # fmt: skip
"""What may stand around a letter, in the order in which it is looked for."""
_STRIPPED = ",.!?;:'\""
_PHRASES = (
    *(f"{lead}{word} is" for word in ("answer", "choice") for lead in ("", "the ", "correct ", "the correct ")),
    *(f"{lead}option is" for lead in ("correct ", "the correct ", "best ", "the best ")),
    "best answer is", "the best answer is", "my answer is", "my choice is", "i choose", "i select", "i pick",
    "옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは",
)  # fmt: skip
"""What leads a choice in."""
_WEIGHTS = (("({})", 6), ("{}.", 5), ("{}:", 4), ("{})", 3), ("{} ", 2))
"""Forms of a letter, and how far each is trusted."""
_AT_START, _AT_END, _AFTER_PHRASE = 10, 9, 7


def mmbench_option(text: str, options: Mapping[str, str]) -> str | None:
    """What MMBench's own code infers; None where it would ask a language model.

    Args:
        text: the answer.
        options: text of the options by letter.

    Source: `can_infer` in
    https://github.com/EvolvingLMMs-Lab/lmms-eval/blob/main/lmms_eval/tasks/mmbench/mmbench_evals.py
    """
    words = text.split()
    plain = [letter for letter in LETTERS if letter in words]
    if len(plain) == 1 and not ("A" in words and len(words) > 3):
        return plain[0]
    for before, after in _AROUND:
        marked = [letter for letter in LETTERS if before + letter + after in words]
        if len(marked) == 1:
            return marked[0]
    held = [letter for letter, option in options.items() if option.lower() in text.lower()]
    return held[0] if len(held) == 1 else None


def mmbench_static_option(text: str, options: Mapping[str, str]) -> str | None:
    """The option by both rules, as lmms-eval scores without a language model.

    Args:
        text: the answer.
        options: text of the options by letter.

    Source: `extract_mcq_answer` in
    https://github.com/EvolvingLMMs-Lab/lmms-eval/blob/main/lmms_eval/tasks/_task_utils/mcq_extract.py
    """
    return mmbench_option(text, options) or _by_form(text, sorted(options))


def _by_form(text: str, letters: list[str]) -> str | None:
    words = text.strip()
    if not words:
        return None
    for mark in _STRIPPED:
        words = words.strip(mark)
    found = list(_forms(f" {words} ", letters))
    if not found:
        found = [(0, f" {words} ".rfind(letter), letter) for letter in letters if letter in words]
    best = max(found, key=lambda one: one[:2], default=None)
    return best[2] if best else None


def _forms(padded: str, letters: list[str]) -> Iterator[tuple[int, int, str]]:
    """(how far it is trusted, where it stands, letter) of every form, in the order in which they are looked for."""
    for form, weight in _WEIGHTS:
        for letter in letters:
            if form.format(letter) in padded:
                yield weight, padded.rfind(form.format(letter)), letter
    lower = padded.lower()
    for phrase in _PHRASES:
        if (at := lower.find(phrase)) >= 0:
            places = ((padded.find(letter, at + len(phrase)), letter) for letter in letters)
            yield from ((_AFTER_PHRASE, place, letter) for place, letter in places if place >= 0)
    words = padded.strip()
    for letter in letters:
        if words.startswith(letter) and (len(words) == 1 or not words[1].isalpha()):
            yield _AT_START, 0, letter
    for letter in letters:
        if words.endswith(letter) and (len(words) == 1 or not words[-2].isalpha()):
            yield _AT_END, len(padded) - 1, letter
