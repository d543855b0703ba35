"""What the benchmarks of speed and of the bridges are made of; bridges run in environments of their own."""
