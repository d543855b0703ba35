"""What a preference dataset shares with benchmarks or with another dataset: texts and pictures."""
