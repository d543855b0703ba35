"""Invalid pairs, found before the first step and named by their ids; no model is needed, only its control words."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spavl.align.data.pairs import Pair
from spavl.errors import DataError
from spavl.pictures import Picture

RowIssue = Literal[
    "no picture", "unreadable picture", "empty question", "empty answer", "equal answers", "control token", "too long"
]  # fmt: skip
"""Why a pair cannot be trained on."""
ROW_ISSUES: Mapping[RowIssue, str] = {
    "no picture": "give the picture's bytes in the column image, or a path next to the file",
    "unreadable picture": "replace the picture; it is truncated, too large, or no picture at all",
    "empty question": "drop the pair",
    "empty answer": "drop the pair, or write the answer",
    "equal answers": "drop the pair; nothing can be preferred",
    "control token": "remove it from the text; the model would read it as a picture or as the end of a turn",
    "too long": "raise align.data.max_tokens, or set align.data.too_long to cut or skip",
}
"""Every issue, and what to do about it."""
SHOWN = 8
"""Most ids that a message lists."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of the preflight, on pairs or on the model."""

    level: Literal["refuse", "skip", "warn", "note"]
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


def find_issues(pairs: Sequence[Pair], control_words: Collection[str]) -> dict[int, RowIssue]:
    """The first issue of each invalid pair, by its number; every picture is decoded once.

    Args:
        pairs: the pairs as read.
        control_words: special tokens of the model as text, which must not stand in a question or answer.
    """
    unreadable = _unreadable_pictures(pairs)
    issues: dict[int, RowIssue] = {}
    for number, pair in enumerate(pairs):
        issue = _issue(pair, unreadable, control_words)
        if issue:
            issues[number] = issue
    return issues


def _issue(pair: Pair, unreadable: Collection[str], control_words: Collection[str]) -> RowIssue | None:
    if pair.image is None or (isinstance(pair.image, Path) and not pair.image.is_file()):
        return "no picture"
    if pair.image_key in unreadable:
        return "unreadable picture"
    if not pair.question.strip():
        return "empty question"
    if not (pair.chosen.strip() and pair.rejected.strip()):
        return "empty answer"
    if pair.chosen.strip() == pair.rejected.strip():
        return "equal answers"
    if any(word in text for text in (pair.question, pair.chosen, pair.rejected) for word in control_words):
        return "control token"
    return None


def _unreadable_pictures(pairs: Sequence[Pair]) -> set[str]:
    """Keys of pictures that cannot be decoded."""
    pictures = {pair.image_key: Picture(pair.image_key, pair.image) for pair in pairs if pair.image is not None}

    def decodes(picture: Picture) -> bool:
        try:
            picture.load()
        except (DataError, ValueError):
            return False
        return True

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        readable = list(pool.map(decodes, pictures.values()))
    return {key for key, fine in zip(pictures, readable, strict=True) if not fine}


def report_issues(
    pairs: Sequence[Pair], issues: Mapping[int, RowIssue], level: Literal["refuse", "skip"]
) -> list[Finding]:
    """One finding for each kind of issue, with the ids of its pairs.

    Args:
        pairs: the pairs as read.
        issues: issue by number of the pair.
        level: what happens to such pairs.
    """
    ids_of: dict[RowIssue, list[str]] = defaultdict(list)
    for number, issue in issues.items():
        ids_of[issue].append(pairs[number].pair_id)
    return [Finding(level, issue, tuple(ids), ROW_ISSUES[issue]) for issue, ids in ids_of.items()]


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
