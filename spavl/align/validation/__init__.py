"""What is measured while training: loss on held-out pairs, and safety, over-refusal and skill on benchmark items.

held_out    loss and accuracy on pairs that are not trained on: early stopping, and the best step
selection   scores of a step, and which checkpoint is selected by them
in_loop     validates a policy, and keeps the weights of the best step so far
processes   shares the work out among processes
callback    does so while Trainer trains
"""
