"""What the training methods share.

trainer   the loop over pairs, for DPO and reward models
resume    whether a stopped training may go on
run       from pairs to a folder: prepare, resume, select, export, note
"""
