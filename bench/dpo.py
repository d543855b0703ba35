"""DPO of a LLaVA: spavl against TRL's DPOTrainer, side by side in one run.

python -m bench.dpo [--only cpu plain checkpointed defaults] [--json FILE]

Same weights, pictures, texts, adapter (every linear layer of the language model, rank 16), optimiser and order; no
dropout; pictures already open. Timed are whole optimiser steps after a first one, with all that is read, prepared and
collated for them. `cpu` takes two cores and twenty minutes; the others a GPU with 80 GB and ten minutes each, on random
weights of the shape of LLaVA-1.5-7B. Without `--only` all is measured that this machine can measure.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from bench.measures import Measure, run

GROUPS = ("cpu", "plain", "checkpointed", "defaults")


def main() -> None:
    """Measure the groups that `--only` names."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS)
    options, others = parser.parse_known_args()
    run(lambda: measures(options.only), others)


def measures(wanted: Sequence[str] = GROUPS) -> list[Measure]:
    """The rows of some groups.

    Args:
        wanted: some of `GROUPS`.
    """
    from bench.trl_comparison import cpu, gpu  # heavy imports, which `--help` can do without

    groups: dict[str, Callable[[], list[Measure]]] = {
        "cpu": cpu.measures,
        "plain": gpu.PLAIN.measures,
        "checkpointed": gpu.CHECKPOINTED.measures,
        "defaults": gpu.DEFAULTS.measures,
    }
    return [row for name, group in groups.items() if name in wanted for row in group()]


if __name__ == "__main__":
    main()
