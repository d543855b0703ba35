"""Preference datasets written for other trainers, row by row, each row checked to be read back as it was.

In reading order: `row` (a row to be written, and what a dataset holds), `layouts` (its values in each public form),
`cells` (pictures as files or as bytes), `refusals` (what a form cannot hold), `tables` (Parquet, JSON and CSV files),
`forms` (the list of forms), `guard_rows` (rows for training a guard), `write` (all of a dataset).
"""
