"""Parts of the benchmark of the evaluation."""
