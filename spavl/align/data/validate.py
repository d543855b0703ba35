"""Invalid pairs, found before the first step and named by their ids; no model is needed, only its control words."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from spavl.config.loss import AnswersRead
from spavl.errors import DataError
from spavl.models.families import ControlTokens
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair
from spavl.preferences.picture_values import GONE, OUTSIDE
from spavl.preferences.table import remembered, short_digests, table_of

RowIssue = Literal[
    "malformed row", "single answer", "missing picture", "unreadable picture", "refused picture", "several pictures",
    "no picture to corrupt", "turns out of order", "empty question", "empty answer", "equal answers", "control token",
    "too long", "repeated pair", "contradictory pair",
]  # fmt: skip
"""Why a pair cannot be trained on."""
ROW_ISSUES: Mapping[RowIssue, str] = {
    "malformed row": "mend these rows of the file, or drop them",
    "single answer": "train on it with align.loss.kind=kto (sft takes those that are wanted), or give both answers",
    "missing picture": "give the picture's bytes in the column, or a path next to the file",
    "unreadable picture": "replace the picture; it is truncated, too large, or no picture at all",
    "refused picture": "crop the picture, or drop the pair; {family}'s processor refuses its size or its proportions",
    "several pictures": "drop the pair, or train a model that can; {family} encodes a picture among several in one "
    "conversation otherwise than alone",
    "no picture to corrupt": "set align.loss.image_conditional to 0, or drop the pair",
    "turns out of order": "let the earlier turns alternate, the user's first and the assistant's last",
    "empty question": "drop the pair",
    "empty answer": "drop the pair, or write the answer",
    "equal answers": "drop the pair; nothing can be preferred",
    "control token": "remove it from the text; the model would read it as a picture or as the end of a turn, were no "
    "space put into it",
    "too long": "raise align.data.max_tokens, or set align.data.too_long to cut or skip",
    "repeated pair": "align.data.repeated=skip trains on the first of them alone",
    "contradictory pair": "the same answers are preferred the other way round in another row; align.data.contradictory="
    "skip leaves both out",
}
"""Every issue, and what to do about it."""
Level = Literal["refuse", "skip", "warn", "note"]
"""What a finding means for the training."""
SHOWN = 8
"""Most ids that a message lists."""
THREADS = min(8, os.cpu_count() or 1)
"""Pictures that are decoded at the same time."""
NO_SIZE = (0, 0)
"""Size of a picture that cannot be decoded."""
TOGETHER = 256
"""Pictures that are handed to the threads at once."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of the preflight, on pairs or on the model."""

    level: Level
    """`refuse`: training must not start. `skip`: these pairs are left out. `warn`: the user should see to it. `note`:
    good to know."""
    what: str
    """The finding itself."""
    rows: tuple[str, ...] = ()
    """Ids of the pairs concerned."""
    try_: str = ""
    """What the user can do."""

    def render(self) -> str:
        """The finding as one line, and a second one with what to do."""
        named = ", ".join(self.rows[:SHOWN]) + (f" and {len(self.rows) - SHOWN} more" if len(self.rows) > SHOWN else "")
        line = f"{self.level}: {self.what}" + (f" ({len(self.rows)}: {named})" if self.rows else "")
        return line + (f"\n  try: {self.try_}" if self.try_ else "")


@dataclass(frozen=True, slots=True)
class PairRules:
    """What a valid pair must keep to, beside being whole."""

    control: ControlTokens
    """Control tokens of the model, which should not stand in a text."""
    several_pictures: bool = True
    """Whether a conversation may have more than one picture."""
    needs_picture: bool = False
    """Whether it must have one, for the loss corrupts it."""
    accepts: Callable[[tuple[int, int]], bool] = lambda size: True
    """Whether the model's processor takes a picture of this width and height."""
    answers: AnswersRead = "pairs"
    """What of the pairs the loss reads."""


def find_issues(pairs: Sequence[Pair], rules: PairRules) -> dict[int, RowIssue]:
    """The first issue of each invalid pair, by its number; every picture is decoded once.

    Args:
        pairs: the pairs as read.
        rules: what they must keep to.
    """
    unusable = _unusable_pictures(pairs, rules)
    issues: dict[int, RowIssue] = {}
    for number, pair in enumerate(pairs):
        issue: RowIssue | None = "malformed row" if pair.malformed else None
        issue = issue or _issue_of_pictures(pair, unusable, rules) or _issue_of_texts(pair, rules)
        if issue:
            issues[number] = issue
    return issues


def find_repeats(pairs: Sequence[Pair]) -> dict[int, RowIssue]:
    """Pairs that stand in the data before, and pairs whose answers are preferred the other way round elsewhere.

    Args:
        pairs: valid pairs.
    """
    digests, swapped = short_digests(pairs), short_digests(pairs, swapped=True)
    first = np.zeros(len(digests), dtype=bool)
    first[np.unique(digests, return_index=True)[1]] = True
    issues: dict[int, RowIssue] = dict.fromkeys(np.flatnonzero(~first).tolist(), "repeated pair")
    return issues | dict.fromkeys(np.flatnonzero(np.isin(digests, swapped)).tolist(), "contradictory pair")


def _issue_of_pictures(pair: Pair, unusable: Mapping[str, RowIssue], rules: PairRules) -> RowIssue | None:
    pictures = pair.all_pictures
    if any(picture.missing for picture in pictures):
        return "missing picture"
    for picture in pictures:
        if picture.key in unusable:
            return unusable[picture.key]
    if len(pictures) > 1 and not rules.several_pictures:
        return "several pictures"
    return None if pictures or not rules.needs_picture else "no picture to corrupt"


def _issue_of_texts(pair: Pair, rules: PairRules) -> RowIssue | None:
    roles = [turn.role for turn in pair.earlier]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        return "turns out of order"
    if not pair.question.strip():
        return "empty question"
    if issue := _issue_of_answers(pair, rules):
        return issue
    texts = (pair.system, *(turn.text for turn in pair.earlier), pair.question, pair.chosen, pair.rejected)
    return "control token" if any(map(rules.control.in_text, texts)) else None


def _issue_of_answers(pair: Pair, rules: PairRules) -> RowIssue | None:
    if pair.unpaired:
        can_be_read = rules.answers == "unpaired" or (rules.answers == "chosen" and bool(pair.chosen))
        return None if can_be_read else "single answer"
    if not (pair.chosen.strip() and pair.rejected.strip()):
        return "empty answer"
    return "equal answers" if pair.chosen.strip() == pair.rejected.strip() else None


def _unusable_pictures(pairs: Sequence[Pair], rules: PairRules) -> dict[str, RowIssue]:
    """What is wrong with pictures, by key. A table's pictures are decoded once, and their sizes remembered."""
    table = table_of(pairs)
    pictures = {one.key: one for pair in pairs for one in pair.all_pictures}.values() if table is None else None
    every = table.pictures if table is not None else lambda: iter(pictures or ())
    sizes = remembered(pairs, "sizes", lambda: _sizes(every()))
    issues: dict[tuple[int, ...], RowIssue] = {}
    for size in {(int(width), int(height)) for width, height in np.unique(sizes, axis=0)}:
        if size == NO_SIZE:
            issues[size] = "unreadable picture"
        elif not rules.accepts(size):
            issues[size] = "refused picture"
    wrong = zip(every(), map(tuple, sizes.tolist()), strict=True) if issues else ()
    return {picture.key: issues[size] for picture, size in wrong if size in issues}


def _sizes(pictures: Iterable[Picture]) -> np.ndarray:
    """Width and height [P, 2] of pictures; `NO_SIZE` of those that cannot be decoded.

    A few are decoded at a time, so that few are ever open.
    """
    left = iter(pictures)
    found: list[tuple[int, int]] = []
    with ThreadPoolExecutor(THREADS) as pool:
        while some := list(islice(left, TOGETHER)):
            found += pool.map(_size, some)
    return np.array(found, dtype=np.int32).reshape(-1, 2)


def _size(picture: Picture) -> tuple[int, int]:
    try:
        return picture.load().size
    except (DataError, ValueError):
        return NO_SIZE


def report_issues(
    pairs: Sequence[Pair], issues: Mapping[int, RowIssue], levels: Callable[[RowIssue], Level], *, family: str = "it"
) -> list[Finding]:
    """One finding for each kind of issue, with the ids of its pairs; malformed rows by what is wrong with them.

    Args:
        pairs: the pairs as read.
        issues: issue by number of the pair.
        levels: what happens to pairs with an issue.
        family: name of the model's family.
    """
    ids_of: dict[tuple[RowIssue, str], list[str]] = defaultdict(list)
    examples: dict[RowIssue, str] = {}
    for number, issue in issues.items():
        pair = pairs[number]
        ids_of[issue, f": {pair.malformed}" if pair.malformed else ""].append(pair.pair_id)
        if issue == "missing picture":
            examples.setdefault(issue, f"; {_why_missing(pair)}")
    return [
        Finding(
            levels(issue), issue + more, tuple(ids), ROW_ISSUES[issue].format(family=family) + examples.get(issue, "")
        )
        for (issue, more), ids in ids_of.items()
    ]


def _why_missing(pair: Pair) -> str:
    """Why the first missing picture of a pair is not there."""
    key = next(picture.key for picture in pair.all_pictures if picture.missing)
    return key.removeprefix(GONE).removeprefix(OUTSIDE)


def refuse_rows(findings: Sequence[Finding], *, skip_with: str) -> None:
    """Refuse to train where some finding has level `refuse`; one message lists them all.

    Args:
        findings: of any level.
        skip_with: the setting that leaves such pairs out, named in the message.

    Raises:
        DataError: a finding has level `refuse`.
    """
    refused = [finding for finding in findings if finding.level == "refuse"]
    if refused:
        raise DataError(
            "The pairs cannot be trained on as they are:\n" + "\n".join(f"  {one.render()[8:]}" for one in refused),
            try_=f"mend them, or leave them out with {skip_with}",
        )
