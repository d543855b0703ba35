"""Prompts for judge and guard models, and readers of their verdicts; text only, no model is called.

`templates` (prompt files), `judge` (pairwise comparison by a judge), `guard` (safe or unsafe by a guard).
"""
