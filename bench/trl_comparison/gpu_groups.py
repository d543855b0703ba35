"""The series of the GPU rows: what either side's configuration is, and what is asked of their speeds."""

from __future__ import annotations

import torch

from bench.trl_comparison.gpu import EPOCHS, Group, Row

PLAIN = Group(
    rows=(
        Row("no checkpointing, cached reference", 4.2, "cached"),
        Row("no checkpointing, live reference", 2.8, "live"),
        Row("β sweep of 5, cache building counted", 3.8, "cached", cache_uses=5, how="five runs of either"),
    ),
    rounds=3,
    rates="no checkpointing",
)
PAIRS = Group(
    rows=(
        Row("pair-only data, cached reference", 2.2, "cached", questions=1),
        Row("pair-only data, live reference", 1.5, "live", questions=1),
    ),
    rounds=1,
)
CHECKPOINTED = Group(
    rows=(
        Row("both checkpointing, cached reference", 3.6, "cached"),
        Row("both checkpointing, live reference", 2.8, "live"),
    ),
    rounds=1,
    trl={"checkpointing": True},
    spavl={"checkpointing": True},
)
DEFAULTS = Group(
    rows=(
        Row(
            f"each at its defaults, {EPOCHS} epochs, cache building counted",
            5.0,
            "cached",
            cache_uses=EPOCHS,
            how=f"TRL: weights float32 under bfloat16 arithmetic, checkpointing; spavl: bfloat16, none; {EPOCHS} "
            "epochs are TRL's default, and of more than one spavl keeps the reference",
        ),
        Row("each at its defaults, one epoch, live reference", None, "live", how="as the row above, one epoch"),
    ),
    rounds=1,
    trl={"checkpointing": True, "weight_dtype": torch.float32},
)
