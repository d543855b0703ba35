"""Calls of models, each made and paid for once.

In reading order: keys.py (what names a call), store.py (replies on disk, with writer.py and lock.py), segments.py
(stores of further processes, and their merging), engine.py (look up, call, store), batch.py (replies of one
`complete`), claims.py (equal calls of several threads), dispatch.py (who makes the calls of a model), rate_limit.py
(limits and retries of calls over a network).
"""
