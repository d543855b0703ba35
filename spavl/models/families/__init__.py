"""What differs between families of vision-language models, in one place.

In reading order: facts.py (module names, image placeholder tokens, positions and
masks by `model_type`), tokens.py (end tokens and control tokens), family.py (the facts of one checkpoint: chat
template, tokens, position ids), detect.py (which family a model is of), positions.py (M-RoPE), attention.py (attention
over a packed tree), processors.py (opening a processor where torchvision is missing).
"""

from __future__ import annotations

from spavl.models.chat import ChatTurn, TextTurn, all_pictures
from spavl.models.families.detect import family_of
from spavl.models.families.facts import FACTS, Facts
from spavl.models.families.family import Family
from spavl.models.families.processors import load_processor
from spavl.models.families.tokens import ControlTokens, control_tokens, end_ids

__all__ = [
    "FACTS", "ChatTurn", "ControlTokens", "Facts", "Family", "TextTurn", "all_pictures", "control_tokens", "end_ids",
    "family_of", "load_processor",
]  # fmt: skip
