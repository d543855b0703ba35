"""Everything before the first optimiser step: checks on the real rows, an estimate of the cost, the reference cache.

In reading order: `prepare.py` opens the model and calls the others, `checks.py` measures what may come out wrong
without an error, `estimate.py` counts tokens, memory and hours, `reference_cache.py` keeps log-probabilities of the
reference.
"""
