"""Everything before the first optimiser step: checks on the real rows, an estimate of the cost, the reference cache.

In reading order: `prepare.py` opens the model and calls the others, `usable_pairs.py` leaves out what
cannot be trained on, `checks.py` measures what may come out wrong
without an error, `estimate.py` counts tokens, memory and hours, `reference_cache.py` keeps log-probabilities of the
reference.
"""
