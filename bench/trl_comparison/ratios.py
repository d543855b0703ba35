"""From laps to rows."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from bench.measures import Measure
from bench.trl_comparison.comparison import middle
from bench.trl_comparison.protocol import Lap

TRL = f"TRL {version('trl')}"


def gain(
    name: str, trl: Sequence[Lap], our: Sequence[Lap], floor: float | None, how: str, *, uses: float = float("inf")
) -> Measure:
    """How many times faster our side is, by the medians. `uses`: runs or epochs that share the building of a cache."""
    theirs, ours = middle(trl), middle(our)
    value = theirs.seconds / (ours.seconds + ours.cache / uses)
    built = f"; building the cache {ours.cache:.3g} s a pair" if ours.cache else ""
    worked = f"; by processor time {theirs.worked / ours.worked:.1f}×" if not ours.peak else ""
    told = f"seconds a pair: TRL {_seconds(trl)}, spavl {_seconds(our)}{built}{worked}; {how}"
    return Measure(name, value, floor, "×", "higher", told)


def _seconds(laps: Sequence[Lap]) -> str:
    """The median, and the laps in order."""
    return f"{middle(laps).seconds:.3g} (runs: {', '.join(f'{lap.seconds:.3g}' for lap in laps)})"
