"""In-loop validation of safety, over-refusal and skill.

selection   scores of a step, and which checkpoint is selected by them
in_loop     validates a policy, and keeps the weights of the best step so far
callback    does so while Trainer trains
"""
