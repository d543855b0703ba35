"""Calls of models, each made and paid for once.

In reading order: keys.py (what names a call), store.py (replies on disk, with writer.py and lock.py), engine.py (makes
the calls), rate_limit.py (concurrency and retries of calls over a network).
"""
