"""What the road needs at hand, and how it is told."""
