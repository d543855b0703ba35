"""Change the weights: preference pairs → an aligned checkpoint, or a reward model.

    pairs → rows    what is in the files; what is wrong with single pairs
    parts · policy  what of a model is trained, and what it was before
    plan → feed     which pairs go through which step; what the model reads
    doctor          everything that could come out wrong without any error, measured before the first step
    losses → objective → trainer     formulas; a loss for a pass; the loop
    cache · panel   reference log-probabilities on disk; safety, over-refusal and skill while training
    dpo · reward · ppo               the methods, each from pairs to a folder

What it needs from a sibling room (the panel's items and their grades) comes in as a function.
"""
