"""The database of a review: how long the next item and a label take, and what a killed process loses.

python -m bench.trusting.label_store --json FILE
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.measures import Measure, run
from spavl.labels.record import Answer, Item, Label
from spavl.labels.store import LabelStore

QUEUE = 10_000
"""Items of the review."""
STEPS = 500
"""Labels of each of two annotators in turn, that are timed at the beginning, and again near the end."""
DONE = 8_500
"""Items that one of them has labelled before the second time."""
KILLS = 12
"""Processes that are killed while they label."""
CONFIRMED = 25
"""Labels that each has confirmed when it is killed."""
WORDS = "x" * 1500
"""An answer's text."""
LABELLING = """
import sys
from pathlib import Path
from spavl.labels.record import Label
from spavl.labels.store import LabelStore
with LabelStore(Path(sys.argv[1])) as store:
    while item := store.next_item("anna"):
        label = Label(item_id=item.item_id, annotator="anna", preference="tie")
        store.add(label, key=item.item_id)
        store.add(label, key=item.item_id)
        print(item.item_id, flush=True)
"""
"""Labels all items, sends each label twice, as a page does that is loaded again, and says what is confirmed."""


def items(count: int) -> Iterator[Item]:
    """Pairs about nothing.

    Args:
        count: how many.
    """
    answers = (Answer(text=WORDS), Answer(text=WORDS))
    for number in range(count):
        about = {"class1": f"subject {number % 6}"}
        yield Item(item_id=f"pair-{number}", kind="pair", stratum="", question=f"request {number}", answers=answers,
                   about=about)  # fmt: skip


def timed(store: LabelStore, steps: int) -> tuple[list[float], list[float]]:
    """Milliseconds of every call for the next item, and of every label, of two annotators in turn.

    Args:
        store: the review.
        steps: labels of each.
    """
    shown, written = [], []
    for name in ("anna", "bo") * steps:
        start = time.perf_counter()
        item = store.next_item(name)
        shown.append(1000 * (time.perf_counter() - start))
        if item is None:
            raise ValueError("the queue is too short for so many steps")
        label = Label(item_id=item.item_id, annotator=name, preference="first", seconds=9.0)
        start = time.perf_counter()
        store.add(label, key=item.item_id)
        written.append(1000 * (time.perf_counter() - start))
    return shown, written


def killed(path: Path) -> tuple[int, int]:
    """Labels that were confirmed and are lost, and items that are there twice, after all kills.

    Args:
        path: of a review that has not been labelled.
    """
    confirmed: list[str] = []
    for _ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", LABELLING, str(path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None, "it is a pipe"
            for number, line in enumerate(process.stdout):
                confirmed.append(line.strip())
                if number == CONFIRMED:
                    process.send_signal(signal.SIGKILL)
    with LabelStore(path) as store:
        kept = Counter(one.item_id for one in store.labels())
    return len(set(confirmed) - set(kept)), sum(count > 1 for count in kept.values())


def measures(queue: int = QUEUE, steps: int = STEPS, done: int = DONE) -> list[Measure]:
    """Times and losses.

    Args:
        queue: items of the review.
        steps: labels of each annotator that are timed at once.
        done: items that one annotator has labelled before the second time.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder)
        with LabelStore.create(path / "fast.sqlite", items(queue), made_from="", settings={}) as store:
            first = timed(store, steps)
            left = (f"pair-{number}" for number in range(done))
            store.add_all(Label(item_id=one, annotator="anna", preference="tie") for one in left)
            second = timed(store, min(steps, (queue - done) // 4))
        shown, written = (np.array(one + other) for one, other in zip(first, second, strict=True))
        LabelStore.create(path / "killed.sqlite", items(1000), made_from="", settings={}).close()
        lost, twice = killed(path / "killed.sqlite")
    how = f"{len(shown):,} labels of two annotators in turn, at the beginning of {queue:,} items and after {done:,}"
    kills = f"{KILLS} processes killed while they label, every label sent twice"
    return [
        Measure("next item", float(np.percentile(shown, 95)), 1.0, "ms", "lower", f"95th percentile; {how}"),
        Measure("label on the disk", float(np.percentile(written, 95)), 100.0, "ms", "lower",
                f"95th percentile, with the wait for the disk; {how}"),
        Measure("next item and label", float(np.percentile(shown + written, 95)), 100.0, "ms", "lower",
                f"95th percentile of both together; {how}"),
        Measure("labels lost", float(lost), 0.0, "", "lower", f"confirmed before a kill and not there after; {kills}"),
        Measure("labels duplicated", float(twice), 0.0, "", "lower", f"items with two rows; {kills}"),
    ]  # fmt: skip


if __name__ == "__main__":
    run(measures)
