"""Two trainers on one track: the model, the pairs, the arithmetic, and either side's way round it."""
