"""Rows of several rated answers to one prompt (VLFeedback): the pair of the best and the worst of them.

The rule: each answer is rated by GPT-4V from 1 to 5 for helpfulness, visual faithfulness and ethical considerations.
The chosen answer is the one with the highest mean of the three, the rejected one that with the lowest; of equals the
first that stands in the row. `safer` takes ethical considerations alone, `more_helpful` helpfulness alone. An answer
that lacks a readable rating does not take part, and a row whose answers are rated alike is no pair. (Silkie trains on
every two answers of different means, which repeats each answer up to three times.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spavl.config.align import Preference
from spavl.preferences.messages import RowError, Turn, answer_text, text_of

Values = Mapping[str, Any]
"""A row of a file: value by column."""
HELPFUL, FAITHFUL, ETHICAL = "Helpfulness", "Visual Faithfulness", "Ethical Considerations"
"""What answers are rated for."""
ASPECTS: Mapping[Preference | None, tuple[str, ...]] = {
    None: (HELPFUL, FAITHFUL, ETHICAL), "safer": (ETHICAL,), "more_helpful": (HELPFUL,),
}  # fmt: skip
"""The ratings whose mean decides, by what is preferred."""
COLUMNS = ("prompt", "completions")
"""The columns that are read."""
_RATING = re.compile(r"\s*([1-5])(\.0)?\s*")


@dataclass(frozen=True, slots=True)
class Rated:
    """One answer of a row."""

    text: Any
    """The answer, as the file has it."""
    model: Any
    """Who gave it."""
    ratings: Mapping[str, int]
    """Its readable ratings."""

    def mean(self, aspects: Sequence[str]) -> float | None:
        """The mean rating; None where one is not readable.

        Args:
            aspects: what is rated.
        """
        if not all(one in self.ratings for one in aspects):
            return None
        return sum(self.ratings[one] for one in aspects) / len(aspects)


def fits(values: Values) -> bool:
    """Whether a row is in this form.

    Args:
        values: of the row.
    """
    if "chosen" in values or not all(name in values for name in COLUMNS):
        return False
    try:
        return bool(_answers(values))
    except RowError:
        return False


def read(values: Values, prefer: Preference | None) -> tuple[list[Turn], Turn, Turn]:
    """The turns before the answers, the best and the worst answer.

    Args:
        values: of the row.
        prefer: what decides; None: all ratings.

    Raises:
        RowError: fewer than two answers are rated, or all are rated alike.
    """
    best, worst = _best_and_worst(values, prefer)
    chosen, rejected = (Turn("assistant", answer_text(one.text, "response")) for one in (best, worst))
    return [Turn("user", text_of(values["prompt"], "prompt"))], chosen, rejected


def said_of_answers(values: Values, prefer: Preference | None) -> dict[str, Any]:
    """Who gave the answers, and which is rated more harmless and more helpful, by `spavl.preferences.about`.

    Args:
        values: of the row.
        prefer: what decides; None: all ratings.

    Raises:
        RowError: fewer than two answers are rated, or all are rated alike.
    """
    best, worst = _best_and_worst(values, prefer)
    return {
        "chosen_source": best.model, "rejected_source": worst.model,
        "more_harmless": _better(best, worst, ETHICAL), "more_helpful": _better(best, worst, HELPFUL),
    }  # fmt: skip


def _better(best: Rated, worst: Rated, aspect: str) -> Literal["chosen", "rejected", "tie"] | None:
    first, second = best.ratings.get(aspect), worst.ratings.get(aspect)
    if first is None or second is None:
        return None
    return "tie" if first == second else "chosen" if first > second else "rejected"


def _best_and_worst(values: Values, prefer: Preference | None) -> tuple[Rated, Rated]:
    rated = [(one, mean) for one in _answers(values) if (mean := one.mean(ASPECTS[prefer])) is not None]
    if len(rated) < 2:
        raise RowError("fewer than two of its answers have readable ratings")
    best, worst = max(rated, key=lambda one: one[1]), min(rated, key=lambda one: one[1])
    if best[1] == worst[1]:
        raise RowError("all its answers are rated alike")
    return best[0], worst[0]


def _answers(values: Values) -> list[Rated]:
    """The answers of a row: a list of objects, an object of lists (as Parquet has it), or either as JSON."""
    found = values["completions"]
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            raise RowError("`completions` is a text that is no JSON") from None
    if isinstance(found, Mapping):
        lists = {name: found.get(name) for name in ("annotations", "model", "response")}
        if not all(isinstance(one, list) for one in lists.values()):
            raise RowError("`completions` does not hold lists of `annotations`, `model` and `response`")
        if len({len(one) for one in lists.values() if one is not None}) > 1:
            raise RowError("the lists of `completions` are not of equal length")
        found = [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise RowError("`completions` is not a list of answers")
    return [Rated(one.get("response"), one.get("model"), _ratings(one.get("annotations"))) for one in found]


def _ratings(annotations: Any) -> dict[str, int]:
    if not isinstance(annotations, Mapping):
        return {}
    found = {name: one.get("Rating") for name, one in annotations.items() if isinstance(one, Mapping)}
    read = {name: _RATING.fullmatch(str(value)) for name, value in found.items() if value is not None}
    return {name: int(match[1]) for name, match in read.items() if match}
