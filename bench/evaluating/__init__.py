"""The parts of `bench.evaluate`."""
