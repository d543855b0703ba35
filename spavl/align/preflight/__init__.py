"""Everything before the first optimiser step: checks on the real rows, an estimate of the cost, what is kept.

In reading order: `prepare.py` opens the model and calls the others, `device.py` finds where it trains,
`usable_pairs.py` leaves out what cannot be trained on, `checks.py` measures what may come out wrong without an error,
and `probes.py` keeps what it measured; `estimate.py` counts tokens, memory and hours, `reference_cache.py` keeps
log-probabilities of the reference, `features.py` what a frozen vision tower gives.
"""
