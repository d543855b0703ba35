"""DPO of a LLaVA: spavl against TRL's DPOTrainer, side by side in one run, on a CPU; `bench.gpu` is for a GPU.

python -m bench.dpo [--only small smollm2 losses] [--rehearse] [--fresh] [--json FILE]

Same weights, pictures, texts, adapter (every linear layer of the language model, rank 16), optimiser and order; no
dropout; pictures already open. Timed are whole optimiser steps after a first one, with all that is read, prepared and
collated for them. `small` and `losses` take two quiet cores and twenty minutes, `smollm2` as long and 16 GB. The file
is written after every round, and what it held before stays where nothing new was measured. Of a speed-up it keeps the
value of every whole run, and the row's value is their median; `--fresh` forgets them, for when the code has changed.
`--rehearse` runs the speed-ups on a tiny model; its numbers mean nothing, and go to a new file only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.measures import Measure, table
from bench.trl_comparison.experiments import Experiment, Results, check_rehearsal, measure_one

COMMAND = "python -m bench.dpo --json bench/results/dpo-cpu.json"
"""Measures everything."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; the exit status is 1 where a measured floor does not hold or a row broke, else 0.

    Args:
        arguments: of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="small, smollm2, losses; all unless named")
    parser.add_argument("--rehearse", action="store_true", help="a tiny model")
    parser.add_argument("--fresh", action="store_true", help="forget what the file holds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measures there, after every round")
    options = parser.parse_args(arguments)
    check_rehearsal(parser, options)
    known = experiments(rehearse=options.rehearse)
    unknown = sorted(set(options.only or ()) - set(known))
    if unknown:
        parser.error(f"there is no experiment {unknown[0]}; there is {', '.join(known)}")
    wanted = {name: known[name] for name in options.only or known}
    results = Results(wanted, options.json, how=f"not measured yet: {COMMAND}", fresh=options.fresh or options.rehearse)
    broken = [name for name, one in wanted.items() if not measure_one(name, one, results)]
    print(table(results.rows()))
    return int(bool(broken) or (any(row["holds"] is False for row in results.rows()) and not options.rehearse))


def experiments(*, rehearse: bool) -> dict[str, Experiment]:
    """All experiments by name.

    Args:
        rehearse: speed-ups on a tiny model, and no losses.
    """
    from bench.trl_comparison import cpu  # heavy imports, which `--help` can do without

    small, *real = (race.rehearsed() if rehearse else race for race in (cpu.SMALL_RACE, *cpu.SMOLLM2_RACES))

    def small_rows() -> Iterator[Sequence[Measure]]:
        yield cpu.flop_ratios()
        for rows in small.measures():
            yield [*rows, *cpu.flop_ratios()]

    def real_rows() -> Iterator[Sequence[Measure]]:
        for race in real:
            yield from race.measures()

    def losses() -> Iterator[Sequence[Measure]]:
        yield cpu.loss_curve()

    races = {
        "small": Experiment(900, lambda: [*small.planned(), *cpu.flop_ratios()], small_rows),
        "smollm2": Experiment(1200, lambda: [row for race in real for row in race.planned()], real_rows),
    }
    return races if rehearse else {**races, "losses": Experiment(240, cpu.planned_curve, losses)}


if __name__ == "__main__":
    sys.exit(main())
