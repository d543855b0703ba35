"""What a preference dataset shares with benchmarks or with another dataset: texts and pictures.

`other` (what a dataset is compared with), `open_other` (read from files), `texts` and `pictures` (what is shared),
`table` (the rows that say so, and their counts).
"""
