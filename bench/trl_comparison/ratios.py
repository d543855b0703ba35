"""Rows of the table from the timings of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from bench.measures import Measure
from bench.trl_comparison.comparison import median_timing
from bench.trl_comparison.run_spec import Timing

TRL = f"TRL {version('trl')}"


def speed_up(
    name: str,
    trl: Sequence[Timing],
    spavl: Sequence[Timing],
    floor: float | None,
    how: str,
    *,
    cache_uses: float = float("inf"),
) -> Measure:
    """How many times faster spavl is than TRL, by medians.

    Args:
        name: of the row.
        trl: TRL's runs.
        spavl: spavl's runs.
        floor: least speed-up; None: no limit.
        how: what the runs were like.
        cache_uses: runs or epochs that share the building of the reference cache; infinite: building is not counted.
    """
    trl_median, spavl_median = median_timing(trl), median_timing(spavl)
    value = trl_median.seconds / (spavl_median.seconds + spavl_median.cache_seconds / cache_uses)
    built = f"; building the cache {spavl_median.cache_seconds:.3g} s a pair" if spavl_median.cache_seconds else ""
    ratio = trl_median.processor_seconds / spavl_median.processor_seconds
    processor = f"; by processor time {ratio:.1f}×" if not spavl_median.peak_gib else ""
    details = f"seconds a pair: TRL {_seconds(trl)}, spavl {_seconds(spavl)}{built}{processor}; {how}"
    return Measure(name, value, floor, "×", "higher", details)


def _seconds(timings: Sequence[Timing]) -> str:
    """The median, and all runs in order."""
    runs = ", ".join(f"{timing.seconds:.3g}" for timing in timings)
    return f"{median_timing(timings).seconds:.3g} (runs: {runs})"
