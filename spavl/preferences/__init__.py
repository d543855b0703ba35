"""Preference datasets in files of every public form: what a row says, and a dataset opened once, for everybody.

In reading order: `sources` (files, folders, the Hub), `forms`, `form_turns` and `messages` (what a row says),
`picture_values` (pictures in cells), `about` (what else a row says of a pair), `pairs` (a pair), `table` (all pairs on
disk), `dataset` (the same for queries), `picture_hashes` (PDQ of every picture).
"""
