"""From timings to rows of the table."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from bench.measures import Measure
from bench.trl_comparison.comparison import middle
from bench.trl_comparison.run_spec import Timing

TRL = f"TRL {version('trl')}"


def speed_up(
    name: str,
    trl: Sequence[Timing],
    our: Sequence[Timing],
    floor: float | None,
    how: str,
    *,
    uses: float = float("inf"),
) -> Measure:
    """How many times faster our side is, by the medians. `uses`: runs or epochs that share the cache."""
    trl_middle, our_middle = middle(trl), middle(our)
    value = trl_middle.seconds / (our_middle.seconds + our_middle.cache / uses)
    built = f"; building the cache {our_middle.cache:.3g} s a pair" if our_middle.cache else ""
    worked = f"; by processor time {trl_middle.worked / our_middle.worked:.1f}×" if not our_middle.peak else ""
    detail = f"seconds a pair: TRL {_seconds(trl)}, spavl {_seconds(our)}{built}{worked}; {how}"
    return Measure(name, value, floor, "×", "higher", detail)


def _seconds(timings: Sequence[Timing]) -> str:
    """The median, and all runs in order."""
    return f"{middle(timings).seconds:.3g} (runs: {', '.join(f'{timing.seconds:.3g}' for timing in timings)})"
