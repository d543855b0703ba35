"""What is wrong with single pairs: found before the first step, by id. No model is needed, only its control words."""

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
ROW_ISSUES: Mapping[RowIssue, str] = {
    "no picture": "give the picture's bytes in the column image, or a path beside the file",
    "unreadable picture": "replace the picture; it is truncated, too large, or no picture at all",
    "empty question": "drop the pair",
    "empty answer": "drop the pair, or write the answer",
    "equal answers": "drop the pair; nothing can be preferred",
    "control token": "remove it from the text; the model would read it as a picture or as the end of a turn",
    "too long": "raise align.data.max_tokens, or set align.data.too_long to cut or skip",
}
"""Everything that can be wrong with a pair, and what to do."""
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the doctor found."""

    level: Literal["refuse", "skip", "warn", "note"]
    """`refuse`: training must not start. `skip`: these pairs are left out. `warn`: look at it. `note`: good to know."""
    what: str
    rows: tuple[str, ...] = ()
    """Ids of the pairs concerned."""
    try_: str = ""

    def render(self) -> str:
        """One or two lines for a person."""
        named = ", ".join(self.rows[:SHOWN]) + (f" and {len(self.rows) - SHOWN} more" if len(self.rows) > SHOWN else "")
        line = f"{self.level}: {self.what}" + (f" ({len(self.rows)}: {named})" if self.rows else "")
        return line + (f"\n  try: {self.try_}" if self.try_ else "")


def find_issues(pairs: Sequence[Pair], control_words: Collection[str]) -> dict[int, RowIssue]:
    """The first thing that is wrong with each pair, by its number. Every picture is decoded once."""
    broken = _unreadable(pairs)
    found: dict[int, RowIssue] = {}
    for number, pair in enumerate(pairs):
        fault = _issue(pair, broken, control_words)
        if fault:
            found[number] = fault
    return found


def _issue(pair: Pair, broken: Collection[str], control_words: Collection[str]) -> RowIssue | None:
    if pair.image is None or (isinstance(pair.image, Path) and not pair.image.is_file()):
        return "no picture"
    if pair.image_key in broken:
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


def _unreadable(pairs: Sequence[Pair]) -> set[str]:
    """Keys of pictures that cannot be decoded."""
    pictures = {pair.image_key: Picture(pair.image_key, pair.image) for pair in pairs if pair.image is not None}

    def decodes(picture: Picture) -> bool:
        try:
            picture.load()
        except (DataError, ValueError):
            return False
        return True

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        fine = list(pool.map(decodes, pictures.values()))
    return {key for key, whole in zip(pictures, fine, strict=True) if not whole}


def report_issues(
    pairs: Sequence[Pair], found: Mapping[int, RowIssue], level: Literal["refuse", "skip"]
) -> list[Finding]:
    """One finding a kind of fault, with the ids."""
    kinds: dict[RowIssue, list[str]] = defaultdict(list)
    for number, fault in found.items():
        kinds[fault].append(pairs[number].pair_id)
    return [Finding(level, fault, tuple(ids), ROW_ISSUES[fault]) for fault, ids in kinds.items()]


def refuse_rows(findings: Sequence[Finding], *, skip_with: str) -> None:
    """Raise one DataError that lists every finding of level `refuse`."""
    bad = [finding for finding in findings if finding.level == "refuse"]
    if bad:
        raise DataError(
            "The pairs cannot be trained on as they are:\n" + "\n".join(f"  {one.render()[8:]}" for one in bad),
            try_=f"mend them, or leave them out with {skip_with}",
        )
