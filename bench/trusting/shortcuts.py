"""What length and source alone tell of the demo's pairs, within harmful and harmless ones, and what was left out.

    make demo
    python -m bench.trusting.shortcuts --json FILE

The demo chooses its matches (`build.match.policy: even`) and its pairs (`build.balance`) so that neither tells much.
Measured are all of its pairs, those of held-out subcategories too. Another run folder than `runs/demo` is named by
`SPAVL_DEMO`, and by `SPAVL_DEMO_BEFORE` one whose pairs were not balanced, for comparison.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from bench.measures import Measure, run
from spavl.audit.source_outcome import Tells, what_tells
from spavl.preferences.dataset import open_dataset

DEMO = Path(os.environ.get("SPAVL_DEMO", "runs/demo"))
BEFORE = os.environ.get("SPAVL_DEMO_BEFORE")
MOST = 0.65
CROSS = "cross-validated over five folds of pictures"


def told(folder: Path) -> list[Tells]:
    """What length and source tell of a run's exported pairs.

    Args:
        folder: of the run.
    """
    with tempfile.TemporaryDirectory() as cache:
        return what_tells(open_dataset(folder / "dataset" / "data", cache=Path(cache)).rows)


def measures() -> list[Measure]:
    """The AUCs of the demo's pairs, and the share that balance left out."""
    if not (DEMO / "dataset").is_dir():
        return [Measure("the demo's pairs: source alone, length alone", None, MOST, "AUC", "lower",
                        f"{DEMO} is not there: run `make demo` first")]  # fmt: skip
    before = {one.group: one for one in told(Path(BEFORE))} if BEFORE else {}
    manifest: dict[str, Any] = json.loads((DEMO / "run.json").read_text("utf-8"))
    made = [one for tells in told(DEMO) for one in _of_group(tells, before.get(tells.group))]
    return [*made, *_left_out(manifest)]


def _of_group(tells: Tells, before: Tells | None) -> list[Measure]:
    known = [("source", tells.source, before.source if before else None),
             ("length", tells.length, before.length if before else None)]  # fmt: skip
    found = [
        Measure(f"the demo's {tells.group} pairs: {what} alone", _round(value), MOST, "AUC", "lower",
                f"{CROSS}; {tells.pairs:,} pairs{_without(earlier)}")
        for what, value, earlier in known
    ]  # fmt: skip
    earlier = _without(before.unsafe_rate if before else None)
    explained = (
        f"{CROSS}; the source's unsafe rate and nothing else of it: {_round(tells.unsafe_rate)}; the source in "
        f"{tells.alike:,} pairs of equal outcomes: {_round(tells.source_alike)}{earlier}"
    )
    bands = (
        f"each band of four characters better or worse by itself; no limit: in the demo's language an answer's length "
        f"names its template, and a template refuses or complies{_without(before.length_bands if before else None)}"
    )
    return [
        *found,
        Measure(f"the demo's {tells.group} pairs: unsafe rate of the source alone", _round(tells.unsafe_rate), None,
                "AUC", "lower", explained),
        Measure(f"the demo's {tells.group} pairs: bands of length", _round(tells.length_bands), None, "AUC", "lower",
                bands),
    ]  # fmt: skip


def _left_out(manifest: dict[str, Any]) -> list[Measure]:
    counts = manifest["counts"].get("balance")
    if not counts:
        return [Measure("the demo's pairs left out for balance", None, None, "%", "lower", "nothing was balanced")]
    lost, whole = sum(n for what, n in counts.items() if what != "kept"), sum(counts.values())
    how = f"{lost:,} of {whole:,} pairs; `build.balance` of the demo's settings"
    return [Measure("the demo's pairs left out for balance", round(100 * lost / whole, 1), None, "%", "lower", how)]


def _without(value: float | None) -> str:
    return "" if value is None else f"; {value:.3f} without balance"


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


if __name__ == "__main__":
    run(measures)
