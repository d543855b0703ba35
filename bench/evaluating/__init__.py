"""The parts of `bench.build`."""
