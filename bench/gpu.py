"""DPO of a LLaVA on an NVIDIA GPU: spavl against TRL, from the most important number down, in the minutes there are.

python -m bench.gpu [--minutes 7] [--only NAME …] [--sizes TRL SPAVL] [--rehearse] [--json FILE]

Random bfloat16 weights of the shape of LLaVA-1.5-7B; nothing is downloaded. It takes a GPU with 80 GB, this repository,
and `pip install -e '.[align]' trl` with a torch that has CUDA. The file is written after every row, so that a run that
is stopped keeps what it measured, and what it held before stays where nothing new was measured; every row names its
card. What no longer fits into the minutes, or breaks, is a row that says so, and its traceback is printed. `--rehearse`
runs all of it on a tiny model, without a GPU too; its numbers mean nothing, and go to a new file only. `--sizes` gives
the pairs of a forward pass of either side, which are searched for otherwise. `--only` names some, in the order in which
they are measured: machine, trees, attention, plain, memory, losses, cudnn, profile, checkpointed, defaults, pairs,
widths.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.measures import table
from bench.trl_comparison.experiments import Experiment, Results, check_rehearsal, measure_one

MINUTES = 7.0
"""For all rows, unless told otherwise."""
COMMAND = "python -m bench.gpu --json bench/results/gpu.json"
"""Measures everything where there is a GPU."""


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
    check_rehearsal(parser, options)
    if options.sizes and min(options.sizes) < 1:
        parser.error("--sizes are pairs of a forward pass: 1 or more")
    ends = time.monotonic() + 60 * options.minutes
    known = experiments()
    unknown = sorted(set(options.only or ()) - set(known))
    if unknown:
        parser.error(f"there is no experiment {unknown[0]}; there is {', '.join(known)}")
    wanted = {name: known[name] for name in options.only or known}
    how = f"needs an NVIDIA GPU with 80 GB: {COMMAND}"
    results = Results(wanted, options.json, how=how, fresh=options.rehearse)
    broken = _measure(wanted, results, ends, rehearse=options.rehearse, sizes=options.sizes)
    print(table(results.rows()))
    return int(broken or (any(row["holds"] is False for row in results.rows()) and not options.rehearse))


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
        broken |= not measure_one(name, one, results, setup, deadline)
        print(f"· {name}: {left - deadline.left():.0f} s, {deadline.left():.0f} s left", file=sys.stderr, flush=True)
    return broken


if __name__ == "__main__":
    sys.exit(main())
