"""Direct preference optimisation: `objective` (the loss of a micro-batch), `train` (from pairs to a checkpoint)."""
