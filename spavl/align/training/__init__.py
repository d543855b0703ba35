"""What the training methods share.

trainer   the loop over pairs, for DPO and reward models
reporter  what is written and shown while it goes on
record    what a training is made from: whether it is done, goes on, or would overwrite another
run       from pairs to a folder: prepare, resume, select, export, note
"""
