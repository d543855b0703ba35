"""Preference trees: answers that share pictures and questions, packed, scored and generated together.

In reading order: pack.py (texts to packed tokens), batch.py (masks, indices), score.py (log-probabilities, hidden
states), tower.py (what a frozen vision tower gives, kept and given back), lm_head.py (log-probabilities without all
logits), generate.py (sampling answers), answer_cache.py (what they attend to), parity.py (trees against separate
sequences).
"""
