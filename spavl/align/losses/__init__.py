"""Every loss of preference alignment as a pure function on tensors, with its source.

`pairs` (a chosen and a rejected answer: DPO and its kin, SimPO, ORPO, the reward model), `unpaired` (single answers:
KTO), `reinforcement` (PPO, RLOO). docs/methods/losses.md compares them.

The log-probability of an answer is the sum over its scored tokens unless a docstring says otherwise. A preference loss
is one number for each pair or answer: the trainer divides their sum by those of the whole step.

Left out: losses that mix pairs of a batch (AOT), and f-divergences other than the reverse KL.
"""

from spavl.align.losses.pairs import (
    LogMeans,
    LogRatios,
    bradley_terry,
    dpo_sigmoid,
    hinge,
    image_anchor,
    image_conditional,
    ipo,
    log_odds,
    orpo,
    robust,
    sft_anchor,
    simpo,
)
from spavl.align.losses.reinforcement import (
    Advantages,
    Clipped,
    gae,
    kl_k1,
    lagrangian_advantages,
    masked_mean,
    ppo_policy,
    ppo_value,
    rloo_advantages,
    whiten,
)
from spavl.align.losses.unpaired import kto, kto_baseline

__all__ = [
    "Advantages",
    "Clipped",
    "LogMeans",
    "LogRatios",
    "bradley_terry",
    "dpo_sigmoid",
    "gae",
    "hinge",
    "image_anchor",
    "image_conditional",
    "ipo",
    "kl_k1",
    "kto",
    "kto_baseline",
    "lagrangian_advantages",
    "log_odds",
    "masked_mean",
    "orpo",
    "ppo_policy",
    "ppo_value",
    "rloo_advantages",
    "robust",
    "sft_anchor",
    "simpo",
    "whiten",
]
