"""The evaluation against its floors, a part each; run by `bench.evaluate`."""
