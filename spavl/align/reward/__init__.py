"""Reward models.

model      a reward model on disk, opened, and what it scores
accuracy   how often it prefers the chosen answer, with a pair's own picture and with another
trl_reward a reward model as a reward function of TRL's trainers
train      Bradley–Terry training, from pairs to a folder
"""
