"""Confidence intervals of rates, exact paired tests, imperfect judges, limits, and agreement of judges.

`intervals` (Wilson, clustered, bootstrap), `clusters` (effective sizes), `estimate` (any metric), `paired` (McNemar,
Tango), `noninferior` (skills kept), `multiple` (Holm), `power` (what can be found), `judge_error` (Rogan–Gladen,
prediction-powered), `by_verdict` (labels of each verdict apart), `gate` (limits), `sequential` (looking repeatedly),
`attempts` (any of k), `agreement` (swap, kappa), `reliability` (kappa and alpha with intervals), `tendency` (leanings).
Of studies: `over_seeds` (rates over seeds and items), `scaling` (laws, knees), `transfer` (gaps, drift).
Which is used where: docs/methods/statistics.md and studies.md.

An outcome is True, False or None; None is a verdict that could not be read. It is never taken as False: every interval
and every p-value holds *whatever* the unread verdicts would have been. A judge that fails can therefore make an
interval wider, and never a model better.
"""

from spavl.statistics.agreement import Agreement, cohen_kappa, swap_agreement
from spavl.statistics.attempts import SampleVariance, any_of, sample_variance
from spavl.statistics.clusters import TooFewClusters, effective_size
from spavl.statistics.estimate import estimate
from spavl.statistics.gate import GateResult, passes_below
from spavl.statistics.intervals import Rate, cluster_bootstrap, clustered_rate, rate, rule_of_three, wilson
from spavl.statistics.judge_error import Calibration, Corrected, prediction_powered, rogan_gladen
from spavl.statistics.multiple import holm
from spavl.statistics.noninferior import NonInferiority, noninferior
from spavl.statistics.over_seeds import Pooled, PooledDifference, pooled, pooled_difference
from spavl.statistics.paired import (
    PairedComparison,
    compare_paired,
    mcnemar_exact,
    noninferiority,
    sign_flip_exact,
    tango,
)
from spavl.statistics.power import detectable_difference, detectable_mean_difference, half_width
from spavl.statistics.scaling import ScalingFit, fit_scaling
from spavl.statistics.sequential import confidence_sequence, decided
from spavl.statistics.transfer import Drift, Gap, LeaveOneOut, drift, gap, leave_one_out

__all__ = [
    "Agreement",
    "Calibration",
    "Corrected",
    "Drift",
    "Gap",
    "GateResult",
    "LeaveOneOut",
    "NonInferiority",
    "PairedComparison",
    "Pooled",
    "PooledDifference",
    "Rate",
    "SampleVariance",
    "ScalingFit",
    "TooFewClusters",
    "any_of",
    "cluster_bootstrap",
    "clustered_rate",
    "cohen_kappa",
    "compare_paired",
    "confidence_sequence",
    "decided",
    "detectable_difference",
    "detectable_mean_difference",
    "drift",
    "effective_size",
    "estimate",
    "fit_scaling",
    "gap",
    "half_width",
    "holm",
    "leave_one_out",
    "mcnemar_exact",
    "noninferior",
    "noninferiority",
    "passes_below",
    "pooled",
    "pooled_difference",
    "prediction_powered",
    "rate",
    "rogan_gladen",
    "rule_of_three",
    "sample_variance",
    "sign_flip_exact",
    "swap_agreement",
    "tango",
    "wilson",
]
