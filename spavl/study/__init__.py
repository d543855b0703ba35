"""Studies: many trainings of one run that differ in one thing, evaluated on the same items.

arms         what a study compares: settings → arms
selection    which pairs an arm is trained on, drawn by a seed
plan         arms × seeds → distinct trainings, of which some are made already
training     one training: a run folder with its model and its scores
run          all trainings of a study, one after the other, side by side, or on a Ray cluster
results      one table of all rates
"""
