"""The stages that make a preference dataset: collect → ask → respond → match → judge → pair → export.

`respond` also grades. A stage is one plain function from a batch of records to a list of records; the models it calls
come in as `calls.Caller`.
"""
