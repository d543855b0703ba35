"""The audit against planted faults and at size: each fault named within its interval, clean sets without any.

python -m bench.trusting.audit --json FILE
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measures import Measure, run
from bench.trusting import planted_pairs as planted
from spavl.pipeline.audit import Audited, AuditRequest, audit
from spavl.progress import NoProgress

PAIRS, SETS = 600, range(100, 120)
"""Pairs of a dataset, and the seeds of all."""
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
    "duplicate_pictures": (planted.same_pictures, None, "1 picture in 5 again under another encoding"),
}
"""What is planted, by the kind of its finding: how, its share where one number says it, and in words."""


def audited(seed: int, plant: planted.Plant | None) -> Audited:
    """The audit of a dataset.

    Args:
        seed: decides the dataset.
        plant: its fault; None: clean.
    """
    planted.planted_dataset(Path("train.parquet"), PAIRS, seed, plant)
    return audit(AuditRequest(source="train.parquet"), NoProgress())


def faults() -> list[Measure]:
    """Planted faults that were named, and those named within their interval; clean sets with any fault."""
    found = []
    for kind, (plant, share, words) in FAULTS.items():
        own = [[one for one in audited(seed, plant).faults if one.kind == kind] for seed in SETS]
        named = [one[0] for one in own if one]
        how = f"{words}; {len(SETS)} datasets of {PAIRS} pairs"
        found.append(Measure(f"{kind}: named", len(named) / len(SETS), 1.0, "", "higher", how))
        if share is not None:
            within = sum(one.rate is not None and one.rate.low <= share <= one.rate.high for one in named)
            found.append(Measure(f"{kind}: its share within the interval", within / len(SETS), 0.85, "", "higher", how))
    clean = [audited(seed, None) for seed in SETS]
    raised = sum(bool(one.faults) for one in clean)
    return [*found, Measure("clean datasets with a fault", raised, 0, "", "lower", f"{len(SETS)} datasets")]


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
            return [*at_size(), *faults()]
        finally:
            os.chdir(before)


if __name__ == "__main__":
    run(measures)
