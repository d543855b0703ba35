"""Bridge to lmms-eval: any of its tasks on our models, and its logs beside our scores.

`messages` (its chat messages as prompts), `model` (ours as a model of its own; the only module that needs lmms-eval),
`task_benchmark` (a task that it scored, as a benchmark with its verdicts), `run` (tasks by name), `log` (its logs of
samples), `routes` (two routes to one number).
"""
