"""What a form's own columns say of a pair, in the words of `spavl.preferences.about`: who answered, what is safer, why.

A column that already bears one of those names wins over what is told from others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from spavl.config.align import PairForm, Preference
from spavl.preferences import rated_answers, two_answers

Values = Mapping[str, Any]
"""A row of a file: value by column."""
REASONS: Mapping[str, str] = {"reason1": "reason_ab", "reason2": "reason_ba"}
"""SPA-VL's rationales of its judge, and our names of them."""
ORIGIN = "origin_split"
"""RLAIF-V's JSON about a row: the model that answered, and the kind of question."""


def said_by_form(form: PairForm, values: Values, prefer: Preference | None) -> dict[str, Any]:
    """What a row says of its pair in columns that only its form knows; values are as the file has them.

    Args:
        form: of the file.
        values: of the row.
        prefer: which answer is preferred, where the file has an opinion on both counts.

    Raises:
        RowError: the row does not say which answer is preferred.
    """
    reader = _READERS.get(form)
    return reader(values, prefer) if reader else {}


def _spa_vl(values: Values, _prefer: Preference | None) -> dict[str, Any]:
    found = {ours: values.get(theirs) for theirs, ours in REASONS.items() if theirs in values}
    if (model := _answering_model(values)) is not None:
        found |= {"chosen_source": model, "rejected_source": model}
    return found


def _in_json(values: Values, _prefer: Preference | None) -> dict[str, Any]:
    """The model gave the rejected answer; the chosen one is a person's correction of it, or the model's too."""
    model = _answering_model(values)
    return {} if model is None else {"rejected_source": model}


def _answering_model(values: Values) -> str | None:
    origin = values.get(ORIGIN)
    if isinstance(origin, str):
        try:
            origin = json.loads(origin)
        except (ValueError, RecursionError):
            return None
    model = origin.get("model") if isinstance(origin, Mapping) else None
    return model if isinstance(model, str) and model else None


_READERS: Mapping[PairForm, Callable[[Values, Preference | None], dict[str, Any]]] = {
    "spa-vl": _spa_vl, "rlhf-v": _in_json, "two-responses": two_answers.said_of_answers,
    "vlfeedback": rated_answers.said_of_answers,
}  # fmt: skip
