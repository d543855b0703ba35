"""Alignment of a vision-language model: preference pairs → an aligned checkpoint, or a reward model.

data         pairs from files, their validation, the batch schedule, and what the model reads
policy       the model in training, what of it is trained, its reference, its weights on disk
losses       every loss as a pure function, with its source
preflight    what could come out wrong without any error, measured before the first step; the reference cache
training     what the methods share: the loop over pairs, resuming, and one training from pairs to a folder
validation   safety, over-refusal and skill while training, and the checkpoint selected by them
dpo · reward · ppo   the methods, each from pairs to a folder

What it needs from a sibling room (validation items and their grades) comes in as a function.
"""
