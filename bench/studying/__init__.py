"""What studies cost and whether they are right, part after part."""
