"""From preference pairs in files to batches of tensors.

The pairs are read by `spavl.preferences`. In reading order: `validate.py` finds invalid ones, `schedule.py` puts them
into steps and forward passes, `batches.py` tokenises and collates them, `pixels.py` prepares their pictures.
"""
