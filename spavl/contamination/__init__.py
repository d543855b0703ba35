"""What a preference dataset shares with benchmarks or with another dataset: texts and pictures.

`other` (what a dataset is compared with), `open_other` (read from files), `texts` and `pictures` (what is shared),
`parts` (pictures of which one is a part of the other), `other_pictures` (those of the other, kept on disk), `table`
(the rows that say so, and their counts).
"""
