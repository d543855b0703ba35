"""What is wrong with a preference dataset: findings, each with its share and interval, and the pairs concerned."""
