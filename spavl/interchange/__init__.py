"""Preference datasets brought in from the field's public datasets, and written for other trainers."""
