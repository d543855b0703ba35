"""Changes against the base without the errors of the guard, which differ between models and do not cancel out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spavl.pipeline.compared_models import ScoredModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ByPeople:
    """How one metric differs from the base by rates that are corrected for the guard's errors."""

    before: float | None
    """The corrected rate of the base; None where it was refused."""
    after: float | None
    """That of the model."""
    difference: float | None
    """After less before; None where either is missing."""
    low: float
    """Lower bound of the difference."""
    high: float
    """Upper bound."""
    labels: tuple[int, int]
    """Labels that either rate rests on."""
    refusal: str = ""
    """Why there is none, in a sentence."""

    @property
    def words(self) -> str:
        """The change in a few words."""
        if self.difference is None or self.before is None or self.after is None:
            return f"without the guard's errors: not known, for {self.refusal or 'no verdict was read'}"
        moved, low, high = (f"{100 * x:+.1f}".replace("-", "−") for x in (self.difference, self.low, self.high))
        return (
            f"without the guard's errors: {100 * self.before:.1f} % → {100 * self.after:.1f} %, {moved} points "
            f"[{low}, {high}] ({self.labels[0]:,} and {self.labels[1]:,} labels)"
        )


def by_people(base: ScoredModel, model: ScoredModel, key: str) -> ByPeople | None:
    """The change of a metric by corrected rates; None where they are not known of both models.

    The interval is that of a difference of two independent rates. Items are the same and mostly help one another, so
    that it is rather too wide.

    Args:
        base: the base.
        model: the other.
        key: of the metric in the base's run.

    Source: Newcombe 1998, method 10; Zou & Donner 2008.
    """
    own = model.key_of(base.metric(key)) if key in base.rates else None
    if own is None:
        return None
    first = base.manifest.get("corrected", {}).get(base.name, {}).get(key)
    second = model.manifest.get("corrected", {}).get(model.name, {}).get(own)
    if not first or not second:
        return None
    before, after = first["rate"], second["rate"]
    labels = (first["labels"], second["labels"])
    if before["value"] is None or after["value"] is None:
        refusal = before["refusal"] or after["refusal"]
        return ByPeople(before=before["value"], after=after["value"], difference=None, low=-1.0, high=1.0,
                        labels=labels, refusal=refusal)  # fmt: skip
    moved = after["value"] - before["value"]
    less = math.hypot(after["value"] - after["low"], before["high"] - before["value"])
    more = math.hypot(after["high"] - after["value"], before["value"] - before["low"])
    return ByPeople(before=before["value"], after=after["value"], difference=moved, labels=labels,
                    low=max(-1.0, moved - less), high=min(1.0, moved + more))  # fmt: skip
