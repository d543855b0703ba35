"""Confidence intervals of rates, exact paired tests, and agreement of judges.

`intervals` (Wilson, clustered, bootstrap), `paired` (McNemar, Tango, non-inferiority), `agreement` (swap, kappa). An
outcome is True, False or None; None is a verdict that could not be read. It is never taken as False: every interval and
every p-value holds *whatever* the unread verdicts would have been. A judge that fails can therefore make an interval
wider, and never a model better.
"""

from spavl.statistics.agreement import Agreement, cohen_kappa, swap_agreement
from spavl.statistics.intervals import Rate, cluster_bootstrap, clustered_rate, effective_size, rate, wilson
from spavl.statistics.paired import (
    PairedComparison,
    compare_paired,
    mcnemar_exact,
    noninferiority,
    sign_flip_exact,
    tango,
)

__all__ = [
    "Agreement",
    "PairedComparison",
    "Rate",
    "cluster_bootstrap",
    "clustered_rate",
    "cohen_kappa",
    "compare_paired",
    "effective_size",
    "mcnemar_exact",
    "noninferiority",
    "rate",
    "sign_flip_exact",
    "swap_agreement",
    "tango",
    "wilson",
]
