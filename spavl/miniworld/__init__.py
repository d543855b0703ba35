"""The miniature world: a closed world of small pictures whose whole truth is known, in which every stage runs for real.

In reading order:

world       scenes; danger is a thing beside the cue of its own domain, visible in the picture alone
pictures    scenes as pictures of 48 x 48 pixels
language    every question and answer there is, and their parsing
languages   the closed language and free English, as oracle and items take either
real        the world in real language: questions, taught sentences, a pretrained model that is taught to look
oracle      the truth about an answer; asker, guard and judge that answer from it
items       benchmark items with known answers
responders  how often the base model and the twelve responders refuse, help or err
train…      make the checkpoints in `data/miniworld` (the only modules here that need torch)
"""
