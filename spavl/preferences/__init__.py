"""Preference datasets in files of every public form: what a row says, and a dataset opened once, for everybody.

In reading order: `sources` (files, folders, the Hub), `llama_factory` (columns that it renames), `forms`, `form_turns`,
`two_answers`, `rated_answers` and `messages` (what a row says), `picture_values` (pictures in cells), `about` and
`form_about` (what else a row says of a pair), `pairs` (a pair), `table` (all pairs on disk), `dataset` (the same for
queries), `hub_file` (our own form, written), `picture_hashes` (PDQ of every picture), `clean` (a dataset
without some of its pairs).
"""
