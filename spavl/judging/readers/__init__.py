"""Readers of words: from what a model wrote to what it means, each beside the rule that its benchmark publishes.

`normalise` (one spelling for all), `refusal` and `refusal_forms`, `yes_no`, `options`, `numbers`, `short_answer`,
`verdicts` (of judges), `outcomes` (of guards). Rules as published, and nothing else: `vqa`, `science_qa`, `mmbench`,
`mathvista`, `mmmu`, `exact`. No reader guesses: where nothing is said, nothing is read.
`python -m bench.readers` measures them.
"""
