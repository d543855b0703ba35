"""Ballots out, verdicts in: what is asked of a judge or a guard, and how its words are read. Text only, no model."""
