"""The parts of `bench.chaos`: builds and trainings that meet faults, are killed, or lose their servers."""
