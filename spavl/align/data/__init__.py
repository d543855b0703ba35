"""From preference pairs in files to batches of tensors.

In reading order: `pairs.py` reads them, `validate.py` finds invalid ones, `schedule.py` puts them into steps and
forward passes, `batches.py` tokenises and collates them, `pixels.py` prepares their pictures.
"""
