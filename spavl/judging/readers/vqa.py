"""VQA's soft accuracy: how far an answer agrees with those of ten people, by the rules published for it.

Two normalisers are in use. VQAv2's own keeps the words as they are and takes punctuation, articles, number words and
contractions out; that of EvalAI, with which TextVQA and VizWiz are scored, first drops commas and question marks and
parts a possessive `'s` from its word. Both take a full stop away unless a digit follows it, and at most 32 of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_PERIOD = re.compile(r"\.(?!\d)")
_MOST_PERIODS = 32
"""Full stops that are taken away at most: the published code hands a flag of that value on as the count."""
_THOUSANDS = re.compile(r"\d,+\d")
_CONTRACTED = [
    "ain't", "aren't", "can't", "could've", "couldn't", "couldn't've", "didn't", "doesn't", "don't", "hadn't",
    "hadn't've", "hasn't", "haven't", "he'd", "he'd've", "he's", "how'd", "how'll", "how's", "isn't", "it'd",
    "it'd've", "it'll", "ma'am", "mightn't", "mightn't've", "might've", "mustn't", "must've", "needn't", "not've",
    "o'clock", "oughtn't", "'ow's'at", "shan't", "she'd've", "should've", "shouldn't", "shouldn't've",
    "somebody'd've", "somebody'll", "somebody's", "someone'd", "someone'd've", "someone'll", "someone's",
    "something'd", "something'd've", "something'll", "that's", "there'd", "there'd've", "there're", "there's",
    "they'd", "they'd've", "they'll", "they're", "they've", "'twas", "wasn't", "we'd've", "we've", "weren't",
    "what'll", "what're", "what's", "what've", "when's", "where'd", "where's", "where've", "who'd", "who'd've",
    "who'll", "who's", "who've", "why'll", "why're", "why's", "won't", "would've", "wouldn't", "wouldn't've", "y'all",
    "y'all'll", "y'all'd've", "you'd", "you'd've", "you'll", "you're", "you've",
]  # fmt: skip


def _with_one_less(word: str) -> Iterator[str]:
    """The word with each of its apostrophes taken away in turn, as people misspell it."""
    for place, letter in enumerate(word):
        if letter == "'":
            yield word[:place] + word[place + 1 :]


_CONTRACTIONS = {wrong: word for word in _CONTRACTED for wrong in _with_one_less(word)} | {"somebody'd": "somebodyd"}
"""Contractions by how they are misspelt; the one that goes the other way is so in the published table."""


def vqa_normalised(text: str) -> str:
    """An answer as VQAv2's evaluation compares it: punctuation, number words, articles, contractions.

    Args:
        text: the answer.

    Source: https://github.com/GT-Vision-Lab/VQA/blob/master/PythonEvaluationTools/vqaEvaluation/vqaEval.py
    """
    return _words(_unpunctuated(_on_one_line(text)))


def evalai_normalised(text: str) -> str:
    """An answer as EvalAI compares it for TextVQA and VizWiz: first without commas, question marks and possessives.

    Args:
        text: the answer.

    Source: `EvalAIAnswerProcessor` of
    https://github.com/facebookresearch/mmf/blob/main/mmf/datasets/processors/processors.py
    """
    words = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return _words(_unpunctuated(_on_one_line(words)))


def vqa_accuracy(text: str, answers: Sequence[str]) -> float:
    """VQAv2's accuracy of an answer.

    Args:
        text: the answer.
        answers: what people answered.

    Source: https://visualqa.org/evaluation.html
    """
    given = vqa_normalised(text)
    return soft_accuracy([vqa_normalised(answer) == given for answer in answers])


def evalai_accuracy(text: str, answers: Sequence[str]) -> float:
    """The accuracy of an answer by the rule of TextVQA and VizWiz.

    Args:
        text: the answer.
        answers: what people answered.
    """
    given = evalai_normalised(text)
    return soft_accuracy([evalai_normalised(answer) == given for answer in answers])


def soft_accuracy(agrees: Sequence[bool]) -> float:
    """A third for each person who agrees, 1 at most: the mean over all sets that leave one person out.

    Args:
        agrees: whether each person agrees with the answer; with none the accuracy is 0.
    """
    agreeing = sum(agrees)
    shares = [min(1.0, (agreeing - agreed) / 3) for agreed in agrees]
    return sum(shares) / len(shares) if shares else 0.0


def _on_one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _unpunctuated(text: str) -> str:
    """Every mark is dropped where it stands beside a blank, or any number has a comma; else it becomes a blank."""
    words = text
    for mark in _MARKS:
        drops = f"{mark} " in text or f" {mark}" in text or _THOUSANDS.search(text) is not None
        words = words.replace(mark, "" if drops else " ")
    return _PERIOD.sub("", words, count=_MOST_PERIODS)


def _words(text: str) -> str:
    found = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in found if word not in _ARTICLES)
