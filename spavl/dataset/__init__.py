"""Make the preference dataset: collect → ask → respond → grade → match → judge → pair → export.

A stage is one plain function: a batch of records in, a list of records out, and what else it needs by name.
"""
