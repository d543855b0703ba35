"""The miniature world: a closed world small enough to know the whole truth about, in which everything runs for real.

world       scenes; danger is a thing beside the cue of its own domain, visible in the picture alone
pictures    scenes as 48 x 48 pictures
language    every question and answer there is, and their reading
oracle      the truth about an answer; asker, guard and judge that speak from it
panels      what models are examined on
responders  how the base model and the twelve responders behave
train…      makes the checkpoints in `data/miniworld` (the only modules here that need torch)
"""
