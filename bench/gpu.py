"""DPO of a LLaVA on an NVIDIA GPU: spavl against TRL, from the most important number down, in the minutes there are.

python -m bench.gpu [--minutes 7] [--only NAME …] [--sizes TRL SPAVL] [--rehearse] [--json FILE]

Random bfloat16 weights of the shape of LLaVA-1.5-7B; nothing is downloaded. It takes a GPU with 80 GB, this repository,
and `pip install -e '.[align]' trl` with a torch that has CUDA. The file is written after every row, so that a run that
is stopped keeps what it measured, and what it held before stays where nothing new was measured; every row names its
card. What no longer fits into the minutes, or breaks, is a row that says so, and its traceback is printed. `--rehearse`
runs all of it on a tiny model, without a GPU too; its numbers mean nothing. `--sizes` gives the pairs of a forward pass
of either side, which are searched for otherwise. `--only` names some, in the order in which they are measured: machine,
trees, attention, plain, memory, losses, cudnn, profile, checkpointed, defaults, pairs, widths.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.measures import Measure, table, write

MINUTES = 7.0
"""For all rows, unless told otherwise."""
COMMAND = "python -m bench.gpu --json bench/results/gpu.json"
"""Measures everything where there is a GPU."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """Rows that are measured together."""

    seconds: float
    """What it takes at least on an H100: it is not begun with less left."""
    planned: Callable[[], Sequence[Measure]]
    """Its rows without values."""
    measures: Callable[[Any, Any], Iterator[Sequence[Measure]]]
    """Measures on a setup before a deadline; whatever it yields replaces what it yielded before."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; the exit status is 1 where a measured floor does not hold or a row broke, else 0.

    Args:
        arguments: of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all rows together")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="which experiments; all unless named")
    parser.add_argument("--sizes", nargs=2, type=int, metavar=("TRL", "SPAVL"), help="pairs of a forward pass")
    parser.add_argument("--rehearse", action="store_true", help="a tiny model, on whatever there is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measures there, after every row")
    options = parser.parse_args(arguments)
    ends = time.monotonic() + 60 * options.minutes
    known = experiments()
    unknown = sorted(set(options.only or ()) - set(known))
    if unknown:
        parser.error(f"there is no experiment {unknown[0]}; there is {', '.join(known)}")
    wanted = {name: known[name] for name in options.only or known}
    results = Results(wanted, options.json, fresh=options.rehearse)
    broken = _measure(wanted, results, ends, rehearse=options.rehearse, sizes=options.sizes)
    print(table(results.rows()))
    return int(broken or (any(row["holds"] is False for row in results.rows()) and not options.rehearse))


class Results:
    """The rows so far, written at every change to a file, whose own rows stay where there is no new value.

    Args:
        wanted: the experiments by name.
        path: the file; None: none is written.
        fresh: forget what the file holds.
    """

    def __init__(self, wanted: Mapping[str, Experiment], path: Path | None, *, fresh: bool = False) -> None:
        self._path = path
        self._earlier = _rows_of(path) if path and path.exists() and not fresh else {}
        how = f"needs an NVIDIA GPU with 80 GB: {COMMAND}"
        self._found = {name: [row.replace(how=how) for row in one.planned()] for name, one in wanted.items()}
        self._save()

    def found(self, name: str, rows: Sequence[Measure]) -> None:
        """Keep measured rows in place of what was there.

        Args:
            name: of the experiment.
            rows: all that it measured; rows that it had planned and not measured stay as they are.
        """
        names, card = {row.name for row in rows}, _card()
        marked = [row.replace(how=f"{row.how}{card}") for row in rows]
        self._found[name] = [*marked, *(row for row in self._found[name] if row.name not in names)]
        self._save()

    def missing(self, name: str, why: str) -> None:
        """Say why rows of an experiment have no value.

        Args:
            name: of the experiment.
            why: a clause.
        """
        self._found[name] = [row.replace(how=why) if row.value is None else row for row in self._found[name]]
        self._save()

    def rows(self) -> list[dict[str, Any]]:
        """All rows, as `Measure.row` gives them."""
        return [row.row() for rows in self._found.values() for row in rows]

    def _save(self) -> None:
        if self._path:
            merged = dict(self._earlier)
            for row in self.rows():
                if row["value"] is not None or merged.get(row["name"], row)["value"] is None:
                    merged[row["name"]] = row
            write(self._path, list(merged.values()))


def _rows_of(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of a file by name."""
    return {row["name"]: row for row in json.loads(path.read_text("utf-8"))["measures"]}


def _card() -> str:
    """What a measured row says of the GPU."""
    import torch

    return f"; {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""


def experiments() -> dict[str, Experiment]:
    """All experiments by name, the most important first."""
    from bench.trl_comparison import attention, correctness, curves, gpu, profile, widths  # heavy imports
    from bench.trl_comparison.gpu_groups import CHECKPOINTED, DEFAULTS, PAIRS, PLAIN

    return {
        "machine": Experiment(10, correctness.planned_machine, correctness.machine),
        "trees": Experiment(15, correctness.planned_trees, correctness.trees),
        "attention": Experiment(10, attention.planned_measures, attention.measures),
        "plain": Experiment(35, PLAIN.planned, PLAIN.measures),
        "memory": Experiment(30, gpu.planned_memory, gpu.peak_memory),
        "losses": Experiment(25, curves.planned_measures, curves.measures),
        "cudnn": Experiment(35, gpu.NO_CUDNN.planned, gpu.without_cudnn),
        "profile": Experiment(15, profile.planned_measures, profile.measures),
        "checkpointed": Experiment(45, CHECKPOINTED.planned, CHECKPOINTED.measures),
        "defaults": Experiment(50, DEFAULTS.planned, DEFAULTS.measures),
        "pairs": Experiment(35, PAIRS.planned, PAIRS.measures),
        "widths": Experiment(20, widths.planned_measures, widths.measures),
    }


def _measure(
    wanted: Mapping[str, Experiment],
    results: Results,
    ends: float,
    *,
    rehearse: bool,
    sizes: Sequence[int] | None = None,
) -> bool:
    """Measure one experiment after another; whether one of them broke."""
    import torch

    from bench.trl_comparison import setups

    if not rehearse and not torch.cuda.is_available():
        return False
    setup = setups.of_a_rehearsal() if rehearse else setups.of_a_gpu()
    if sizes:
        setup = replace(setup, trl_sizes=(sizes[0],), spavl_sizes=(sizes[1],))
    deadline, broken = setups.Deadline(ends), False
    for name, one in wanted.items():
        left = deadline.left()
        if left < one.seconds and not rehearse:
            results.missing(name, f"takes {one.seconds:.0f} s, of which {left:.0f} were left: {COMMAND} --only {name}")
            continue
        broken |= not _experiment(name, one, results, setup, deadline)
        print(f"· {name}: {left - deadline.left():.0f} s, {deadline.left():.0f} s left", file=sys.stderr, flush=True)
    return broken


def _experiment(name: str, one: Experiment, results: Results, setup: Any, deadline: Any) -> bool:
    """Whether an experiment came to its end; one that breaks is told of, and the others go on."""
    try:
        for rows in one.measures(setup, deadline):
            results.found(name, rows)
    except Exception as error:
        traceback.print_exc()
        results.missing(name, f"broke: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
