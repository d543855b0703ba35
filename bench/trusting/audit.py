"""The audit against planted faults and at size: each fault named within its interval, clean sets without any.

python -m bench.trusting.audit --json FILE
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.stats import binom

from bench.measures import Measure, run
from bench.trusting import planted_pairs as planted
from spavl.pipeline.audit import Audited, AuditRequest, audit
from spavl.progress import NoProgress
from spavl.statistics.intervals import clustered_rate_of
from spavl.tables.query import query

PAIRS, SETS = 600, range(100, 120)
"""Pairs of a dataset, and the seeds of all."""
TOLD = SETS[:5]
"""Seeds of the datasets whose words tell the label."""
MANY, PICTURES = 100_000, 30_000
"""Pairs and pictures of the large dataset."""
TIMED = """
import os, resource, time
from spavl.pipeline.audit import AuditRequest, audit
from spavl.progress import NoProgress
start = time.monotonic()
audit(AuditRequest(source="many.parquet"), NoProgress())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(time.monotonic() - start, peak, sum(os.times()[:2]))
"""
"""What the process does that is timed; it prints seconds, GiB and seconds of processor."""
FAULTS = {
    "flipped_labels": (planted.flipped, 0.1, "10 % of labels flipped"),
    "longer_chosen": (planted.length_hacked, 0.9, "the longer answer chosen in 90 %"),
    "source_always_chosen": (planted.one_source, 1.0, "one source always chosen"),
    "contradictions": (planted.contradicted, 2 * 0.05 / 1.05, "1 pair in 20 beside its opposite"),
    "duplicates": (planted.copied, 0.05 / 1.05, "1 pair in 20 twice"),
    "near_identical": (planted.nearly_the_same, 0.1, "1 pair in 10 of answers that differ in a word"),
    "refusal_openings": (planted.one_opening, 0.8, "8 refusals in 10 that begin alike"),
    "duplicate_pictures": (planted.same_pictures, None, "1 picture in 5 again under another encoding"),
}
"""What is planted, by the kind of its finding: how, its share where one number says it, and in words."""
_RANKED = """
SELECT count(*) FROM (SELECT * FROM findings WHERE kind = 'likely_mislabels' ORDER BY score DESC LIMIT ?)
WHERE pair_id LIKE '%-wrong'
"""
FALSE_ALARM = 0.01
"""Chance that intervals which cover at exactly 95 % fall short of any floor for them."""
SIMULATED, LEAST_COVERED = 2_000, 0.935
"""Simulated datasets of which the same intervals are measured, and their least coverage."""


def audited(seed: int, plant: planted.Plant | None) -> Audited:
    """The audit of a dataset.

    Args:
        seed: decides the dataset.
        plant: its fault; None: clean.
    """
    planted.planted_dataset(Path("train.parquet"), PAIRS, seed, plant)
    return audit(AuditRequest(source="train.parquet"), NoProgress())


def least_covered(intervals: int, rows: int) -> int:
    """Of so many 95 % intervals those that hold the truth, but for chance.

    A 95 % interval holds it in 95 of 100 datasets, so of 20 it may well miss two: the number that does is binomial.
    The floor is where the chance to fall below it, for all rows together, is at most `FALSE_ALARM`.

    Args:
        intervals: of a row.
        rows: how many rows have such a floor.
    """
    return int(binom.ppf(FALSE_ALARM / rows, intervals, 0.95))


def faults() -> list[Measure]:
    """Planted faults that were named, and those named within their interval; clean sets with any fault."""
    found, covered, count = [], 0, len(SETS)
    rows = sum(share is not None for _, share, _ in FAULTS.values()) + 1
    for kind, (plant, share, words) in FAULTS.items():
        own = [[one for one in audited(seed, plant).faults if one.kind == kind] for seed in SETS]
        named = [one[0] for one in own if one]
        how = f"{words}; {count} datasets of {PAIRS} pairs"
        found.append(Measure(f"{kind}: named", len(named) / count, 1.0, "", "higher", how))
        if share is not None:
            within = sum(one.rate is not None and one.rate.low <= share <= one.rate.high for one in named)
            covered += within
            floor = least_covered(count, rows)
            how = f"{how}; fewer than {floor} of {count} is no chance for intervals of 95 %"
            found.append(
                Measure(f"{kind}: its share within the interval", within / count, floor / count, "", "higher", how)
            )
    every = (rows - 1) * count
    floor, how = least_covered(every, rows) / every, f"{covered} of {every} intervals"
    found.append(Measure("planted shares within their intervals, all kinds", covered / every, floor, "", "higher", how))
    raised = [one.kind for seed in SETS for one in audited(seed, None).faults]
    how = f"{count} datasets; {', '.join(raised) or 'none'} raised"
    return [*found, Measure("faults raised by clean datasets", len(raised), 0, "", "lower", how)]


def mislabelled() -> list[Measure]:
    """Of pairs with wrong labels, those that the audit ranks before all others, where words tell the label."""
    hits = wrong = named = 0
    for seed in TOLD:
        made = audited(seed, planted.telling)
        ((own,),) = query("SELECT count(*) FROM pairs WHERE pair_id LIKE '%-wrong'", pairs=Path("train.parquet"))
        ((found,),) = query(_RANKED, [own], findings=made.folder / "findings.parquet")
        hits, wrong, named = hits + found, wrong + own, named + made.suspects.get("likely_mislabels", 0)
    how = (
        f"5 % of labels wrong, words that tell the label; {len(TOLD)} datasets of {PAIRS} pairs; {wrong} planted,"
        f" {named} named"
    )
    return [Measure("wrong labels among as many that are ranked first", round(hits / wrong, 3), 0.8, "", "higher", how)]


def simulated() -> list[Measure]:
    """Coverage of the very intervals in many datasets of counts alone: three pairs of every picture."""
    random, held = np.random.default_rng(2_000), dict.fromkeys(("flipped_labels", "contradictions", "duplicates"), 0)
    for _ in range(SIMULATED):
        counted, flipped = random.random((2, PAIRS // 3, 3)) < [[[0.375]], [[0.1]]]
        twice = (random.random((PAIRS // 3, 3)) < 0.05).sum(axis=1)
        cells = {"flipped_labels": (counted.sum(axis=1), (counted & flipped).sum(axis=1)),
                 "contradictions": (3 + twice, 2 * twice), "duplicates": (3 + twice, twice)}  # fmt: skip
        for kind, (sizes, hits) in cells.items():
            counts = Counter((int(n), int(k)) for n, k in zip(sizes, hits, strict=True) if n)
            rate = clustered_rate_of([(n, k, 0, times) for (n, k), times in counts.items()])
            held[kind] += rate.low <= FAULTS[kind][1] <= rate.high
    how = f"{SIMULATED:,} simulated datasets of {PAIRS} pairs about {PAIRS // 3} pictures"
    return [Measure(f"{kind}: coverage of its 95 % interval", count / SIMULATED, LEAST_COVERED, "", "higher", how)
            for kind, count in held.items()]  # fmt: skip


def at_size() -> list[Measure]:
    """Minutes and memory of the audit of a large dataset, in a process of its own."""
    planted.planted_dataset(Path("many.parquet"), MANY, 7, pictures=PICTURES)
    done = subprocess.run([sys.executable, "-c", TIMED], check=True, capture_output=True, text=True)
    seconds, peak, cpu = map(float, done.stdout.split())
    how = f"{MANY:,} pairs, {PICTURES:,} pictures of {planted.SIDE} pixels a side, converted and hashed too"
    return [
        Measure("audit of 100,000 pairs", seconds / 60, 5, "min", "lower", f"{how}; {cpu / 60:.1f} min of processor"),
        Measure("audit of 100,000 pairs: memory", peak, 3, "GiB", "lower", how),
    ]


def measures() -> list[Measure]:
    """All rows."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return [*simulated(), *at_size(), *faults(), *mislabelled()]
        finally:
            os.chdir(before)


if __name__ == "__main__":
    run(measures)
