"""PPO and RLOO against a reward model.

In reading order: `rollout.py` generates answers and batches them, `models.py` holds policy, reference, reward model and
critic, `advantages.py` turns their scores into advantages, `update.py` runs a round, `log.py` writes metrics and
checkpoints, `train.py` runs a whole training.
"""
