"""DPO of a LLaVA: spavl against TRL's DPOTrainer, side by side in one run, on a CPU; `bench.gpu` is for a GPU.

python -m bench.dpo [--json FILE]

Same weights, pictures, texts, adapter (every linear layer of the language model, rank 16), optimiser and order; no
dropout; pictures already open. Timed are whole optimiser steps after a first one, with all that is read, prepared and
collated for them. It takes two cores and twenty minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.measures import Measure, run


def measures() -> Sequence[Measure]:
    """Every row for a CPU."""
    from bench.trl_comparison import cpu  # heavy imports, which `--help` can do without

    return cpu.measures()


if __name__ == "__main__":
    run(measures)
