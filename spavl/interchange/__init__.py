"""Preference datasets brought in from the field's public datasets, and written for other trainers.

`writers` writes a dataset in every public form, `card` says what is in it, `push` sends it to the Hub.
"""
