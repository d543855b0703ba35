"""The stages that make a preference dataset: collect → ask → respond → grade → match → judge → pair → export.

A stage is one plain function from a batch of records to a list of records; the models it calls
come in as `caller.Caller`.
"""
