"""Exports loaded by the trainers that they are for: each file is run by a Python that has the trainer installed.

    PYTHON bench/trusting/exporting/llama_factory.py FOLDER_OF_THE_EXPORT NAME CHECKPOINT

It prints one line of JSON: `version`, `rows`, `pictures`, and `warnings`, which has what was logged as a warning.
"""
