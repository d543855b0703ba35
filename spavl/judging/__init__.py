"""Prompts for judge and guard models, and readers of their verdicts; text only, no model is called.

`templates` (prompt files), `compare` (pairwise comparison by a judge), `grade` (safe or unsafe by a guard).
"""
