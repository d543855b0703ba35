"""What people are to label: pairs and answers of a run or a dataset, drawn by strata, and where their pictures are."""
